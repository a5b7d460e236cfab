"""Fan-outs: what every payload counts for, as tables for classes of equal pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.backends.simulator.events.calls import Call, Place
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.gathering import bits_of, payloads_of
from spikec.backends.simulator.events.machine import MachineCodeError
from spikec.backends.simulator.events.tally import RUN, Tally
from spikec.compiler.arrays import Array, Int32, Int64
from spikec.compiler.connections import Connection, Weighted
from spikec.compiler.geometry import fan_out


@dataclass(frozen=True, eq=False)
class FanOuts:
    """Columns of numbers that the events, and the spikes, of a node add up.

    The first column is 1; two follow for every outgoing connection: its fan-out, and the part of
    that on zero weights.

    Attributes:
        field: The node's payloads.
        table: int32, (classes, columns, padded channels).
        runs: int32, (runs, 3): first pixel, pixels, class.
    """

    field: Field
    table: Int32
    runs: Int32

    @property
    def columns(self) -> int:
        """Columns of the table."""
        return int(self.table.shape[1])

    @property
    def scratch(self) -> dict[str, int]:
        """Bytes of the counts per class and channel."""
        return {"counts": 4 * len(self.table) * self.field.padded}

    def call(self, name: str, lanes: int) -> Call:
        """Count one step of a node, into ``events:name`` and, with payloads, ``spikes:name``.

        Args:
            name: Of the node.
            lanes: Channels per vector.
        """
        field, steps = self.field, self.field.steps
        cells = 8 * self.columns
        places = {
            "bits": bits_of(name, field),
            "payloads": payloads_of(name, field),
            "runs": Place(self.runs),
            "table": Place(self.table),
            "counts": Place("counts"),
            **{
                kind: Place(f"{kind}:{name}", image=cells * steps, step=cells if steps > 1 else 0)
                for kind in ("events", "spikes")
            },
        }
        numbers = {
            "padded": field.padded,
            "runs": len(self.runs),
            "classes": len(self.table),
            "bits_pixel": field.bits_pixel,
            "payloads_pixel": field.payloads_pixel,
        }
        return Call(Tally(lanes, field.payload, self.columns), places, numbers)


def fan_outs(field: Field, outgoing: Sequence[Connection]) -> FanOuts:
    """The tables of a node.

    Raises:
        MachineCodeError: Some fan-out needs more than 31 bits.
    """
    columns = [np.ones(field.shape, np.int64)]
    for connection in outgoing:
        paths = fan_out(connection, field.shape)
        zeros = _has_zero_weights(connection)
        live = fan_out(connection, field.shape, nonzero=True) if zeros else paths
        columns += [paths, paths - live]
    table = np.stack([column.reshape(field.channels, field.pixels) for column in columns])
    if int(table.max()) >= 2**31:
        raise MachineCodeError(f"a payload reaches {table.max()} neurons; kernels count to 2^31")
    classes, members = _classes(table)
    spread = np.zeros((len(classes), len(columns), field.padded), np.int32)
    spread[..., : field.channels] = table[:, :, classes].transpose(2, 0, 1)
    return FanOuts(field, spread, _runs(members))


def _classes(table: Int64) -> tuple[Int64, Int64]:
    """One pixel of every class, and the class of every pixel; table (columns, C, pixels)."""
    rows = np.ascontiguousarray(table.reshape(-1, table.shape[2]).T.astype(np.int32))
    keys: dict[bytes, int] = {}
    members = np.array([keys.setdefault(row.tobytes(), len(keys)) for row in rows])
    _, first = np.unique(members, return_index=True)
    return first, members


def _runs(members: Array) -> Int32:
    """Neighbouring pixels of one class, at most RUN at a time."""
    changes = np.flatnonzero(np.diff(members)) + 1
    long = np.arange(0, len(members), RUN)
    starts = np.unique(np.concatenate([[0], changes, long]))
    lengths = np.diff(np.append(starts, len(members)))
    return np.stack([starts, lengths, members[starts]], axis=1).astype(np.int32)


def _has_zero_weights(connection: Connection) -> bool:
    return any(
        bool((factor.weights == 0).any())
        for factor in connection.factors
        if isinstance(factor, Weighted)
    )
