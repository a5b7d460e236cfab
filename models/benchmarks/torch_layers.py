"""Connections of a program as float32 functions of PyTorch.

The integers of a program are small enough for float32 to hold them exactly, so a network built
from these functions emits the spikes of the program, if its neurons do what the program's do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from spikec.compiler.arrays import Array
from spikec.compiler.connections import (
    Connection,
    Conv,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
    Weighted,
)
from spikec.compiler.geometry import factor_shape
from spikec.compiler.populations import AdaFire, Population, Readout, Shape
from spikec.compiler.program import Program

Function = Callable[[Tensor], Tensor]


class CurrentInto:
    """Input current and bias of one population, from the payloads of its sources.

    Args:
        program: Whose population it is.
        population: An AdaFire or a read-out.
        divisor: Divides weights and bias, broadcastable against the population's shape.
        layout: Memory format of the kernels, which decides how convolutions are computed.
    """

    def __init__(
        self,
        program: Program,
        population: AdaFire | Readout,
        divisor: Array | float = 1,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        shapes = {p.name: p.shape for p in program.populations}
        self.layout = layout
        self.parts: list[tuple[str, Function]] = []
        bias = population.bias / divisor
        for connection in program.into(population.name):
            function, bias = self._carrier(connection, shapes[connection.source], divisor, bias)
            self.parts.append((connection.source, function))
        self._rest = as_tensor(bias)[None] if bias.any() else None

    def __call__(self, payloads: dict[str, Tensor], sources: Sequence[str] | None = None) -> Tensor:
        """The sum over connections, (images, *shape); from some sources only, if they are named."""
        chosen = [(s, f) for s, f in self.parts if sources is None or s in sources]
        total = chosen[0][1](payloads[chosen[0][0]])
        for source, function in chosen[1:]:
            total = total + function(payloads[source])
        return total if self._rest is None else total + self._rest

    def _carrier(
        self, connection: Connection, shape: Shape, divisor: Array | float, bias: Array
    ) -> tuple[Function, Array]:
        """What a connection adds to the current; and the bias, zero if the function adds it."""
        functions: list[Function] = []
        *_, last = connection.factors
        absorbed = isinstance(last, Conv | Dense) and bias.size == len(last.weights)
        for factor, weights in _scaled(connection, divisor):
            ending = as_tensor(bias.reshape(-1)) if absorbed and factor is last else None
            tensor = as_tensor(weights)
            if isinstance(factor, Conv):
                tensor = tensor.contiguous(memory_format=self.layout)
            functions.append(_function(factor, shape, tensor, ending))
            shape = factor_shape(factor, shape)
        return _chain(functions), np.zeros(1) if absorbed else bias


def as_tensor(array: Array) -> Tensor:
    """A float32 copy."""
    return torch.from_numpy(np.ascontiguousarray(array).astype(np.float32))


def is_constant(program: Program, population: Population) -> bool:
    """Whether its current is the same at every step: it comes from a direct input alone."""
    sources = {connection.source for connection in program.into(population.name)}
    return sources == {program.input.name} and program.input.coding == "direct"


def _scaled(connection: Connection, divisor: Array | float) -> list[tuple[Factor, Array]]:
    """The factors and their weights, the last of which hold exponent and divisor."""
    factors = connection.factors
    weighted = [n for n, factor in enumerate(factors) if isinstance(factor, Weighted)]
    if not weighted or (np.size(divisor) > 1 and weighted[-1] != len(factors) - 1):
        raise NotImplementedError(f"{connection.name} has no weights to scale")
    result = []
    for number, factor in enumerate(factors):
        weights = factor.weights * 1.0 if isinstance(factor, Weighted) else np.ones(1)
        if number == weighted[-1]:
            channels = (-1, *(1,) * (weights.ndim - 1))
            weights = weights * 2**connection.exponent / np.reshape(divisor, channels)
        result.append((factor, weights))
    return result


def _chain(functions: Sequence[Function]) -> Function:
    if len(functions) == 1:
        return functions[0]

    def through(payloads: Tensor) -> Tensor:
        for function in functions:
            payloads = function(payloads)
        return payloads

    return through


def _function(factor: Factor, shape: Shape, weights: Tensor, bias: Tensor | None) -> Function:
    match factor:
        case Dense():
            return lambda x: F.linear(x.flatten(1), weights, bias)
        case Conv():
            return _convolution(factor, weights, bias)
        case Identity():
            per_channel = weights.reshape(-1, *(1,) * (len(shape) - 1))
            return lambda x: x * per_channel
        case SumPool(kernel=kernel, strides=strides, pads=pads, dilations=(1, 1)):
            around = _around(pads)
            return lambda x: F.avg_pool2d(
                F.pad(x, around) if any(around) else x, kernel, strides, divisor_override=1
            )
        case GlobalSum():
            axes = list(range(2, len(shape) + 1))
            return lambda x: x.sum(axes, keepdim=True)
        case Gather(indices=indices):
            return _gathered(indices, shape)
    raise NotImplementedError(f"{type(factor).__name__} is in none of the measured networks")


def _convolution(factor: Conv, weights: Tensor, bias: Tensor | None) -> Function:
    strides, dilations, groups = factor.strides, factor.dilations, factor.groups
    around, symmetric = _around(factor.pads), _symmetric(factor.pads)
    if symmetric is None:
        return lambda x: F.conv2d(F.pad(x, around), weights, bias, strides, 0, dilations, groups)
    return lambda x: F.conv2d(x, weights, bias, strides, symmetric, dilations, groups)


def _symmetric(pads: Shape) -> Shape | None:
    half = len(pads) // 2
    return pads[:half] if pads[:half] == pads[half:] else None


def _around(pads: Shape) -> tuple[int, ...]:
    """Cells as torch wants them: last axis first, before and after."""
    top, left, bottom, right = pads
    return left, right, top, bottom


def _gathered(indices: Array, shape: Shape) -> Function:
    result = indices.shape
    if np.array_equal(indices.reshape(-1), np.arange(np.prod(shape))):
        return lambda x: x.reshape(len(x), *result)
    silent = int(np.prod(shape))
    chosen = torch.from_numpy(np.where(indices < 0, silent, indices).reshape(-1).astype(np.int64))
    return lambda x: F.pad(x.flatten(1), (0, 1)).index_select(1, chosen).reshape(len(x), *result)
