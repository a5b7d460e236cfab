"""Verification: backends run one program on the same inputs, and every integer is compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from spikec.backends.base import Backend, BackendRun
from spikec.backends.reference import ReferenceBackend
from spikec.compiler.arrays import Array
from spikec.compiler.errors import InputError, Where
from spikec.compiler.populations import Coding, Input, Population, Readout
from spikec.compiler.program import Program
from spikec.runtime.counts import kind_of
from spikec.runtime.report import Json

Tell = Callable[[str], None]
"""Told which backend runs."""


@dataclass(frozen=True)
class Difference:
    """The first place where a backend differs from the golden model.

    Attributes:
        layer: Name of the population.
        quantity: "spikes", "membrane", "read-out" or "saturations".
        image: From 0.
        step: Local time step, from 1.
        neuron: Index in the population's shape; empty for a count over all neurons.
        expected: The golden model's value.
        actual: The backend's.
    """

    layer: str
    quantity: str
    image: int
    step: int
    neuron: tuple[int, ...]
    expected: int
    actual: int


@dataclass(frozen=True)
class LayerAgreement:
    """One population on one backend.

    Attributes:
        name: Of the population.
        kind: "input", "adafire", "max_pool" or "readout".
        neurons: Of the population.
        spikes: Σ|n| of the golden model over all images and steps.
        compared: Integers that were compared.
        differing: Those of them that differ.
        first: The first difference in time, or None.
    """

    name: str
    kind: str
    neurons: int
    spikes: int
    compared: int
    differing: int
    first: Difference | None


@dataclass(frozen=True)
class BackendAgreement:
    """One backend.

    Attributes:
        name: Of the backend.
        seconds: That its run took.
        layers: In program order.
    """

    name: str
    seconds: float
    layers: tuple[LayerAgreement, ...]

    @property
    def first(self) -> Difference | None:
        """The first difference in program order: later layers may differ because of it."""
        return next((layer.first for layer in self.layers if layer.first), None)


@dataclass(frozen=True)
class Verification:
    """What was compared, and with which result.

    Attributes:
        digest: Of the program.
        images: That were run.
        timesteps: T.
        seconds: That the golden model took.
        backends: One per backend that was held against it.
    """

    digest: str
    images: int
    timesteps: int
    seconds: float
    backends: tuple[BackendAgreement, ...]

    @property
    def equal(self) -> bool:
        """Whether no integer differs."""
        return all(backend.first is None for backend in self.backends)

    def to_dict(self) -> dict[str, Json]:
        """For machines."""
        content: dict[str, Json] = asdict(self)
        return {"equal": self.equal, **content}


def verify(
    program: Program,
    inputs: Array,
    backends: Sequence[Backend],
    tell: Tell = lambda name: None,
) -> Verification:
    """Run backends and the golden model; compare spikes, membranes, read-out and saturations.

    Args:
        program: What is run.
        inputs: Quantised q; see Backend.run.
        backends: Held against the golden model.
        tell: Told which backend runs.

    Raises:
        InputError: There are no inputs, or they do not fit the program.
    """
    if len(inputs) == 0:
        raise InputError("there is no input to verify on", Where(program.input.name))
    record = frozenset(population.name for population in program.populations)

    def timed(backend: Backend) -> tuple[BackendRun, float]:
        tell(backend.name)
        started = time.monotonic()
        run = backend.run(program, inputs, record=record)
        return run, time.monotonic() - started

    golden, seconds = timed(ReferenceBackend())
    agreements = []
    for backend in backends:
        run, needed = timed(backend)
        layers = tuple(_layer(p, run, golden) for p in program.populations)
        agreements.append(BackendAgreement(backend.name, needed, layers))
    steps = program.timesteps
    return Verification(program.digest, len(inputs), steps, seconds, tuple(agreements))


def random_inputs(program: Program, samples: int, seed: int = 0) -> Array:
    """Input integers over the whole range of the input population, each as likely as the others.

    Args:
        program: Its input population says shape, coding and bits.
        samples: How many.
        seed: Of the generator.
    """
    source = program.input
    limit = 2 ** (source.bits - 1) - 1
    frames = (program.timesteps,) if source.coding is Coding.FRAMES else ()
    shape = (samples, *frames, *source.shape)
    return np.random.default_rng(seed).integers(-limit, limit + 1, shape)


def _layer(population: Population, run: BackendRun, golden: BackendRun) -> LayerAgreement:
    name, compared, differing = population.name, 0, 0
    found: list[Difference] = []
    for quantity, actual, expected in _quantities(population, run, golden):
        unequal = actual != expected
        compared += unequal.size
        differing += int(unequal.sum())
        if unequal.any():
            found.append(_first(name, quantity, actual, expected))
    return LayerAgreement(
        name,
        kind_of(population),
        int(np.prod(population.shape)),
        int(golden.populations[name].spikes.sum()),
        compared,
        differing,
        min(found, key=lambda difference: difference.step, default=None),
    )


def _quantities(
    population: Population, run: BackendRun, golden: BackendRun
) -> Iterator[tuple[str, Array, Array]]:
    """Name of a quantity, a backend's values and the golden ones, (images, T, …)."""
    name = population.name
    if isinstance(population, Readout):
        yield "read-out", run.readout, golden.readout
        return
    yield "spikes", run.spikes[name], golden.spikes[name]
    if name in golden.membranes:
        yield "membrane", run.membranes[name], golden.membranes[name]
    if not isinstance(population, Input):
        counts = run.populations[name], golden.populations[name]
        yield "saturations", counts[0].saturations, counts[1].saturations


def _first(name: str, quantity: str, actual: Array, expected: Array) -> Difference:
    """The first in time, of those the one of the first image."""
    by_step = np.swapaxes(actual != expected, 0, 1)
    step, image, *neuron = map(int, np.unravel_index(int(np.argmax(by_step)), by_step.shape))
    place = (image, step, *neuron)
    wanted, found = int(expected[place]), int(actual[place])
    return Difference(name, quantity, image, step + 1, tuple(neuron), wanted, found)
