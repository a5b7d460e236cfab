"""The command group: every error of a user becomes one line, every ending an exit code.

0: done. 1: something in the user's files. 2: wrong usage. 130: interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Any

from typer.core import TyperGroup

from spikec.compiler.errors import CompileError, OptionError

_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


class CommandGroup(TyperGroup):
    """Runs a command and turns its exception, if any, into a line and an exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Parse, run, exit; never returns."""
        options["standalone_mode"] = False
        try:
            code = super().main(*args, **options)
            sys.stdout.flush()
        # KeyboardInterrupt and SystemExit stand beside Exception.
        except (Exception, KeyboardInterrupt) as error:
            code = _exit_code(error)
        if code == _INTERRUPTED:
            print("interrupted; no file is half-written", file=sys.stderr)
        sys.exit(code if isinstance(code, int) else 0)


def _exit_code(error: BaseException) -> int:
    """Print what the user needs to know; re-raise what only a defect of ours can cause."""
    match error:
        case OptionError():
            return _fail(str(error), 2)
        case CompileError():
            return _fail(str(error), 1)
        case KeyboardInterrupt():
            return _INTERRUPTED
        case MemoryError():
            return _fail("not enough memory\n  hint: use a smaller --batch-size or --images", 1)
        case BrokenPipeError():  # the reader of our output went away: nothing to say
            return _discard_output(141)  # 128 + SIGPIPE, as a shell reports it
        case OSError():
            return _discard_output(_fail(_described(error), 1))
        case _ if hasattr(error, "format_message"):  # a usage error of the command-line parser
            return _fail(f"{error.format_message()}\n  hint: {_help_of(error)}", 2)
        case _ if type(error).__name__ == "Abort":  # interrupted at a prompt
            return _INTERRUPTED
    raise error


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _described(error: OSError) -> str:
    reason = error.strerror or str(error)
    hint = "\n  hint: free some space" if error.errno == errno.ENOSPC else ""
    return ": ".join(str(part) for part in (error.filename, reason) if part) + hint


def _help_of(error: object) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "spikec"
    return f"see {path} --help"


def _discard_output(code: int) -> int:
    """Let go of what stdout still holds, so that Python does not fail again at its end."""
    with suppress(OSError, ValueError):  # stdout may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
