"""Program: the ordered, immutable list of populations and connections that every backend runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from spikec.compiler.arrays import freeze_numbers
from spikec.compiler.bounds import current_bounds
from spikec.compiler.connections import Connection
from spikec.compiler.errors import ProgramError, Where
from spikec.compiler.exit_rule import ExitRule, check_exit_rule
from spikec.compiler.populations import Input, Population, Readout, Shape
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program_description import (
    Description,
    Plain,
    canonical,
    describe,
    format_of,
)
from spikec.compiler.program_structure import check_preprocessing, check_structure
from spikec.compiler.tensor_file import write_tensors

TAIL_OPS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "Reshape")


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

    def __post_init__(self) -> None:
        where = Where(op=str(self.op))
        if self.op not in TAIL_OPS:
            raise ProgramError(f"the tail knows {', '.join(TAIL_OPS)} only", where)
        freeze_numbers(self, "axis", where)
        freeze_numbers(self, "shape", where)
        if not isinstance(self.keepdims, bool):
            raise ProgramError(f"keepdims is {self.keepdims!r}, not True or False", where)


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
        exit_rule: When images may leave before step T; None: all take T steps.
        provenance: Where the program comes from; no part of the digest.

    Raises:
        ProgramError: It breaks the integer contract; names the population or connection.
        BoundError: A current cannot be proved to stay below 2^31; names the population.
    """

    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    timesteps: int
    membrane_bits: int = 24
    target: str = ""
    tail: tuple[TailOp, ...] = ()
    preprocessing: Preprocessing | None = None
    exit_rule: ExitRule | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))
        for name in ("populations", "connections", "tail"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("timesteps", "membrane_bits"):
            freeze_numbers(self, name, Where())
        texts = (self.target, *self.provenance.keys(), *self.provenance.values())
        if not all(isinstance(text, str) for text in texts):
            raise ProgramError("target and provenance must be text")
        check_structure(self)
        check_preprocessing(self.preprocessing)
        check_exit_rule(self.exit_rule, self.readout, self.timesteps)
        current_bounds(self)

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

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all but the provenance, hexadecimal; equal digests mean equal runs."""
        return self._description.digest

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file; equal programs give equal bytes.

        Raises:
            OutputFileError: It cannot be written; what was there before is unchanged.
        """
        description = self._description
        provenance: Plain = dict(self.provenance)
        document: Plain = {
            "format": format_of(description.values),
            "digest": description.digest,
            "checksum": hashlib.sha256(canonical(provenance).encode()).hexdigest(),
            "program": description.values,
            "provenance": provenance,
        }
        write_tensors(path, description.arrays, canonical(document))

    @property
    def _description(self) -> Description:
        names = ["timesteps", "membrane_bits", "target", "tail", "preprocessing"]
        if self.exit_rule is not None:  # programs without one keep the digest that they always had
            names.append("exit_rule")
        return describe(self, {name: getattr(self, name) for name in names})

    def population(self, name: str) -> Population:
        """The population of that name; KeyError if there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Population]:
        return {population.name: population for population in self.populations}

    def into(self, sink: str) -> tuple[Connection, ...]:
        """The connections into a population, in program order."""
        return tuple(c for c in self.connections if c.sink == sink)

    def out_of(self, source: str) -> tuple[Connection, ...]:
        """The connections out of a population, in program order."""
        return tuple(c for c in self.connections if c.source == source)
