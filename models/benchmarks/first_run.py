"""A process that runs one program twice and prints how long everything took, as JSON.

``python first_run.py PROGRAM INPUTS``: a program file and quantised inputs as .npy; one thread.
"""

from __future__ import annotations

import json
import resource
import sys
import time

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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNITS


if __name__ == "__main__":
    main()
