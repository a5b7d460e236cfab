"""Session: a program on a backend, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.backends.base import Backend, BackendRun
from spikec.backends.base import Progress as BackendProgress
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.errors import OptionError, Where
from spikec.compiler.populations import Coding
from spikec.compiler.program import Program
from spikec.runtime.counts import LayerCounts, layer_counts
from spikec.runtime.encode import class_scores, decode_steps, model_inputs, quantise, tail
from spikec.runtime.exits import held, run_until_exit
from spikec.runtime.inputs import Source

BACKENDS = ("simulator", "reference", "lava")

Progress = Callable[[int, int], None]
"""Called with the number of images finished and the number of all images."""

_BATCH_BYTES = 256 * 2**20
"""Memory that one batch may take."""

_BYTES_PER_PAYLOAD = 24
"""A payload, its current as float64, and its place in an unfolded or copied array: measured."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a program made of some inputs.

    Attributes:
        outputs: Mean outputs after T steps, float32, (images, *read-out shape): the logits.
        outputs_by_step: The same after every step, float32, (images, T, *read-out shape).
        results: What the model itself returns: ``outputs`` after Softmax, ArgMax and the like.
        predictions: Class per image, int64, (images,); None if the program does not classify.
        counts: Per layer, arrays (images, T).
        spikes: Payloads of the recorded populations, (images, T, *shape).
        membranes: Membrane potentials of the recorded adafire populations, int32,
            (images, T, *shape), after each step.
        exits: The step after which each image left, int64, (images,); None if all took T steps.
            Behind it outputs stay as they are, and counts, spikes and membranes are 0, but for
            what windowed populations spend.
    """

    outputs: Float32
    outputs_by_step: Float32
    results: Array
    predictions: Int64 | None
    counts: Mapping[str, LayerCounts]
    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]
    exits: Int64 | None = None


class Session:
    """A program on a backend; keeps what the backend prepares once per program.

    Args:
        program: What to run.
        backend: "simulator", "reference" (the golden model, slow), "lava" (Intel's framework, very
            slow), or a backend.

    Raises:
        OptionError: There is no backend of that name.
    """

    def __init__(self, program: Program, backend: str | Backend = "simulator") -> None:
        self.program = program
        self.backend: Backend = backend_named(backend) if isinstance(backend, str) else backend

    def run(
        self,
        inputs: Source,
        record: Collection[str] = (),
        progress: Progress | None = None,
        *,
        exit: bool = True,  # noqa: A002
    ) -> Run:
        """Run all inputs, in batches of bounded memory.

        Args:
            inputs: Raw inputs where the program stores preprocessing, else what the model reads.
            record: Names of populations whose spikes and membranes are returned.
            progress: Told of finished images.
            exit: Whether images leave early where the program has an exit rule; otherwise all
                take T steps.

        Raises:
            InputError: Inputs that do not fit the program.
            OptionError: An unknown name in ``record``.
        """
        recorded = self._checked_names(record)
        size = batch_size_for(self.program)
        runs = []
        for start in range(0, max(1, len(inputs)), size):
            batch = model_inputs(self.program, inputs[start : start + size], start)
            told = _adding(progress, start, len(inputs))
            runs.append(self.run_model_inputs(batch, recorded, told, exit=exit))
            if progress is not None:  # not every backend tells
                progress(min(start + size, len(inputs)), len(inputs))
        return self._decoded(runs)

    def run_model_inputs(
        self,
        inputs: Array,
        record: frozenset[str] = frozenset(),
        progress: BackendProgress | None = None,
        *,
        exit: bool = True,  # noqa: A002
    ) -> tuple[BackendRun, Int64 | None]:
        """The backend's integers for one batch of what the model reads, and its exits if any."""
        integers = quantise(self.program, inputs)
        if exit and self.program.exit_rule is not None:
            return run_until_exit(self.backend, self.program, integers, record)
        run = self.backend.run(self.program, integers, record=record, progress=progress)
        return run, None

    def _checked_names(self, record: Collection[str]) -> frozenset[str]:
        names = [population.name for population in self.program.populations]
        wanted = {record} if isinstance(record, str) else set(record)
        for name in sorted(wanted.difference(names)):
            raise OptionError(
                "no population of the program has this name",
                Where(name),
                f"its populations are {', '.join(names)}",
            )
        return frozenset(wanted)

    def _decoded(self, parts: Sequence[tuple[BackendRun, Int64 | None]]) -> Run:
        runs = [run for run, _ in parts]
        exits = [steps for _, steps in parts if steps is not None]
        by_step = np.concatenate([outputs_by_step(self.program, *part) for part in parts])
        outputs = by_step[:, -1]
        counts = [layer_counts(self.program, *part) for part in parts]
        return Run(
            outputs=outputs,
            outputs_by_step=by_step,
            results=tail(self.program, outputs),
            predictions=predictions(self.program, outputs),
            counts={layers[0].name: _joined(layers) for layers in zip(*counts, strict=True)},
            spikes=_concatenated([run.spikes for run in runs]),
            membranes=_concatenated([run.membranes for run in runs]),
            exits=np.concatenate(exits) if exits else None,
        )


