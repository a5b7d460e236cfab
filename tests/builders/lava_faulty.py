"""The real worker, with neurons that fail at step 30; runs in Python 3.10.

python3.10 lava_faulty.py MODE MAIN JOB
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time


def fail(mode: str) -> None:
    match mode:
        case "raise":
            raise ArithmeticError("boom at step 30")
        case "die":
            os._exit(7)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(1000)


def main() -> None:
    mode, file, job = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(file))
    neurons = importlib.import_module("kernels.populations").AdaFire
    healthy = neurons.step

    def step(self: object, time_step: int, current: object) -> object:
        if time_step == 30:
            fail(mode)
        return healthy(self, time_step, current)

    neurons.step = step
    importlib.import_module("main").main([job])


if __name__ == "__main__":
    main()
