"""LavaBackend: Intel's framework computes the spikes and potentials, everything else is ours."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import numpy as np

from spikec.backends.base import BackendRun, Progress, checked_inputs, choice_named
from spikec.backends.counts import empty_run, store_counts
from spikec.backends.lava.environment import find_environment
from spikec.backends.lava.folder import JobFolder, job_folder, reserve
from spikec.backends.lava.host import supervise
from spikec.backends.lava.job import Job, LavaResults, read_results, write_job
from spikec.backends.lava.watch import Limits
from spikec.backends.tally import tally
from spikec.compiler.arrays import Array
from spikec.compiler.populations import Coding, Readout
from spikec.compiler.program import Program

WORKER = Path(__file__).parent / "worker" / "main.py"

_JOB_BYTES = 2**30
"""Of the result files of one job."""

_BYTES_PER_UPDATE = 8
"""A payload and a potential, int32 each."""

StepProgress = Callable[[int, int], None]
"""Called with the number of Lava's time steps done, and of all, of one job."""


class Granularity(StrEnum):
    """What becomes a process of Lava; the integers are the same."""

    LAYER = "layer"
    """Every population and every connection: Lava orders them and carries every payload."""
    NETWORK = "network"
    """The whole network: Lava carries inputs and read-outs only. Faster, and proves less."""


class LavaBackend:
    """Runs programs on Lava's fixed-point CPU models, in its own Python 3.10; slow.

    Args:
        python: The interpreter; by default the one that SPIKEC_LAVA_PYTHON names, else the one
            that ``spikec lava setup`` has made.
        granularity: What becomes a process.
        processes: "own", "stock" or "auto": whether Lava's own Dense, Sparse and Conv are taken
            where they are exact.
        limits: How long Lava may keep silent.
        step_progress: Told of Lava's time steps.

    Raises:
        OptionError: An unknown granularity.
    """

    name = "lava"

    def __init__(
        self,
        python: str | None = None,
        *,
        granularity: str = Granularity.LAYER,
        processes: str = "auto",
        limits: Limits | None = None,
        step_progress: StepProgress | None = None,
    ) -> None:
        self.granularity = choice_named(Granularity, granularity, "granularity")
        self.processes = processes
        self.limits = limits or Limits()
        self._step_progress = step_progress
        self._named = python
        self._found = ""

    def run(
        self,
        program: Program,
        inputs: Array,
        *,
        record: frozenset[str] = frozenset(),
        progress: Progress | None = None,
    ) -> BackendRun:
        """All T steps for a batch; see Backend.run.

        Raises:
            LavaEnvironmentError: There is no Python 3.10 with Lava.
            LavaRunError: The run failed; says why.
        """
        inputs = checked_inputs(program, inputs, record)
        types = {p.name: np.dtype(np.int32) for p in program.populations}
        run = empty_run(program, (len(inputs), program.timesteps), record, types)
        size = _samples_per_job(program)
        for start in range(0, len(inputs), size):
            images = slice(start, min(start + size, len(inputs)))
            _store(run, program, images, self.results(program, inputs[images], progress))
        return run

    def prepare(self) -> None:
        """Find the interpreter now.

        Raises:
            LavaEnvironmentError: There is none.
        """
        self._python()

    def results(
        self, program: Program, inputs: Array, progress: Progress | None = None
    ) -> LavaResults:
        """What every population did, by a single job.

        Args:
            program: A valid program.
            inputs: One or more; see Backend.run.
            progress: Told of finished inputs.
        """
        python = self._python()
        samples = inputs
        if program.input.coding is Coding.FRAMES:
            samples = np.swapaxes(inputs, 0, 1)
        with job_folder() as folder:
            job = self._written(program, samples, folder)
            reserve(job.folder)
            # -B: no bytecode of Python 3.10 among the files of this package.
            command = [python, "-B", "-u", str(WORKER), str(job.folder)]
            steps = _Steps(job, self._step_progress, progress)
            supervise(command, folder, limits=self.limits, progress=steps)
            return read_results(job, program)

    def _written(self, program: Program, samples: Array, folder: JobFolder) -> Job:
        probes = tuple(p.name for p in program.populations if not isinstance(p, Readout))
        return write_job(
            program,
            samples,
            folder.path,
            granularity=self.granularity,
            probes=probes,
            processes=self.processes,
        )

    def _python(self) -> str:
        """The interpreter, proved once."""
        if not self._found:
            self._found = find_environment(self._named).interpreter
        return self._found


class _Steps:
    """Told of Lava's time steps; tells of them, and of the inputs that have left the pipeline.

    Args:
        job: That runs.
        steps: Told of steps.
        images: Told of inputs finished since the last call.
    """

    def __init__(self, job: Job, steps: StepProgress | None, images: Progress | None) -> None:
        self._job = job
        self._steps = steps
        self._images = images
        self._finished = 0

    def __call__(self, done: int, total: int) -> None:
        if self._steps is not None:
            self._steps(done, total)
        samples, timesteps = self._job.samples, self._job.timesteps
        latency = self._job.steps - samples * timesteps
        finished = min(max(0, done - latency) // timesteps, samples)
        if self._images is not None and finished > self._finished:
            self._images(finished - self._finished)
        self._finished = finished


def _samples_per_job(program: Program) -> int:
    """Inputs whose results take about 1 GiB."""
    neurons = sum(int(np.prod(population.shape)) for population in program.populations)
    return max(1, _JOB_BYTES // (_BYTES_PER_UPDATE * neurons * program.timesteps))


def _store(run: BackendRun, program: Program, images: slice, results: LavaResults) -> None:
    """Put what Lava computed to its place in a run, and count."""
    run.readout[images] = np.swapaxes(results.outputs, 0, 1)
    for kind, kept in (("spikes", run.spikes), ("membranes", run.membranes)):
        for name, values in kept.items():
            values[images] = np.swapaxes(getattr(results, kind)[name], 0, 1)
    for name, saturated in results.saturated.items():
        run.populations[name].saturations[images] = saturated.T
    for population in program.populations:
        if isinstance(population, Readout):
            continue
        spikes = results.spikes[population.name]
        span = (int(spikes.min()), int(spikes.max()))
        table = tally(population.shape, span, program.out_of(population.name))
        events, unary = table.count(spikes.reshape(*spikes.shape[:2], -1))
        store_counts(run, program, (population.name, images), events, unary)
