"""Watchdog: a child that ends the worker's process group when the host is gone."""

from __future__ import annotations

import os
import signal
import time

_SECONDS_TO_END = 3
"""Between the friendly signal and the other: Lava's resource tracker clears shared memory."""


def start_watchdog() -> None:
    """Fork a child that waits for the end of standard input, which the host holds open.

    To be called before any thread exists.
    """
    if os.fork():
        return
    os.close(1)  # or the host would wait for the end of its output
    try:
        while os.read(0, 4096):
            pass
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        time.sleep(_SECONDS_TO_END)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)
