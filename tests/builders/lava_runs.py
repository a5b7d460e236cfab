"""Runs of many programs in one worker, and their results beside those of the golden model."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from equal_runs import names
from lava_environment import lava_python

from spikec.backends import lava
from spikec.backends.base import BackendRun
from spikec.backends.lava.job import LavaResults, read_results, write_job
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.populations import Coding
from spikec.compiler.program import Program

WORKER = Path(lava.__file__).parent / "worker" / "main.py"
SECONDS = 1800


@dataclass(frozen=True, eq=False)
class Task:
    """A run in Lava; inputs as Backend.run takes them."""

    program: Program
    inputs: np.ndarray
    granularity: str = "layer"
    processes: str = "own"
    probes: frozenset[str] | None = None

    def __str__(self) -> str:
        return f"{self.granularity} {self.processes} {[c.name for c in self.program.connections]}"


def by_step(program: Program, inputs: np.ndarray) -> np.ndarray:
    """Inputs as a job takes them: of frames, steps come first."""
    return inputs.swapaxes(0, 1) if program.input.coding is Coding.FRAMES else inputs


def run_in_lava(tasks: Sequence[Task]) -> list[LavaResults]:
    """The results of all tasks, from one worker; skips the test if there is no Lava."""
    python = lava_python()
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for number, task in enumerate(tasks):
            place = Path(folder, str(number))
            place.mkdir()
            probes = names(task.program) if task.probes is None else task.probes
            inputs = by_step(task.program, task.inputs)
            job = write_job(
                task.program,
                inputs,
                place,
                granularity=task.granularity,
                probes=tuple(sorted(probes)),
                processes=task.processes,
            )
            jobs.append(job)
        said = run_worker([python, "-u", WORKER, *(job.folder for job in jobs)], Path(folder))
        for job in jobs:
            assert (job.folder / "result.json").exists(), said
        return [read_results(job, task.program) for job, task in zip(jobs, tasks, strict=True)]


def run_worker(command: Sequence[str | Path], folder: Path) -> str:
    """Run a worker to its end; what it has said. Its processes are gone afterwards."""
    log = folder / "worker.log"
    with open_pipe() as held, log.open("w") as file:
        done = subprocess.run(
            command,
            stdin=held,
            stdout=subprocess.PIPE,
            stderr=file,
            timeout=SECONDS,
            start_new_session=True,
            check=False,
        )
    return done.stdout.decode() + log.read_text()[-4000:]


@contextmanager
def open_pipe() -> Iterator[int]:
    """The reading end of a pipe whose end comes with that of the block."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)


def golden(task: Task) -> BackendRun:
    """The same by the golden model."""
    return ReferenceBackend().run(task.program, task.inputs, record=names(task.program))


def assert_same(results: LavaResults, expected: BackendRun, task: Task) -> None:
    """Every payload, membrane potential, read-out potential and saturation."""
    same(results.outputs, expected.readout, f"readout, {task}")
    for kind in ("spikes", "membranes"):
        ours, theirs = getattr(results, kind), getattr(expected, kind)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            same(ours[name], values, f"{kind} of {name}, {task}")
    for name, counts in results.saturated.items():
        same(counts, expected.populations[name].saturations, f"saturations of {name}, {task}")


def same(by_step: np.ndarray, by_image: np.ndarray, what: str) -> None:
    """(T, S, …) equals (S, T, …)."""
    np.testing.assert_array_equal(by_step.swapaxes(0, 1), by_image, what)
