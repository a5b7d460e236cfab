"""Program: the ordered, immutable list of populations and connections that every backend runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from spikec.compiler.connections import Connection
from spikec.compiler.populations import Input, Population, Readout, Shape
from spikec.compiler.preprocessing import Preprocessing


@dataclass(frozen=True)
class TailOp:
    """An operator behind the read-out, applied by the host to the mean output.

    Attributes:
        op: "Softmax", "LogSoftmax", "Sigmoid", "ArgMax" or "Reshape".
        axis: Axis without batch axis, for all but Sigmoid and Reshape.
        shape: Result shape without batch axis, for Reshape.
        keepdims: Whether ArgMax keeps its axis with length 1.
    """

    op: str
    axis: int = 0
    shape: Shape = ()
    keepdims: bool = False


@dataclass(frozen=True, eq=False)
class Program:
    """What a compiled network means, in integers.

    Attributes:
        populations: In an order in which every source stands before its sinks; exactly one
            Input, which is the first, and one Readout.
        connections: Any number per sink; their currents add up.
        timesteps: T ≥ 1.
        membrane_bits: Width of a membrane potential, sign included; vmax = 2^(bits−1) − 1.
        target: Name of the chip that it was compiled for; empty for none.
        tail: Host operators behind the read-out.
        preprocessing: How raw inputs become the model's inputs; None: they already are.
        provenance: Where the program comes from; no part of the digest.
    """

    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    timesteps: int
    membrane_bits: int = 24
    target: str = ""
    tail: tuple[TailOp, ...] = ()
    preprocessing: Preprocessing | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    @property
    def vmax(self) -> int:
        """Largest membrane potential; the smallest is −vmax."""
        return int(2 ** (self.membrane_bits - 1) - 1)

    @property
    def input(self) -> Input:
        """The input population."""
        return next(p for p in self.populations if isinstance(p, Input))

    @property
    def readout(self) -> Readout:
        """The read-out population."""
        return next(p for p in self.populations if isinstance(p, Readout))

    def population(self, name: str) -> Population:
        """The population of that name; KeyError if there is none."""
        return self._by_name[name]

    @property
    def _by_name(self) -> dict[str, Population]:
        return {population.name: population for population in self.populations}

    def into(self, sink: str) -> tuple[Connection, ...]:
        """The connections into a population, in program order."""
        return tuple(c for c in self.connections if c.sink == sink)

    def out_of(self, source: str) -> tuple[Connection, ...]:
        """The connections out of a population, in program order."""
        return tuple(c for c in self.connections if c.source == source)
