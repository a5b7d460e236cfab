"""Processes that are asked, watched and ended as whole groups; Linux, by way of /proc.

Lava makes one operating-system process per layer, and some more. A signal to their parent alone
leaves orphans and shared memory behind, so it always goes to the group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")

_SEGMENT = "psm_"
"""Prefix that Python gives to the names of shared memory."""

GRACE_SECONDS = 4.0
"""Between SIGTERM and SIGKILL."""

_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Answer:
    """What a command printed, and how it failed.

    Attributes:
        output: Its stdout.
        failure: One line; empty if it exited with 0 in time.
        errors: Its stderr.
    """

    output: str
    failure: str = ""
    errors: str = ""


@dataclass(frozen=True)
class Member:
    """A process of a group.

    Attributes:
        pid: Its number.
        dead: Ended, and its parent has not taken note.
        status: As ``waitpid`` would report it; 0 if it runs.
    """

    pid: int
    dead: bool
    status: int


def clean_environment() -> dict[str, str]:
    """Environment variables for another Python: none of ours, and one thread per process."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "__PYVENV"))
    }
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def ask(command: Sequence[str | Path], seconds: float) -> Answer:
    """Run a command to its end, or for so many seconds; nothing of it is left."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Answer("", getattr(error, "strerror", None) or str(error))
    with process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return Answer("", f"no answer within {seconds:g} s")
        finally:
            end_group(process)
    return Answer(output, _failure(process.returncode, errors), errors)


def _failure(code: int, errors: str) -> str:
    """Exit code or signal, and the line of stderr that says most."""
    if code == 0:
        return ""
    lines = [line.strip() for line in errors.splitlines() if line.strip()] or [""]
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return f"{ended(code)}: {line}" if line else ended(code)


def ended(code: int) -> str:
    """A return code in words; negative for a signal."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def members(group: int) -> Iterator[Member]:
    """The processes of a group, the dead ones too that nobody has taken note of."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with (
                suppress(OSError, ValueError, IndexError),
                open(f"/proc/{entry}/stat", "rb") as file,
            ):
                # The name in parentheses may hold anything, also parentheses.
                values = file.read().rpartition(b")")[2].split()
                if int(values[2]) == group:
                    yield Member(int(entry), values[0] in (b"Z", b"X"), int(values[49]))


def is_alive(group: int) -> bool:
    """Whether a process of the group runs."""
    return any(not member.dead for member in members(group))


def segments(pid: int) -> frozenset[str]:
    """Names of the shared memory that a process has mapped; none if it is gone."""
    prefix = f"{SHARED_MEMORY}/{_SEGMENT}".encode()
    with suppress(OSError), open(f"/proc/{pid}/maps", "rb") as file:
        paths = (line.rpartition(b" ")[2].strip() for line in file if prefix in line)
        return frozenset(os.path.basename(p).decode() for p in paths if p.startswith(prefix))
    return frozenset()


def unlink_segments(names: Iterable[str]) -> None:
    """Remove shared memory that outlived its processes."""
    for name in names:
        with suppress(OSError):
            (SHARED_MEMORY / name).unlink(missing_ok=True)


def end_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End every process of the group that ``process`` leads, and take note of its end.

    SIGTERM first: then Python's resource tracker, which ignores it, removes the shared memory.

    Args:
        process: Leader of a group of its own; may have ended.
    """
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
        except (ProcessLookupError, PermissionError):
            break
        if _empty_within(process, GRACE_SECONDS):
            break
    process.poll()


def _empty_within(process: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        process.poll()
        if not is_alive(process.pid):
            process.wait()
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
