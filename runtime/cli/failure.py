"""What a command says when it cannot go on: a line for people, an object for machines, a code.

0: done. 1: something in the user's files. 2: wrong usage. 130: interrupted.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from spikec.compiler.errors import CompileError, OptionError, UnsupportedModelError
from spikec.runtime.report import Json

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
CLOSED_PIPE = 141  # 128 + SIGPIPE


@dataclass(frozen=True)
class Failure:
    """The end of a command.

    Attributes:
        code: Exit code.
        text: For people; empty if there is nothing to say.
        details: For machines.
        output_lost: Whether stdout takes no more.
    """

    code: int
    text: str
    details: dict[str, Json] = field(default_factory=dict)
    output_lost: bool = False


def failure_of(error: BaseException) -> Failure | None:
    """The failure that an exception stands for; None if only a defect of ours can cause it."""
    match error:
        case OptionError():
            return Failure(2, f"error: {error}", error_dict(error))
        case CompileError():
            return Failure(1, f"error: {error}", error_dict(error))
        case KeyboardInterrupt():
            return _interrupted()
        case MemoryError():
            hint = "use a smaller --batch-size or --images"
            return _failure(1, "not enough memory", hint)
        case BrokenPipeError():  # the reader of our output went away: nothing to say
            return Failure(CLOSED_PIPE, "", output_lost=True)
        case OSError():
            return _system_failure(error)
        case _ if hasattr(error, "format_message"):  # a usage error of the command-line parser
            return _failure(2, error.format_message(), _help_of(error))
        case _ if type(error).__name__ == "Abort":  # interrupted at a prompt
            return _interrupted()
    return None


def error_dict(error: CompileError) -> dict[str, Json]:
    """Where, what and the way out; an error of several nodes lists each under "findings"."""
    content: dict[str, Json] = {
        "kind": type(error).__name__,
        "file": error.where.file,
        "node": error.where.node,
        "op": error.where.op,
        "problem": error.problem,
        "hint": error.hint or None,
    }
    if isinstance(error, UnsupportedModelError):
        content["findings"] = [error_dict(finding) for finding in error.findings]
    return content


def _interrupted() -> Failure:
    return Failure(INTERRUPTED, "interrupted; no file is half-written", {"problem": "interrupted"})


def _failure(code: int, problem: str, hint: str) -> Failure:
    text = f"error: {problem}\n  hint: {hint}" if hint else f"error: {problem}"
    return Failure(code, text, {"problem": problem, "hint": hint or None})


def _system_failure(error: OSError) -> Failure:
    reason = error.strerror or str(error)
    problem = ": ".join(str(part) for part in (error.filename, reason) if part)
    hint = "free some space" if error.errno == errno.ENOSPC else ""
    found = _failure(1, problem, hint)
    return Failure(found.code, found.text, found.details, output_lost=True)


def _help_of(error: object) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "spikec"
    return f"see {path} --help"
