"""Random valid programs over all kinds of populations and connections, and inputs for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from spikec.compiler.arrays import Array
from spikec.compiler.connections import (
    Connection,
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.errors import BoundError
from spikec.compiler.geometry import factor_shape
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

ONE = np.ones(1)
CHANNELS = st.integers(1, 4)


@dataclass(frozen=True, eq=False)
class Case:
    """A program and quantised inputs for it."""

    program: Program
    inputs: Array


class Growing:
    """A program under construction; every choice is drawn from hypothesis."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.populations: list[Population] = []
        self.connections: list[Connection] = []
        self.timesteps = draw(st.integers(1, 12))
        self.membrane_bits = draw(st.sampled_from([8, 10, 12, 16, 24, 32]))
        self.vmax = 2 ** (self.membrane_bits - 1) - 1

    def weights(self, *shape: int) -> Array:
        """Wide, narrow, extreme or sparse int8 weights."""
        kind = self.draw(st.sampled_from(["wide", "narrow", "extreme", "sparse"]))
        if kind == "extreme":
            return self.random.choice(np.array([-127, 127], np.int8), shape)
        limit = 127 if kind == "wide" else 3
        weights = self.random.integers(-limit, limit + 1, shape, dtype=np.int8)
        return weights * (self.random.random(shape) < 0.3) if kind == "sparse" else weights

    def per_something(self, shape: Shape, low: int, high: int) -> Array:
        """An integer parameter: one for all, one per channel, or one per neuron."""
        channel = (shape[0], *(1 for _ in shape[1:]))
        size = self.draw(st.sampled_from([tuple(1 for _ in shape), channel, shape]))
        return self.random.integers(low, high + 1, size)

    def input(self) -> None:
        """The input population: a vector, a line or an image; H ≠ W."""
        side = st.integers(1, 7)
        spatial = self.draw(st.one_of(st.just(()), st.tuples(side), st.tuples(side, side)))
        channels = self.draw(st.integers(1, 4))
        bits = self.draw(st.integers(2, 8))
        coding = self.draw(st.sampled_from(Coding))
        shape = (channels, *spatial)
        one = np.ones([1] * len(shape))
        self.populations.append(Input("input", shape, bits, one, one, one * 0, coding))

    def adafire(self, name: str, shape: Shape) -> None:
        """Neurons of a random rule whose thresholds make them fire now and then."""
        rule = self.draw(st.sampled_from(Fire))
        windowed = rule is not Fire.RETRACT and self.draw(st.booleans())
        theta = self.draw(st.integers(1, min(self.vmax, 20_000)))
        push = min(self.vmax, theta)
        self.populations.append(
            AdaFire(
                name,
                shape,
                self.per_something(shape, 1, theta),
                self.per_something(shape, -push, push),
                self.per_something(shape, -push, push),
                self.draw(st.sampled_from([1, 1, 2, 3, 7, 127, 128, 255])),
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

    def factor(self, shape: Shape) -> Factor:
        """A factor that takes this shape."""
        kinds = ["dense", "identity", "gather"]
        if len(shape) > 1:
            kinds += ["conv", "conv", "depthwise", "transpose", "sum_pool", "sum_conv", "global"]
        match self.draw(st.sampled_from(kinds)):
            case "dense":
                return Dense(self.weights(self.draw(st.integers(1, 6)), math.prod(shape)))
            case "identity":
                return Identity(self.weights(shape[0]))
            case "gather":
                return self.gather(
                    shape, self.draw(st.sampled_from([shape, (3, 2), (5,), (2, 2, 3)]))
                )
            case "global":
                return GlobalSum()
            case "sum_pool" | "sum_conv":
                return SumPool(*self.window(shape))
            case "transpose":
                return self.conv_transpose(shape)
            case "depthwise":
                multiplier = self.draw(st.integers(1, 2))
                kernel, *window = self.window(shape)
                weights = self.weights(shape[0] * multiplier, 1, *kernel)
                return Conv(weights, *window, shape[0])
            case _:
                groups = self.draw(st.sampled_from([g for g in (1, 2, 3, 4) if shape[0] % g == 0]))
                kernel, *window = self.window(shape)
                outputs = groups * self.draw(st.integers(1, 3))
                return Conv(self.weights(outputs, shape[0] // groups, *kernel), *window, groups)

    def gather(self, shape: Shape, target: Shape) -> Gather:
        """Random positions, some of them −1; sometimes a permutation."""
        size = math.prod(shape)
        if target == shape and self.draw(st.booleans()):
            return Gather(self.random.permutation(size).reshape(shape))
        return Gather(self.random.integers(-1, size, target))

    def window(self, shape: Shape) -> tuple[Shape, Shape, Shape, Shape]:
        """Kernel, strides, asymmetric pads and dilations that fit a shape."""
        axes = []
        for length in shape[1:]:
            before, after = self.draw(st.integers(0, 2)), self.draw(st.integers(0, 2))
            kernel = self.draw(st.integers(1, min(3, length + before + after)))
            roomy = 2 * (kernel - 1) + 1 <= length + before + after
            dilation = self.draw(st.integers(1, 2)) if roomy else 1
            axes.append((kernel, self.draw(st.integers(1, 3)), before, after, dilation))
        kernels, strides, before, after, dilations = zip(*axes, strict=True)
        return kernels, strides, (*before, *after), dilations

    def conv_transpose(self, shape: Shape) -> ConvTranspose:
        """A transposed convolution that leaves at least one cell."""
        rank = len(shape) - 1
        groups = self.draw(st.sampled_from([g for g in (1, 2, 3, 4) if shape[0] % g == 0]))
        kernel = [self.draw(st.integers(1, 3)) for _ in range(rank)]
        strides = [self.draw(st.integers(1, 3)) for _ in range(rank)]
        dilations = [self.draw(st.integers(1, 2)) for _ in range(rank)]
        pads = [self.draw(st.integers(0, 1)) for _ in range(2 * rank)]
        extra = [self.draw(st.integers(0, 2)) for _ in range(rank)]
        for axis, length in enumerate(shape[1:]):
            cells = strides[axis] * (length - 1) + dilations[axis] * (kernel[axis] - 1) + 1
            if cells + extra[axis] <= pads[axis] + pads[axis + rank]:
                pads[axis] = pads[axis + rank] = 0
        weights = self.weights(shape[0], self.draw(st.integers(1, 2)), *kernel)
        return ConvTranspose(
            weights, tuple(strides), tuple(pads), tuple(extra), tuple(dilations), groups
        )

    def chain(self, shape: Shape, most: int = 2) -> tuple[tuple[Factor, ...], Shape]:
        """Up to ``most`` factors, and the shape after them."""
        factors: list[Factor] = []
        for _ in range(self.draw(st.integers(1, most))):
            factors.append(self.factor(shape))
            shape = factor_shape(factors[-1], shape)
        return tuple(factors), shape

    def fitted(self, source: Population, target: Shape) -> tuple[Factor, ...]:
        """Factors that lead from a population to a given shape."""
        if source.shape == target and self.draw(st.booleans()):
            return (Identity(self.weights(target[0])),) if self.draw(st.booleans()) else ()
        if self.draw(st.booleans()):
            return (self.gather(source.shape, target),)
        first = Dense(self.weights(math.prod(target), math.prod(source.shape)))
        order = np.arange(math.prod(target)).reshape(target)
        return (first,) if len(target) == 1 else (first, Gather(order))

    def connect(self, source: Population, sink: str, factors: tuple[Factor, ...]) -> None:
        """A connection; a random exponent unless it must carry payloads as they are."""
        exponent = self.draw(st.integers(0, 3))
        self.connections.append(Connection(source.name, sink, factors, exponent))

    def hidden(self, name: str) -> None:
        """One population with one or more sources."""
        source = self.draw(st.sampled_from(self.populations))
        if len(source.shape) > 1 and self.draw(st.integers(0, 3)) == 0:
            direct = self.draw(st.booleans())
            counters = source.shape if direct else self.draw(st.sampled_from([(2, 5), (1, 4, 3)]))
            factors = () if direct else (self.gather(source.shape, counters),)
            self.max_pool(name, counters)
            self.connections.append(Connection(source.name, name, factors))
            return
        factors, shape = self.chain(source.shape)
        others = self.draw(st.lists(st.sampled_from(self.populations), max_size=2))
        self.adafire(name, shape)
        self.connect(source, name, factors)
        for other in others:
            self.connect(other, name, self.fitted(other, shape))

    def readout(self) -> None:
        """The read-out; it takes every population that nobody else takes."""
        used = {connection.source for connection in self.connections}
        shape = self.draw(st.sampled_from([(1,), (3,), (2, 2)]))
        for source in [p for p in self.populations if p.name not in used]:
            self.connect(source, "readout", self.fitted(source, shape))
        bias = self.per_something(shape, -1000, 1000)
        self.populations.append(Readout("readout", shape, bias, np.ones([1] * len(shape))))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A valid program of one to five hidden populations."""
    return _program(Growing(draw))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A valid program and one to three inputs, their extremes included."""
    growing = Growing(draw)
    program = _program(growing)
    source = program.input
    limit = 2 ** (source.bits - 1) - 1
    frames = (program.timesteps,) if source.coding is Coding.FRAMES else ()
    shape = (draw(st.integers(1, 3)), *frames, *source.shape)
    if draw(st.booleans()):
        return Case(program, growing.random.choice(np.array([-limit, limit]), shape))
    return Case(program, growing.random.integers(-limit, limit + 1, shape))


def _program(growing: Growing) -> Program:
    growing.input()
    for index in range(growing.draw(st.integers(1, 5))):
        growing.hidden(f"hidden{index}")
    growing.readout()
    populations, connections = tuple(growing.populations), tuple(growing.connections)
    try:
        return Program(populations, connections, growing.timesteps, growing.membrane_bits)
    except BoundError:
        reject()  # long chains of large weights: rightly refused
