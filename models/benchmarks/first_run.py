"""A process that runs one program twice and prints how long everything took, as JSON.

``python first_run.py PROGRAM INPUTS``: a program file and quantised inputs as .npy; one thread.
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
    begin = time.perf_counter()
    import numpy as np

    import spikec
    from spikec.backends.simulator import SimulatorBackend

    imported = time.perf_counter()
    program, inputs = spikec.load(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False)
    loaded, before = time.perf_counter(), _resident()
    backend = SimulatorBackend(threads=1)
    backend.run(program, inputs)
    first = time.perf_counter()
    backend.run(program, inputs)
    seconds = {
        "imports": imported - begin,
        "load": loaded - imported,
        "first": first - loaded,
        "later": time.perf_counter() - first,
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
