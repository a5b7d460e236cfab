"""Structure: the integer part of a program, as the checks that a program makes on itself see it."""

from __future__ import annotations

from typing import Protocol

from spikec.compiler.connections import Connection
from spikec.compiler.populations import Population


class Structure(Protocol):
    """What of a Program its own checks read; ``program`` imports them, so they cannot import it."""

    @property
    def populations(self) -> tuple[Population, ...]:
        """Every source stands before its sinks."""
        ...

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Any number per sink."""
        ...

    @property
    def timesteps(self) -> int:
        """T."""
        ...

    @property
    def membrane_bits(self) -> int:
        """Width of a membrane potential, sign included."""
        ...
