"""Random linear factors of connections: any kernel, stride, dilation, grouping and index map."""

from __future__ import annotations

import math

import numpy as np
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
from spikec.compiler.geometry import factor_shape, shapes_along
from spikec.compiler.populations import Shape

CELLS = 3000
"""Most neurons of a population."""

PRODUCTS = 400_000
"""Most multiplications of a factor, per image and step."""

WIDE = st.sampled_from(
    [*range(1, 9), 15, 16, 17, 24, 33, 48, 63, 64, 64, 65, 96, 127, 128, 128, 129, 150, 193, 256]
)
"""Channels around every size that a kernel treats in another way."""


class RandomFactors:
    """Every choice is drawn from hypothesis.

    Args:
        draw: Draws.
        ample: Large kernels and many channels, too; otherwise everything is small.

    Attributes:
        units: Spikes are worth 1, and channels are mostly many: what vectors are made for.
    """

    def __init__(self, draw: st.DrawFn, *, ample: bool = False) -> None:
        self.draw = draw
        self.ample = ample
        self.units = ample and draw(st.booleans())
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def weights(self, *shape: int) -> Array:
        """Wide, narrow, extreme or sparse int8 weights."""
        kind = self.draw(st.sampled_from(["wide", "narrow", "extreme", "sparse"]))
        if kind == "extreme":
            return self.random.choice(np.array([-127, 127], np.int8), shape)
        limit = 127 if kind == "wide" else 3
        weights = self.random.integers(-limit, limit + 1, shape, dtype=np.int8)
        return weights * (self.random.random(shape) < 0.3) if kind == "sparse" else weights

    def factor(self, shape: Shape) -> Factor:
        """A factor that takes this shape."""
        kinds = ["dense", "identity", "gather"]
        if len(shape) > 1:
            kinds += ["conv", "conv", "depthwise", "transpose", "sum_pool", "global"]
        match self.draw(st.sampled_from(kinds)):
            case "dense":
                return self.dense(shape)
            case "identity":
                return Identity(self.weights(shape[0]))
            case "gather":
                return self.any_gather(shape)
            case "global":
                return GlobalSum()
            case "sum_pool":
                return SumPool(*self.window(shape))
            case "transpose":
                return self.conv_transpose(shape)
            case "depthwise":
                return self.conv(shape, shape[0])
            case _:
                return self.conv(shape, self.groups(shape))

    def dense(self, shape: Shape) -> Dense:
        """A few outputs, or many."""
        most = max(1, min(CELLS, PRODUCTS // math.prod(shape)))
        wanted = self.draw(self.outputs() if self.ample else st.integers(1, 6))
        return Dense(self.weights(min(wanted, most), math.prod(shape)))

    def outputs(self) -> st.SearchStrategy[int]:
        """Numbers of channels."""
        return st.sampled_from([9, 64, 70, 128, 192, 256]) if self.units else WIDE

    def groups(self, shape: Shape) -> int:
        """Any number of groups, mostly few."""
        few = [g for g in (1, 1, 1, 2, 3, 4) if shape[0] % g == 0]
        many = [g for g in range(5, shape[0]) if shape[0] % g == 0] if self.ample else []
        return self.draw(st.sampled_from([*few, *many]))

    def conv(self, shape: Shape, groups: int) -> Conv:
        """A convolution with one or more outputs per group; as many groups as channels, too."""
        window = self.window(shape)
        kernel, *moves = window
        per_group = shape[0] // groups
        positions = math.prod(factor_shape(SumPool(*window), shape)[1:])
        wanted = self.draw(st.integers(1, 3))
        if self.ample and per_group > 1:
            wanted = -(-self.draw(self.outputs()) // groups)
        products = positions * per_group * groups * math.prod(kernel)
        most = min(CELLS // (positions * groups), PRODUCTS // products)
        outputs = groups * max(1, min(wanted, most))
        return Conv(self.weights(outputs, per_group, *kernel), *moves, groups)

    def window(self, shape: Shape) -> tuple[Shape, Shape, Shape, Shape]:
        """Kernel, strides, asymmetric pads and dilations that fit a shape."""
        axes = []
        largest = self.draw(st.sampled_from([1, 3, 3, 5, 7])) if self.ample else 3
        for length in shape[1:]:
            before, after = self.draw(st.integers(0, 2)), self.draw(st.integers(0, 2))
            kernel = self.draw(st.integers(1, min(largest, length + before + after)))
            room = (length + before + after - 1) // max(1, kernel - 1)
            dilation = self.draw(st.integers(1, min(3 if self.ample else 2, room or 1)))
            axes.append((kernel, self.draw(st.integers(1, 3)), before, after, dilation))
        kernels, strides, before, after, dilations = zip(*axes, strict=True)
        return kernels, strides, (*before, *after), dilations

    def conv_transpose(self, shape: Shape) -> ConvTranspose:
        """A transposed convolution that leaves at least one cell."""
        rank = len(shape) - 1
        every = [g for g in (1, 2, 3, 4, shape[0]) if shape[0] % g == 0]
        groups = self.draw(st.sampled_from(every if self.ample else every[:-1]))
        longest = 5 if self.ample else 3
        kernel = [self.draw(st.integers(1, longest)) for _ in range(rank)]
        strides = [self.draw(st.integers(1, 3)) for _ in range(rank)]
        dilations = [self.draw(st.integers(1, 2)) for _ in range(rank)]
        pads = [self.draw(st.integers(0, 1)) for _ in range(2 * rank)]
        extra = [self.draw(st.integers(0, 2)) for _ in range(rank)]
        for axis, length in enumerate(shape[1:]):
            cells = strides[axis] * (length - 1) + dilations[axis] * (kernel[axis] - 1) + 1
            if cells + extra[axis] <= pads[axis] + pads[axis + rank]:
                pads[axis] = pads[axis + rank] = 0
        weights = self.weights(shape[0], self.draw(st.integers(1, 2)), *kernel)
        moves = (tuple(strides), tuple(pads), tuple(extra), tuple(dilations))
        return ConvTranspose(weights, *moves, groups)

    def any_gather(self, shape: Shape) -> Gather:
        """A slice, a new order or random positions, of the same shape or another one."""
        if self.draw(st.booleans()):
            return self.slice(shape)
        return self.gather(shape, self.draw(st.sampled_from([shape, (3, 2), (5,), (2, 2, 3)])))

    def gather(self, shape: Shape, target: Shape) -> Gather:
        """Random positions, some of them −1; sometimes a permutation, or only another shape."""
        size = math.prod(shape)
        if math.prod(target) == size and self.draw(st.booleans()):
            order = np.arange(size) if self.draw(st.booleans()) else self.random.permutation(size)
            return Gather(order.reshape(target))
        return Gather(self.random.integers(-1, size, target))

    def slice(self, shape: Shape) -> Gather:
        """Some channels in any order, evenly spaced cells of every axis, silent cells around."""
        indices = np.arange(math.prod(shape)).reshape(shape)
        channels = self.random.integers(0, shape[0], self.draw(st.integers(1, shape[0])))
        indices = indices[channels] if self.draw(st.booleans()) else indices
        cuts = []
        for length in indices.shape[1:]:
            first = self.draw(st.integers(0, length - 1))
            cuts.append(slice(first, None, self.draw(st.integers(1, 3))))
        indices = indices[(slice(None), *cuts)]
        margins = [(self.draw(st.integers(0, 1)), self.draw(st.integers(0, 2))) for _ in shape]
        return Gather(np.pad(indices, margins, constant_values=-1))

    def chain(self, shape: Shape, most: int = 2) -> tuple[tuple[Factor, ...], Shape]:
        """Up to ``most`` factors, and the shape after them."""
        factors: list[Factor] = []
        kind = self.draw(st.sampled_from(["any", "any", "pool", "slice", "top"]))
        spatial = len(shape) > 1
        if self.ample and kind == "pool" and spatial:
            factors.append(self.pool(shape))
            after = factor_shape(factors[0], shape)
            factors.append(self.conv(after, self.groups(after)))
        elif self.ample and kind == "slice":
            factors.append(self.slice(shape))
            after = factor_shape(factors[0], shape)
            factors.append(Identity(self.weights(after[0])))
        elif self.ample and kind == "top" and spatial:
            first = self.draw(st.sampled_from([GlobalSum(), self.pool(shape), self.slice(shape)]))
            factors += [first, self.dense(factor_shape(first, shape))]
        else:
            for _ in range(self.draw(st.integers(1, most))):
                factors.append(self.factor(shape_after(factors, shape)))
        return tuple(factors), shape_after(factors, shape)

    def pool(self, shape: Shape) -> SumPool:
        """Windows beside each other, or any others."""
        kernel, strides, pads, dilations = self.window(shape)
        if self.draw(st.booleans()):
            return SumPool(kernel, kernel, pads, tuple(1 for _ in kernel))
        return SumPool(kernel, strides, pads, dilations)


def shape_after(factors: list[Factor], shape: Shape) -> Shape:
    """The shape behind all factors."""
    for factor in factors:
        shape = factor_shape(factor, shape)
    return shape


def work(connection: Connection, shape: Shape) -> tuple[int, int]:
    """Multiplications per image and step, and taps, of a connection in plain loops over taps."""
    products = taps = 0
    shapes = shapes_along(connection, shape)
    for factor, before, after in zip(connection.factors, shapes, shapes[1:], strict=False):
        match factor:
            case Conv(weights=weights):
                products += math.prod(after) * math.prod(weights.shape[1:])
                taps += math.prod(weights.shape[2:])
            case ConvTranspose(weights=weights):
                products += math.prod(before) * math.prod(weights.shape[1:])
                taps += math.prod(weights.shape[2:])
            case SumPool(kernel=kernel):
                products += math.prod(after) * math.prod(kernel)
                taps += math.prod(kernel)
            case Dense(weights=weights):
                products += weights.size
            case _:
                products += math.prod(after)
    return products, taps + 1
