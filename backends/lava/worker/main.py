"""The worker: runs job folders in Lava and tells the host how it goes, in lines of JSON.

Usage: python3.10 -u main.py JOB [JOB …]

Standard output carries the events hello, then per job built, started, progress, stopping and
done, or error. The file result.json, which comes last, is the only sign of success.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog import start_watchdog

if TYPE_CHECKING:
    from job_file import Job
    from lava.magma.core.process.process import AbstractProcess

_SECONDS_PER_CHUNK = 0.5
_MOST_STEPS = 256

Emit = Callable[..., None]


def main(folders: list[str]) -> None:
    """Run the jobs, then leave without the interpreter's own ending, which can hang."""
    start_watchdog()
    emit = _events()
    code = 0
    try:
        _greet(emit)
        for folder in folders:
            _run_job(Path(folder), emit)
    except BaseException as error:
        code = 3
        message = str(error)
        emit("error", type=type(error).__name__, message=message, traceback=traceback.format_exc())
    sys.stderr.flush()
    os._exit(code)


def _events() -> Emit:
    """Writes events to what is standard output now; everything else goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def emit(event: str, **fields: object) -> None:
        events.write(json.dumps({"event": event, **fields}) + "\n")

    return emit


def _greet(emit: Emit) -> None:
    """Import Lava, and say hello."""
    from importlib.metadata import version

    import numpy as np
    from job_file import PROTOCOL

    versions = {"numpy": np.__version__, "lava": version("lava-nc")}
    emit("hello", protocol=PROTOCOL, python=platform.python_version(), **versions)


def _run_job(folder: Path, emit: Emit) -> None:
    from assembly import assembled
    from job_file import PROTOCOL, read_job

    job = read_job(folder)
    processes = assembled(job, str(folder / "error"))
    emit("built", processes=len(processes))
    started = time.monotonic()
    try:
        _run(job, processes[0], emit)
        emit("stopping")
    finally:
        processes[0].stop()  # what runs on after an exception would hang at exit
    result = {"protocol": PROTOCOL, "steps": job.steps, "seconds": time.monotonic() - started}
    beside = folder / "result.json.part"
    beside.write_text(json.dumps(result), encoding="utf-8")
    beside.replace(folder / "result.json")
    emit("done")


def _run(job: Job, process: AbstractProcess, emit: Emit) -> None:
    """All steps, in chunks of about half a second."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    # Without the tag Lava takes its floating-point models and says nothing.
    configuration = Loihi2SimCfg(select_tag="fixed_pt")
    process.run(condition=RunSteps(num_steps=1), run_cfg=configuration)
    emit("started")
    done, chunk = 1, 4
    while done < job.steps:
        steps = min(chunk, job.steps - done)
        begun = time.monotonic()
        process.run(condition=RunSteps(num_steps=steps), run_cfg=configuration)
        done += steps
        emit("progress", done=done, total=job.steps)
        pace = (time.monotonic() - begun) / steps
        chunk = max(1, min(_MOST_STEPS, int(_SECONDS_PER_CHUNK / max(pace, 1e-6))))


if __name__ == "__main__":
    main(sys.argv[1:])
