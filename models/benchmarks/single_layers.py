"""One connection at a time: what events cost, and what a layer costs when nothing fires.

Frames of random payloads enter a population that passes them on (weight 1, threshold 1), and from
there reach equal populations that never fire. Five of these instead of one cost four times a
connection and its neurons, so preparing the input, packing it and reading out drop out. What the
same difference is for silent frames is the cost of the neurons; the rest is the cost of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from machine import additions
from measured import ADDITIONS, Layer
from timing import Samples, Spread, interleaved

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.arrays import Array, Int8
from spikec.compiler.connections import Connection, Conv, Dense, Factor, GlobalSum, Identity
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout, Shape
from spikec.compiler.program import Program

SPREAD = 25
"""Standard deviation of the weights, as in trained and quantised networks."""
COPIES = 5
NEVER = 2**18
"""A threshold that no sum of random weights reaches, and that fits 24 bits for φ = 15."""
DENSITIES = (0.01, 0.05, 0.10, 0.20, 0.40)
PHIS = (1, 15)
VISIBLE = 0.1
"""Share of a layer's time that events must add before a rate is computed from it."""


@dataclass(frozen=True)
class LayerShape:
    """A layer to be measured.

    Attributes:
        name: In tables.
        source: Shape of the emitting population.
        sink: Shape of the receiving one.
        kernel: Window; 0 for a dense layer.
        groups: As in Conv.
        images: Batch.
        timesteps: T.
    """

    name: str
    source: Shape
    sink: Shape
    kernel: int
    groups: int = 1
    images: int = 2
    timesteps: int = 32

    def factor(self, random: np.random.Generator) -> Factor:
        """With random weights."""
        channels = self.source[0] // self.groups
        if not self.kernel:
            return Dense(_weights(random, self.sink[0], self.source[0]))
        pad = self.kernel // 2
        weights = _weights(random, self.sink[0], channels, self.kernel, self.kernel)
        return Conv(weights, (1, 1), (pad,) * 4, (1, 1), self.groups)


LAYERS = (
    LayerShape("3×3 64→64 @32×32", (64, 32, 32), (64, 32, 32), 3),
    LayerShape("3×3 128→128 @16×16", (128, 16, 16), (128, 16, 16), 3, images=4),
    LayerShape("3×3 512→512 @4×4", (512, 4, 4), (512, 4, 4), 3, images=4),
    LayerShape("1×1 256→512 @14×14", (256, 14, 14), (512, 14, 14), 1),
    LayerShape("dense 512→512", (512,), (512,), 0, images=16, timesteps=64),
    LayerShape("depthwise 3×3 256 @14×14", (256, 14, 14), (256, 14, 14), 3, groups=256),
)


def measured(
    shape: LayerShape, phi: int, densities: Sequence[float], repeats: int
) -> Iterator[Layer]:
    """The layer at several densities, all in turns."""
    programs = {copies: program(shape, phi, copies) for copies in (1, COPIES)}
    frames = {d: random_frames(shape, phi, d) for d in (0.0, *densities)}
    works: dict[str, Callable[[], object]] = {
        f"{copies} {d}": _work(programs[copies], frames[d]) for copies in programs for d in frames
    }
    works[ADDITIONS], adds = additions(16)
    samples = interleaved(works, repeats)
    silent = _per_frame(samples, 0.0, shape)
    peak = adds / 1e9 / np.array(samples[ADDITIONS].cpu)
    for d in densities:
        run = SimulatorBackend(threads=1).run(programs[1], frames[d])
        count = shape.images * shape.timesteps
        events = float(run.connections[1].events.sum()) / count
        source = run.populations["source"]
        whole = _per_frame(samples, d, shape)
        yield Layer(
            unit=unit(shape, phi),
            layer=shape.name,
            phi=phi,
            density=float(source.events.sum()) / count / source.neurons,
            events=events,
            whole=Spread.of(whole),
            silent=Spread.of(silent),
            rate=_rate(events, whole, silent),
            share=_rate(events / peak, whole, silent),
        )


def unit(shape: LayerShape, phi: int) -> str:
    """Name of what is measured in turns."""
    return f"{shape.name} phi={phi}"


def program(shape: LayerShape, phi: int, copies: int) -> Program:
    """A source, copies of the layer behind it, and a read-out."""
    random = np.random.default_rng(0)
    one = np.ones((1,) * len(shape.source))
    frames = Input("frames", shape.source, 8, one, one, one * 0, Coding.FRAMES)
    source = _neurons("source", shape.source, phi, 1)
    sinks = [_neurons(f"copy{n}", shape.sink, phi, NEVER) for n in range(copies)]
    scores = Readout("scores", (1,), np.zeros(1, np.int32), np.ones(1))
    pass_on = Identity(np.ones(shape.source[0], np.int8))
    top = Dense(np.ones((1, shape.sink[0]), np.int8))
    ends = (GlobalSum(), top) if len(shape.sink) > 1 else (top,)
    return Program(
        (frames, source, *sinks, scores),
        (
            Connection("frames", "source", (pass_on,)),
            *(Connection("source", sink.name, (shape.factor(random),)) for sink in sinks),
            *(Connection(sink.name, "scores", ends) for sink in sinks),
        ),
        shape.timesteps,
    )


def random_frames(shape: LayerShape, phi: int, density: float) -> Int8:
    """Independent payloads 1…φ, all alike, on that share of neurons and steps."""
    random = np.random.default_rng(1)
    size = (shape.images, shape.timesteps, *shape.source)
    payloads = random.integers(1, phi + 1, size, np.int8)
    return payloads * (random.random(size) < density)


def _neurons(name: str, shape: Shape, phi: int, threshold: int) -> AdaFire:
    one = np.ones((1,) * len(shape), np.int32)
    zero = one * 0
    return AdaFire(
        name, shape, one * threshold, zero, zero, phi, Fire.PLAIN, False, np.ones_like(one, float)
    )


def _weights(random: np.random.Generator, *shape: int) -> Int8:
    return np.clip(np.rint(random.normal(0, SPREAD, shape)), -127, 127).astype(np.int8)


def _work(program: Program, frames: Int8) -> Callable[[], object]:
    backend = SimulatorBackend(threads=1)  # each program keeps its plan
    return lambda: backend.run(program, frames)


def _per_frame(samples: dict[str, Samples], density: float, shape: LayerShape) -> Array:
    """CPU µs per image and step of one copy, per repeat."""
    one, several = (np.array(samples[f"{copies} {density}"].cpu) for copies in (1, COPIES))
    frames = (COPIES - 1) * shape.images * shape.timesteps
    return np.asarray(1e6 * (several - one) / frames)


def _rate(events: Array | float, whole: Array, silent: Array) -> Spread:
    """10⁹ operations per second; 0 where three in four repeats do not see what events add."""
    added = whole - silent
    seen = added > VISIBLE * whole
    if seen.mean() < 0.75:
        return Spread(0.0, 0.0, 0.0)
    return Spread.of((events / 1e3 / added)[seen])
