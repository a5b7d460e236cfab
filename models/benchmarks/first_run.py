"""A process that runs one program twice and prints what everything took, as JSON.

``python first_run.py PROGRAM INPUTS``: a program file and quantised inputs as .npy; one thread.
Seconds are CPU time of the process, all its threads together.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

UNITS = 2**20 if sys.platform == "darwin" else 2**10
"""Of the system's largest resident memory, per MB."""


def main() -> None:
    """Print seconds and MB."""
    begin = time.process_time()
    import numpy as np

    import spikec
    from spikec.backends.simulator import SimulatorBackend

    imported = time.process_time()
    program, inputs = spikec.load(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False)
    loaded, before = time.process_time(), _resident()
    backend = SimulatorBackend(threads=1)
    backend.run(program, inputs)
    first = time.process_time()
    backend.run(program, inputs)
    later = time.process_time()
    seconds = {
        "imports": imported - begin,
        "load": loaded - imported,
        "first": first - loaded,
        "later": later - first,
        "start": (first - loaded) - (later - first),
    }
    print(json.dumps(seconds | {"before": before, "peak": _resident()}))


def _resident() -> float:
    """Largest resident memory so far in MB.

    Linux hands the figure of getrusage down from the parent process, so its own is read there.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    own = [float(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:")]
    return own[0] if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNITS


if __name__ == "__main__":
    main()
