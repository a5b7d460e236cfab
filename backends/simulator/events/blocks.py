"""Blocks: how many channels of a sink are advanced together, and how taps share the registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from spikec.backends.simulator.events import dots, pairs
from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.patch import Tap
from spikec.backends.simulator.events.sums import Part, Width

MOST_VECTORS = 16
"""Vectors of a block: beyond, a kernel's code grows and nothing else."""

FEW_VECTORS = 2
"""Vectors of a block where all sums stay in their channel."""

STATE = 10
"""Bytes per neuron that a block keeps in the cache: potential, sums, half the margins."""


@dataclass(frozen=True)
class Block:
    """Channels that a sink advances together.

    Attributes:
        lanes: Channels per vector.
        vectors: Vectors.
        registers: Vectors of 16-bit sums that a kernel may hold.
        paired: Narrow sums are those of pairs of vectors; see ``pairs``.
        dots: Products in 32 bits are made as ``dots`` says where they can be.
    """

    lanes: int
    vectors: int
    registers: int
    paired: bool = False
    dots: bool = False

    @property
    def channels(self) -> int:
        """Channels of the block."""
        return self.lanes * self.vectors

    def split(self, taps: Sequence[Tap], width: Width) -> list[tuple[Tap, ...]]:
        """Groups of taps whose sums fit into the registers, by rows if possible."""
        room = max(1, self.registers // (self.vectors * _units(width)))
        groups: list[tuple[Tap, ...]] = []
        for _, row in groupby(taps, key=lambda tap: tap.row):
            line = tuple(row)
            if groups and len(groups[-1]) + len(line) <= room:
                groups[-1] += line
                continue
            groups.extend(line[k : k + room] for k in range(0, len(line), room))
        return groups


def block_of(parts: Sequence[Part], padded: int, pixels: int, machine: Machine) -> Block:
    """The block of a sink.

    As many vectors as the registers hold for the widest patch, as divide the channels, and as keep
    the state of a block in three quarters of the second-level cache.
    """
    lanes = min(machine.lanes, padded)
    registers = machine.registers * 3 // 4
    mixing = [part for part in parts if not part.link.channelwise]
    pairable = _has_pairs(machine, lanes) and _pays(mixing)
    most = MOST_VECTORS if mixing else FEW_VECTORS
    for part in mixing:
        most = min(most, _vectors(part, registers))
    if most == 1 and pairable:
        most = min(_vectors(part, registers, by_rows=True) for part in mixing)
    cached = max(1, machine.l2_bytes * 3 // 4 // (STATE * pixels * lanes))
    vectors = _dividing(padded // lanes, min(most, cached))
    paired = pairable and vectors % 2 == 0
    with_dots = machine.has(dots.FEATURE) and lanes == dots.LANES
    return Block(lanes, vectors, registers, paired, with_dots)


def _vectors(part: Part, registers: int, *, by_rows: bool = False) -> int:
    """Vectors of a block whose patches, or each row of them, the registers hold."""
    widest = max((len(region.columns.taps) for region in part.link.regions), default=1)
    taps = max((len(region.taps) for region in part.link.regions), default=1)
    return max(1, registers // ((widest if by_rows else taps) * _units(part.width)))


def _has_pairs(machine: Machine, lanes: int) -> bool:
    """Whether a processor has the instruction that pairs need."""
    return lanes in pairs.INSTRUCTIONS and machine.has(pairs.INSTRUCTIONS[lanes][0])


def _pays(mixing: Sequence[Part]) -> bool:
    """Whether pairs are faster: payloads would have to multiply both parts of a word."""
    narrow = [part.link.field for part in mixing if part.width is Width.NARROW]
    return bool(narrow) and not any(field.payload for field in narrow)


def _dividing(vectors: int, most: int) -> int:
    """The largest divisor that is not above a limit."""
    return next(n for n in range(min(vectors, most), 0, -1) if vectors % n == 0)


def _units(width: Width) -> int:
    """Registers per vector of sums."""
    return 1 if width is Width.NARROW else 2
