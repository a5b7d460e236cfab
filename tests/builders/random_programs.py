"""Random valid programs over all kinds of populations and connections, and inputs for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from random_factors import CELLS, PRODUCTS, WIDE, RandomFactors, work

from spikec.compiler.arrays import Array
from spikec.compiler.connections import Connection, Dense, Factor, Gather, GlobalSum, Identity
from spikec.compiler.errors import BoundError
from spikec.compiler.populations import (
    AdaFire,
    Coding,
    Fire,
    Input,
    MaxPool,
    Population,
    Readout,
    Shape,
)
from spikec.compiler.program import Program

WORK = 2 * 10**7
"""Most multiplications of a run."""

LOOPS = 2500
"""Most turns of the reference's loops over taps and windows, for one image."""


@dataclass(frozen=True, eq=False)
class Case:
    """A program and quantised inputs for it."""

    program: Program
    inputs: Array


class Growing(RandomFactors):
    """A program under construction; every choice is drawn from hypothesis."""

    def __init__(self, draw: st.DrawFn, *, ample: bool = False) -> None:
        super().__init__(draw, ample=ample)
        self.populations: list[Population] = []
        self.connections: list[Connection] = []
        self.membrane_bits = draw(
            st.one_of(st.integers(8, 32), st.sampled_from([24, 31, 32]))
            if ample
            else st.sampled_from([8, 10, 12, 16, 24, 32])
        )
        self.vmax = 2 ** (self.membrane_bits - 1) - 1

    def per_something(self, shape: Shape, low: int, high: int) -> Array:
        """An integer parameter: one for all, one per channel, or one per neuron."""
        channel = (shape[0], *(1 for _ in shape[1:]))
        size = self.draw(st.sampled_from([tuple(1 for _ in shape), channel, shape]))
        return self.random.integers(low, high + 1, size)

    def input(self) -> None:
        """The input population: a vector, a line or an image; H ≠ W."""
        side = st.integers(1, 7)
        if self.ample:
            side = st.one_of(st.integers(1, 4), st.integers(1, 4 if self.units else 12))
        spatial = self.draw(st.one_of(st.just(()), st.tuples(side), st.tuples(side, side)))
        channels = self.draw(
            st.one_of(st.integers(1, 4), WIDE) if self.ample else st.integers(1, 4)
        )
        channels = max(1, min(channels, CELLS // math.prod(spatial)))
        bits = self.draw(st.integers(2, 16 if self.ample else 8))
        coding = Coding.DIRECT if self.units else self.draw(st.sampled_from(Coding))
        shape = (channels, *spatial)
        one = np.ones([1] * len(shape))
        self.populations.append(Input("input", shape, bits, one, one, one * 0, coding))

    def adafire(self, name: str, shape: Shape) -> None:
        """Neurons of a random rule whose thresholds make them fire now and then."""
        unit = self.units or (self.ample and self.draw(st.booleans()))
        rule = Fire.PLAIN if unit else self.draw(st.sampled_from(Fire))
        phi = 1 if unit else self.draw(st.sampled_from([1, 1, 2, 3, 7, 127, 128, 255]))
        windowed = rule is not Fire.RETRACT and self.draw(st.booleans())
        limits = [300, 20_000, 10**6, 2**30, self.vmax] if self.ample else [20_000]
        theta = self.draw(st.integers(1, min(self.vmax, self.draw(st.sampled_from(limits)))))
        push = min(self.vmax, theta)
        self.populations.append(
            AdaFire(
                name,
                shape,
                self.per_something(shape, 1, theta),
                self.per_something(shape, -push, push),
                self.per_something(shape, -push, push),
                phi,
                rule,
                windowed,
                np.ones([1] * len(shape)),
            )
        )

    def max_pool(self, name: str, counters: Shape) -> None:
        """Overlapping, padded, dilated windows, none without a real cell."""
        rank = len(counters) - 1
        kernel, strides, pads, dilations = [], [], [], []
        for length in counters[1:]:
            kernel.append(self.draw(st.integers(1, min(3, length))))
            dilations.append(self.draw(st.integers(1, 2 if 2 * (kernel[-1] - 1) < length else 1)))
            strides.append(self.draw(st.integers(1, 3)))
            # Padding below one dilation step leaves every window its first or last real cell.
            most = min(kernel[-1] - 1, 1) * (dilations[-1] if kernel[-1] > 1 else 0)
            pads.append((self.draw(st.integers(0, most)), self.draw(st.integers(0, most))))
        spatial = [
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(counters[1:], kernel, strides, pads, dilations, strict=True)
        ]
        ends = (*(before for before, _ in pads), *(after for _, after in pads))
        self.populations.append(
            MaxPool(
                name, (counters[0], *spatial), counters, tuple(kernel), tuple(strides), ends,
                tuple(dilations), np.ones([1] * (rank + 1)),
            )
        )  # fmt: skip

    def fitted(self, source: Population, target: Shape) -> tuple[Factor, ...]:
        """Factors that lead from a population to a given shape."""
        if source.shape == target and self.draw(st.booleans()):
            return (Identity(self.weights(target[0])),) if self.draw(st.booleans()) else ()
        products = math.prod(target) * math.prod(source.shape)
        if self.draw(st.booleans()) or products > PRODUCTS:
            return (self.gather(source.shape, target),)
        first = Dense(self.weights(math.prod(target), math.prod(source.shape)))
        order = np.arange(math.prod(target)).reshape(target)
        return (first,) if len(target) == 1 else (first, Gather(order))

    def connect(self, source: Population, sink: str, factors: tuple[Factor, ...]) -> None:
        """A connection; a random exponent unless it must carry payloads as they are."""
        exponent = self.draw(
            st.sampled_from([0, 0, 1, 2, 3, 8]) if self.ample else st.integers(0, 3)
        )
        self.connections.append(Connection(source.name, sink, factors, exponent))

    def hidden(self, name: str) -> None:
        """One population with one or more sources."""
        source = self.draw(st.sampled_from(self.populations))
        if len(source.shape) > 1 and self.draw(st.integers(0, 3)) == 0:
            direct = self.draw(st.booleans())
            counters = source.shape if direct else self.draw(st.sampled_from([(2, 5), (1, 4, 3)]))
            factors = () if direct else (self.gather(source.shape, counters),)
            others = self.others()
            self.max_pool(name, counters)
            self.connections.append(Connection(source.name, name, factors))
            for other in others:
                gather = (self.gather(other.shape, counters),)
                self.connections.append(Connection(other.name, name, gather))
            return
        factors, shape = self.chain(source.shape)
        if math.prod(shape) > CELLS:
            factors, shape = (*factors, GlobalSum()), (shape[0], *(1 for _ in shape[1:]))
        others = self.others()
        self.adafire(name, shape)
        self.connect(source, name, factors)
        for other in others:
            self.connect(other, name, self.fitted(other, shape))

    def others(self) -> list[Population]:
        """More sources of a population."""
        return self.draw(st.lists(st.sampled_from(self.populations), max_size=2))

    def readout(self) -> None:
        """The read-out; it takes every population that nobody else takes."""
        used = {connection.source for connection in self.connections}
        shape = self.draw(st.sampled_from([(1,), (3,), (2, 2)]))
        for source in [p for p in self.populations if p.name not in used]:
            self.connect(source, "readout", self.fitted(source, shape))
        bias = self.per_something(shape, -1000, 1000)
        self.populations.append(Readout("readout", shape, bias, np.ones([1] * len(shape))))

    def affordable(self) -> tuple[int, int]:
        """Steps times images that the reference can compute soon, and steps."""
        shapes = {population.name: population.shape for population in self.populations}
        parts = [work(c, shapes[c.source]) for c in self.connections]
        windows = [math.prod(p.shape) // p.shape[0] for p in self.populations if is_pool(p)]
        products, loops = (sum(column) for column in zip(*parts, strict=True))
        return max(1, WORK // products), max(1, LOOPS // (loops + sum(windows)))


def is_pool(population: Population) -> bool:
    """Whether the reference visits it window by window."""
    return isinstance(population, MaxPool)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A valid program of one to five hidden populations."""
    return _program(Growing(draw), draw(st.integers(1, 12)))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A valid program and one to three inputs, their extremes included."""
    growing = Growing(draw)
    program = _program(growing, draw(st.integers(1, 12)))
    return Case(program, _inputs(growing, program, draw(st.integers(1, 3))))


@st.composite
def ample_cases(draw: st.DrawFn) -> Case:
    """Any kernel, any number of channels, up to 64 steps and 33 images, soon computed.

    Either many images of few steps, or few of many.
    """
    growing = Growing(draw, ample=True)
    _grow(growing, draw(st.integers(1, 4)))
    most, longest = growing.affordable()
    images = draw(st.sampled_from([n for n in (1, 1, 2, 3, 5, 33) if n <= most]))
    most = min(longest, most // images, 64)
    timesteps = draw(st.sampled_from([n for n in (1, 2, 3, 4, 5, 8, 13, 32, 64) if n <= most]))
    program = _checked(growing, timesteps)
    return Case(program, _inputs(growing, program, images))


def _inputs(growing: Growing, program: Program, images: int) -> Array:
    source = program.input
    limit = 2 ** (source.bits - 1) - 1
    frames = (program.timesteps,) if source.coding is Coding.FRAMES else ()
    shape = (images, *frames, *source.shape)
    if growing.draw(st.booleans()):
        return growing.random.choice(np.array([-limit, limit]), shape)
    return growing.random.integers(-limit, limit + 1, shape)


def _program(growing: Growing, timesteps: int) -> Program:
    _grow(growing, growing.draw(st.integers(1, 5)))
    return _checked(growing, timesteps)


def _grow(growing: Growing, hidden: int) -> None:
    growing.input()
    for index in range(hidden):
        growing.hidden(f"hidden{index}")
    growing.readout()


def _checked(growing: Growing, timesteps: int) -> Program:
    populations, connections = tuple(growing.populations), tuple(growing.connections)
    try:
        return Program(populations, connections, timesteps, growing.membrane_bits)
    except BoundError:
        reject()  # long chains of large weights: rightly refused
