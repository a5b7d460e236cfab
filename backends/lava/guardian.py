"""Cleans up behind a host that was killed: started by its path, in a process of its own.

    python guardian.py FOLDER

Its stdin is a pipe that the host holds open. Lines are ``group N`` (processes to end), ``segment
NAME`` (shared memory to remove) and ``done`` (nothing is left to do). At the end of the input
without ``done`` the host is gone: the worker ends by itself, and what outlives it is removed, with
FOLDER.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

_PATIENCE_SECONDS = 8.0
"""The worker's own watchdog needs less."""

_SHARED_MEMORY = "/dev/shm"


def main() -> None:
    """Wait for the end of the input, then clean up."""
    said = [line.split(maxsplit=1) for line in sys.stdin.read().splitlines()]
    if ["done"] in said:
        return
    values = [(line[0], line[1]) for line in said if len(line) == 2]
    for group in (int(value) for kind, value in values if kind == "group"):
        _end(group)
    for segment in (value for kind, value in values if kind == "segment"):
        with suppress(OSError):
            os.unlink(os.path.join(_SHARED_MEMORY, os.path.basename(segment)))
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def _end(group: int) -> None:
    """Wait until a group is empty; if it does not get so, kill it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _runs(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    with suppress(OSError):
        os.killpg(group, signal.SIGKILL)


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
