"""A small worker without Lava: speaks the protocol, and fails in the way that it is told to.

    python lava_worker.py MODE JOB

It has a watchdog, a child that waits and, as Lava's processes do, shares memory by a named segment.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path


def emit(kind: str, **values: object) -> None:
    os.write(3, (json.dumps({"event": kind} | values) + "\n").encode())


def watchdog() -> None:
    if os.fork():
        return
    while os.read(0, 4096):
        pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def child(mode: str, job: Path) -> None:
    """A process that ends as it is told after a while, or never."""
    if os.fork():
        return
    if mode.startswith("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(0.3)
    match mode:
        case "raise":
            traceback = 'Traceback (most recent call last):\n  File "neurons.py", line 7\n'
            (job / "error").write_text(f"conv3\n{traceback}ValueError: boom at step 30\n")
        case "die":
            os._exit(7)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bus":
            os.kill(os.getpid(), signal.SIGBUS)
    time.sleep(1000)


def fail(mode: str) -> None:
    """What the leader itself does in the middle of a run."""
    match mode:
        case "exit":
            print("Lava says: no such file", file=sys.stderr, flush=True)
            os._exit(5)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "massacre":
            os.killpg(0, signal.SIGKILL)
        case "garbage":
            os.write(3, b"Hello, world\n")
        case "event-error":
            emit("error", type="KeyError", message="'weights'", traceback="line 1\nline 2")
    if mode not in ("fine", "slow", "no-result", "stop-slowly"):
        time.sleep(1000)


def main() -> None:
    mode, job = sys.argv[1], Path(sys.argv[2])
    os.dup2(1, 3)
    os.dup2(2, 1)
    if mode == "early":
        sys.exit("cannot import lava")
    watchdog()
    if mode == "dumb":
        time.sleep(1000)
    emit("hello", protocol=9 if mode == "foreign" else 1, python="3.10")
    resource_tracker.ensure_running()
    segment = shared_memory.SharedMemory(create=True, size=4096)
    (job / "segment").write_text(segment.name)
    child(mode, job)
    emit("built", processes=2)
    time.sleep(0.3)  # a run is longer than the interval between two looks
    emit("started")
    for done in range(2, 12, 3):
        time.sleep(0.5 if mode == "slow" else 0.05)
        emit("progress", done=done, total=11)
    fail(mode)
    emit("stopping")
    if mode == "stop-slowly":
        time.sleep(0.6)
    segment.close()
    segment.unlink()
    if mode != "no-result":
        (job / "result.json").write_text("{}")
    emit("done")
    os._exit(0)


if __name__ == "__main__":
    main()
