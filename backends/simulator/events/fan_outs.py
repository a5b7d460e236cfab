"""Fan-outs: what every payload counts for, as tables for classes of equal pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.backends.counts import count_columns
from spikec.backends.simulator.events.calls import Call, Place
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.machine import MachineCodeError
from spikec.backends.simulator.events.runs import runs_of
from spikec.backends.simulator.events.spike_places import bits_of, payloads_of
from spikec.backends.simulator.events.tally import Tally
from spikec.compiler.arrays import Array, Int32
from spikec.compiler.connections import Connection

CELLS = 64
"""Cells that a vector of bytes holds where vectors are widest."""

RUN_GROUPS = 6
"""Groups that take as long as beginning and ending a run."""


@dataclass(frozen=True, eq=False)
class FanOuts:
    """Columns of numbers that the events, and the spikes, of a node add up.

    The first column is 1; two follow for every outgoing connection: its fan-out, and the part of
    that on zero weights.

    Attributes:
        field: The node's payloads.
        table: int32, (classes, columns, cells).
        runs: int32, (runs, 4): first group, groups, class, from a group to the next.
        together: Neighbouring pixels that are counted as one, a group: their channels are its
            cells. It fills the vectors where channels are few, and makes one class of pixels that
            take turns, as under a stride.
    """

    field: Field
    table: Int32
    runs: Int32
    together: int

    @property
    def cells(self) -> int:
        """Cells of a group."""
        return self.together * self.field.padded

    @property
    def effort(self) -> int:
        """Vectors that are counted, in which a run costs as much as some groups."""
        vectors = -(-self.cells // CELLS)
        return vectors * (RUN_GROUPS * len(self.runs) + self.field.pixels // self.together)

    @property
    def most(self) -> int:
        """The largest sum of a column, where all neurons send the largest payload."""
        groups = np.bincount(self.runs[:, 2], self.runs[:, 1], len(self.table)).astype(np.int64)
        sums = groups @ self.table.sum(axis=2, dtype=np.int64)
        return int(sums.max()) * max(self.field.high, -self.field.low)

    @property
    def columns(self) -> int:
        """Columns of the table."""
        return int(self.table.shape[1])

    @property
    def scratch(self) -> dict[str, int]:
        """Bytes of the counts per class and cell."""
        return {"counts": 4 * len(self.table) * self.cells}

    def call(self, name: str, lanes: int) -> Call:
        """Count one step of a node, into ``events:name`` and, with payloads, ``spikes:name``.

        Args:
            name: Of the node.
            lanes: Most cells per vector.
        """
        field, steps = self.field, self.field.steps
        sums = 8 * self.columns
        places = {
            "bits": bits_of(name, field),
            "payloads": payloads_of(name, field),
            "runs": Place(self.runs),
            "table": Place(self.table),
            "counts": Place("counts"),
            **{
                kind: Place(f"{kind}:{name}", image=sums * steps, step=sums if steps > 1 else 0)
                for kind in ("events", "spikes")
            },
        }
        numbers = {
            "padded": self.cells,
            "runs": len(self.runs),
            "classes": len(self.table),
            "bits_pixel": field.bits_pixel * self.together,
            "payloads_pixel": field.payloads_pixel * self.together,
        }
        short = self.most < 2**31
        kernel = Tally(min(lanes, self.cells), field.payload, self.columns, short)
        return Call(kernel, places, numbers)


def fan_outs(field: Field, outgoing: Sequence[Connection]) -> FanOuts:
    """The tables of a node.

    Raises:
        MachineCodeError: Some fan-out needs more than 31 bits.
    """
    columns = count_columns(field.shape, outgoing)
    table = np.stack([column.reshape(field.channels, field.pixels) for column in columns])
    if int(table.max()) >= 2**31:
        raise MachineCodeError(f"a payload reaches {table.max()} neurons; kernels count to 2^31")
    spread = np.zeros((field.pixels, len(columns), field.padded), np.int32)
    spread[..., : field.channels] = table.transpose(2, 0, 1)
    alike = _classes(spread)
    ways = (_grouped(field, spread, alike, together) for together in _groupings(field))
    return min(ways, key=lambda way: way.effort)


def _groupings(field: Field) -> list[int]:
    """Numbers of pixels that may be counted together."""
    filled = max(1, CELLS // field.padded)
    return [1, *(n for n in (filled, 2 * filled) if n > 1 and field.pixels % n == 0)]


def _classes(rows: Array) -> Array:
    """For each row the number of the first one that equals it among those that differ."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    keys: dict[bytes, int] = {}
    return np.array([keys.setdefault(row.tobytes(), len(keys)) for row in flat])


def _grouped(field: Field, spread: Int32, alike: Array, together: int) -> FanOuts:
    """The tables for groups of so many pixels.

    Args:
        field: The node's payloads.
        spread: Numbers of each pixel, (pixels, columns, padded).
        alike: Class of each pixel: those of one have equal numbers.
        together: Pixels of a group.
    """
    members = alike if together == 1 else _classes(alike.reshape(-1, together))
    _, first = np.unique(members, return_index=True)
    table = spread.reshape(-1, together, *spread.shape[1:])[first].swapaxes(1, 2)
    table = table.reshape(len(first), spread.shape[1], -1)
    whole = field.grid[1] % together == 0
    per_row = field.grid[1] // together if whole else len(members)
    return FanOuts(field, np.ascontiguousarray(table), runs_of(members, per_row), together)
