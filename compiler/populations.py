"""The four kinds of population of a program, as the integer contract defines them.

Integer parameters (threshold, bias, initial) and scales are arrays that broadcast against the
population's shape: as many axes, each of length 1 or of the population's length. Axis 0 is the
channel axis, so a parameter per channel of a (C, H, W) population has shape (C, 1, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from spikec.compiler.arrays import Float64, Int32, freeze_array, freeze_numbers
from spikec.compiler.errors import ProgramError, Where

Shape = tuple[int, ...]

Member = TypeVar("Member", bound=StrEnum)


class Fire(StrEnum):
    """Firing rules: how many spikes n a membrane potential v emits at threshold θ."""

    PLAIN = "plain"
    """n = clip(⌊v/θ⌋, 0, φ)."""
    RETRACT = "retract"
    """n = clip(⌊v/θ⌋, −min(φ, C), φ), with C the running total emitted."""
    SIGNED = "signed"
    """n = clip(⌊v/θ⌋, −φ, φ)."""


class Coding(StrEnum):
    """What an input population emits at each step."""

    DIRECT = "direct"
    """The same quantised input at every step."""
    FRAMES = "frames"
    """Frame t of an event stream at step t."""


@dataclass(frozen=True, eq=False)
class Input:
    """Emits the quantised input q = clip(round((gain·x + offset) / scale), ±(2^(bits−1) − 1)).

    Attributes:
        name: Unique in the program.
        shape: Without batch axis.
        bits: Width of a payload, sign included, 2…16.
        scale: Positive, float64, broadcastable: scale·q approximates gain·x + offset.
        gain: Per-element factor of the affine maps that the model applies to its input first.
        offset: Per-element summand of these maps.
        coding: Direct or frames.
    """

    name: str
    shape: Shape
    bits: int
    scale: Float64
    gain: Float64
    offset: Float64
    coding: Coding = Coding.DIRECT

    def __post_init__(self) -> None:
        _freeze(self, ("shape", "bits"), (), ("scale", "gain", "offset"))
        object.__setattr__(self, "coding", _member(Coding, self.coding, self.name))


@dataclass(frozen=True, eq=False)
class AdaFire:
    """Integrates its current and fires up to φ spikes per step.

    Attributes:
        name: Unique in the program.
        shape: Without batch axis.
        threshold: θ > 0, int32, broadcastable.
        bias: b, added at each of the T input steps, int32, broadcastable.
        initial: v0, the potential before step 1, int32, broadcastable.
        phi: φ, largest payload per step, 1…255.
        fire: Firing rule.
        windowed: Integrate T steps without firing, then fire T steps without input.
        scale: Positive, float64, broadcastable: scale·(Σ_t n[t])/T approximates the activation.
    """

    name: str
    shape: Shape
    threshold: Int32
    bias: Int32
    initial: Int32
    phi: int
    fire: Fire
    windowed: bool
    scale: Float64

    def __post_init__(self) -> None:
        _freeze(self, ("shape", "phi"), ("threshold", "bias", "initial"), ("scale",))
        object.__setattr__(self, "fire", _member(Fire, self.fire, self.name))
        if not isinstance(self.windowed, bool):
            problem = f"windowed is {self.windowed!r}, not True or False"
            raise ProgramError(problem, Where(self.name))


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Emits the growth of the largest running input count of each window.

    Attributes:
        name: Unique in the program.
        shape: (C, *spatial) of the output.
        counters: (C, *spatial) of the input counts.
        kernel: Window size per spatial axis.
        strides: Per spatial axis.
        pads: Cells before each spatial axis, then cells after each; a padded cell never counts.
            A ceiling in the output size is expressed by more padding after.
        dilations: Per spatial axis.
        scale: As in AdaFire.
    """

    name: str
    shape: Shape
    counters: Shape
    kernel: Shape
    strides: Shape
    pads: Shape
    dilations: Shape
    scale: Float64

    def __post_init__(self) -> None:
        windows = ("shape", "counters", "kernel", "strides", "pads", "dilations")
        _freeze(self, windows, (), ("scale",))


@dataclass(frozen=True, eq=False)
class Readout:
    """Sums its current and bias over T steps, never fires; the result is v·scale/T.

    Attributes:
        name: Unique in the program.
        shape: Without batch axis.
        bias: int32, broadcastable.
        scale: Positive, float64, broadcastable.
    """

    name: str
    shape: Shape
    bias: Int32
    scale: Float64

    def __post_init__(self) -> None:
        _freeze(self, ("shape",), ("bias",), ("scale",))


Population = Input | AdaFire | MaxPool | Readout


def _freeze(
    population: Population,
    numbers: tuple[str, ...],
    integers: tuple[str, ...],
    reals: tuple[str, ...],
) -> None:
    """Make the fields whole numbers, frozen int32 and frozen float64, or raise ProgramError."""
    if not isinstance(population.name, str):
        raise ProgramError(f"a population's name is {population.name!r}, not text")
    where = Where(population.name)
    for field in numbers:
        freeze_numbers(population, field, where)
    for field in integers:
        freeze_array(population, field, np.int32, where)
    for field in reals:
        freeze_array(population, field, np.float64, where)


def _member(kind: type[Member], value: str, name: str) -> Member:
    try:
        return kind(value)
    except ValueError as error:
        choices = ", ".join(kind)
        problem = f"{kind.__name__.lower()} is {value!r}, not one of {choices}"
        raise ProgramError(problem, Where(name)) from error
