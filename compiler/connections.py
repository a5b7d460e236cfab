"""Connections of a program and the linear factors that they are made of.

A connection applies its factors to the payloads of its source, first factor first, then shifts
the sum left by its exponent. Every factor maps one array without batch axis to another; the last
one yields the sink's shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Int8, Int32, freeze_array, freeze_numbers
from spikec.compiler.errors import ProgramError, Where
from spikec.compiler.populations import Shape


@dataclass(frozen=True, eq=False)
class Dense:
    """Σ w·n over the whole source, flattened in C order: any shape of size ``in`` → (out,).

    Attributes:
        weights: int8 in [−127, 127], (out, in).
    """

    weights: Int8

    def __post_init__(self) -> None:
        _freeze(self, (), "weights")


@dataclass(frozen=True, eq=False)
class Conv:
    """Cross-correlation as in ONNX: (C, *spatial) → (out, *spatial'), one or two spatial axes.

    Attributes:
        weights: int8 in [−127, 127], (out, C/groups, *kernel).
        strides: Per spatial axis.
        pads: Zeros before each spatial axis, then zeros after each.
        dilations: Per spatial axis.
        groups: Divides C and out.
    """

    weights: Int8
    strides: Shape
    pads: Shape
    dilations: Shape
    groups: int = 1

    def __post_init__(self) -> None:
        _freeze(self, ("strides", "pads", "dilations", "groups"), "weights")


@dataclass(frozen=True, eq=False)
class ConvTranspose:
    """The adjoint of a convolution, as in ONNX: (C, *spatial) → (out, *spatial').

    Attributes:
        weights: int8 in [−127, 127], (C, out/groups, *kernel).
        strides: Per spatial axis.
        pads: Cells cut from the result before each spatial axis, then after each.
        output_padding: Cells added after each spatial axis.
        dilations: Per spatial axis.
        groups: Divides C and out.
    """

    weights: Int8
    strides: Shape
    pads: Shape
    output_padding: Shape
    dilations: Shape
    groups: int = 1

    def __post_init__(self) -> None:
        _freeze(self, ("strides", "pads", "output_padding", "dilations", "groups"), "weights")


@dataclass(frozen=True, eq=False)
class Identity:
    """One weight per channel (axis 0); the shape stays.

    Attributes:
        weights: int8 in [−127, 127], (C,).
    """

    weights: Int8

    def __post_init__(self) -> None:
        _freeze(self, (), "weights")


@dataclass(frozen=True)
class SumPool:
    """Plain sums over windows: (C, *spatial) → (C, *spatial').

    Attributes:
        kernel: Window size per spatial axis.
        strides: Per spatial axis.
        pads: Silent cells before each spatial axis, then after each.
        dilations: Per spatial axis.
    """

    kernel: Shape
    strides: Shape
    pads: Shape
    dilations: Shape

    def __post_init__(self) -> None:
        _freeze(self, ("kernel", "strides", "pads", "dilations"))


@dataclass(frozen=True)
class GlobalSum:
    """The sum over all spatial axes: (C, *spatial) → (C, 1, …)."""


@dataclass(frozen=True, eq=False)
class Gather:
    """An index map: result.flat[i] = source.flat[indices.flat[i]], or 0 where the index is −1.

    Attributes:
        indices: int32, shape of the result, −1 or a position in the C-order flattened source.
    """

    indices: Int32

    def __post_init__(self) -> None:
        freeze_array(self, "indices", np.int32, Where(op="Gather"))


Factor = Dense | Conv | ConvTranspose | Identity | SumPool | GlobalSum | Gather
Weighted = Dense | Conv | ConvTranspose | Identity


@dataclass(frozen=True, eq=False)
class Connection:
    """Carries the payloads of one population to the current of another.

    Attributes:
        source: Name of the population that emits.
        sink: Name of the population whose current this adds to.
        factors: Applied first to last; empty means: the payloads as they are.
        exponent: e ≥ 0; the sum is shifted left by e.
    """

    source: str
    sink: str
    factors: tuple[Factor, ...]
    exponent: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.source, str) and isinstance(self.sink, str)):
            raise ProgramError(f"ends {self.source!r} and {self.sink!r} are not names")
        object.__setattr__(self, "factors", tuple(self.factors))
        freeze_numbers(self, "exponent", Where(self.name))

    @property
    def name(self) -> str:
        """For messages and reports: source→sink."""
        return f"{self.source}→{self.sink}"


def _freeze(factor: Factor, numbers: tuple[str, ...], weights: str = "") -> None:
    """Make the fields whole numbers and frozen int8; ProgramError if they are not."""
    where = Where(op=type(factor).__name__)
    for field in numbers:
        freeze_numbers(factor, field, where)
    if weights:
        freeze_array(factor, weights, np.int8, where)