def run(
    program: Program,
    inputs: Source,
    backend: str | Backend = "simulator",
    record: Collection[str] = (),
    *,
    exit: bool = True,  # noqa: A002
) -> Run:
    """Run a program on inputs; see Session.run.

    Args:
        program: What to run.
        inputs: (images, …): raw inputs where the program stores preprocessing, else float32 in
            the model's input layout.
        backend: "simulator", "reference", "lava", or a backend.
        record: Names of populations whose spikes and membranes are returned.
        exit: Whether images leave early where the program has an exit rule.
    """
    return Session(program, backend).run(inputs, record, exit=exit)


def outputs_by_step(program: Program, run: BackendRun, exits: Int64 | None = None) -> Float32:
    """Mean outputs after every step, float32 (images, T, …); behind an exit that of the exit."""
    by_step = decode_steps(program, run.readout)
    return by_step if exits is None else held(by_step, exits)


def predictions(program: Program, outputs: Array) -> Int64 | None:
    """The class of highest score, the first of equals; None if the program does not classify."""
    scores = class_scores(program, outputs)
    return None if scores is None else np.argmax(scores, axis=-1).astype(np.int64)


def backend_named(name: str, threads: int | None = None, granularity: str | None = None) -> Backend:
    """The backend of that name; its module is imported only now.

    Args:
        name: "simulator", "reference" or "lava".
        threads: Images that the simulator runs at the same time; by default one per processor.
        granularity: What becomes a process of Lava: "layer" (by default) or "network".

    Raises:
        OptionError: There is no such backend, it runs one image after the other, or it has no
            processes.
    """
    if threads is not None and name != "simulator":
        problem = f"{threads} threads were asked for, the backend {name!r} knows none"
        raise OptionError(problem, hint="leave the threads out, or choose simulator")
    if granularity is not None and name != "lava":
        problem = f"granularity {granularity!r} was asked for, the backend {name!r} knows none"
        raise OptionError(problem, hint="leave it out, or choose lava")
    match name:
        case "simulator":
            from spikec.backends.simulator import SimulatorBackend

            return SimulatorBackend(threads)
        case "reference":
            from spikec.backends.reference import ReferenceBackend

            return ReferenceBackend()
        case "lava":
            from spikec.backends.lava.backend import LavaBackend

            return LavaBackend(granularity=granularity or "layer")
        case _:
            raise OptionError(
                f"there is no backend named {name!r}", hint=f"choose from {', '.join(BACKENDS)}"
            )


def batch_size_for(program: Program) -> int:
    """Images per batch, 1…256, such that a batch stays near 256 MiB."""
    neurons = max(int(np.prod(population.shape)) for population in program.populations)
    frames = program.timesteps if program.input.coding is Coding.FRAMES else 1
    pixels = int(np.prod(program.input.shape)) * frames
    per_image = _BYTES_PER_PAYLOAD * max(neurons * program.timesteps, pixels)
    return int(np.clip(_BATCH_BYTES // per_image, 1, 256))


def _adding(progress: Progress | None, done: int, total: int) -> BackendProgress | None:
    """What a backend tells of the images of one batch, told of all images."""
    if progress is None:
        return None

    def add(images: int) -> None:
        nonlocal done
        done += images
        progress(done, total)

    return add


def _joined(layers: Sequence[LayerCounts]) -> LayerCounts:
    return layers[0] if len(layers) == 1 else layers[0].followed_by(layers[1:])


def _concatenated(mappings: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([m[name] for m in mappings]) for name in mappings[0]}
