"""New processes, with an empty and with a filled folder of machine code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measured import Start
from timing import Spread

from spikec.compiler.arrays import Array

FIRST_RUN = Path(__file__).with_name("first_run.py")
FIGURES = ("imports", "load", "first", "later", "start", "peak", "before")


def started(unit: str, program: Path, inputs: Array, repeats: int) -> Iterator[Start]:
    """Both kinds of start, in turns: each repeat fills an empty folder and starts again."""
    found: dict[str, list[dict[str, float]]] = {"empty": [], "filled": []}
    sizes = {}
    for _ in range(repeats):
        with TemporaryDirectory() as folder:
            file = Path(folder) / "inputs.npy"
            np.save(file, inputs)
            cache = Path(folder) / "cache"
            for kind, results in found.items():
                results.append(_run(program, file, cache))
                sizes[kind] = sum(f.stat().st_size for f in cache.rglob("*") if f.is_file()) / 2**20
    for kind, results in found.items():
        yield Start(
            unit=unit,
            network=unit,
            cache=kind,
            images=len(inputs),
            cached=sizes[kind],
            **{name: Spread.of(result[name] for result in results) for name in FIGURES},
        )


def _run(program: Path, inputs: Path, cache: Path) -> dict[str, float]:
    cache.mkdir(mode=0o700, exist_ok=True)
    environment = os.environ | {"SPIKEC_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FIRST_RUN), str(program), str(inputs)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
