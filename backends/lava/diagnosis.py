"""Why a run failed: errors out of what the worker, its models and the system left behind."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from spikec.backends.lava.errors import LavaRunError
from spikec.backends.lava.processes import SHARED_MEMORY, ended
from spikec.backends.lava.watch import PROTOCOL, Event
from spikec.compiler.errors import Where

ERROR = "error"
"""The file that a failing model writes: the name of its layer, then the traceback."""

_LINES = 6
_FULL_BYTES = 2**20


def model_error(job: Path) -> LavaRunError | None:
    """The error that a model has written; None if there is none."""
    try:
        text = (job / ERROR).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    layer, _, traceback = text.partition("\n")
    lines = _last_lines(traceback)
    cause = lines[-1].strip() if lines else "it says nothing"
    return _with_lines(LavaRunError(f"its model failed: {cause}", Where(layer)), lines[:-1])


def worker_error(event: Event, job: Path) -> LavaRunError:
    """The error that the worker has told; that of a model, if there is one, came first."""
    if error := model_error(job):
        return error
    lines = _last_lines(event.text("traceback"))
    problem = f"the worker failed: {event.text('type')}: {event.text('message')}"
    return _with_lines(LavaRunError(problem), lines)


def check_protocol(hello: Event) -> None:
    """Raise LavaRunError if the worker speaks another protocol than we do."""
    if hello.number("protocol") != PROTOCOL:
        spoken = hello.text("protocol") or "an unknown one"
        raise LavaRunError(
            f"the worker speaks protocol {spoken}, the host {PROTOCOL}",
            hint="install spikec again: its parts are of different versions",
        )


def exit_error(code: int, stage: str, log: Path) -> LavaRunError:
    """The error of a worker that ended without a word."""
    problem = f"the worker ended ({ended(code)}) {stage}"
    return _with_lines(LavaRunError(problem, hint=_suspect(-code, log.parent)), _log_lines(log))


def death_error(status: int, stage: str, job: Path) -> LavaRunError:
    """The error of a process of the run that died, by its status as ``waitpid`` reports it."""
    code = os.waitstatus_to_exitcode(status)
    problem = f"a process of the run died ({ended(code)}) {stage}"
    return LavaRunError(problem, hint=_suspect(-code, job))


def late_error(lateness: str, log: Path) -> LavaRunError:
    """The error of a worker that hangs."""
    hint = "a layer waits for ever, or the machine is too slow for the limit"
    return _with_lines(LavaRunError(lateness, hint=hint), _log_lines(log))


def _suspect(killer: int, job: Path) -> str:
    """What a deadly signal hints at."""
    for place in (job, SHARED_MEMORY):
        if place.exists() and shutil.disk_usage(place).free < _FULL_BYTES:
            return f"{place} is full: free some space there"
    if killer == signal.SIGKILL:
        return "was there enough memory? fewer inputs, or --granularity network, need less"
    if killer == signal.SIGBUS:
        return f"is {SHARED_MEMORY} large enough?"
    return ""


def _log_lines(log: Path) -> list[str]:
    try:
        return _last_lines(log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []


def _last_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()][-_LINES:]


def _with_lines(error: LavaRunError, lines: Sequence[str]) -> LavaRunError:
    for line in lines:
        error.add_note(line)
    return error
