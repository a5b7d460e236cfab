"""What is seen of a run on Lava from outside: its processes, and until when something lasts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def processes_with(argument: str) -> list[int]:
    """Processes that run with an argument that starts so."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            arguments = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(each.startswith(argument.encode()) for each in arguments):
            found.append(int(entry))
    return found


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Return once a condition holds; it has to within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
