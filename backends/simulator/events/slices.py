"""Slices: index maps that take whole channels and evenly spaced rows and columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.reach import Line
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Gather


@dataclass(frozen=True, eq=False)
class Slice:
    """A gather by channels, rows and columns.

    Attributes:
        channels: Source channel of each channel of the result, −1 for none, (C',).
        rows: Source rows that are taken.
        columns: Source columns that are taken.
    """

    channels: Int64
    rows: Line
    columns: Line


def as_slice(gather: Gather, field: Field) -> Slice | None:
    """What a gather does by axes; None if it does not go by axes."""
    target = Field(gather.indices.shape, 0, 1, 1)
    indices = gather.indices.reshape(target.channels, *target.grid).astype(np.int64)
    taken: Array = indices >= 0
    if not taken.any():
        return None
    inside = [np.asarray(taken.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    if not np.array_equal(taken, inside[0][:, None, None] & inside[1][:, None] & inside[2]):
        return None
    height, width = field.grid
    channel, row, column = indices // (height * width), indices // width % height, indices % width
    corner = tuple(int(np.argmax(axis)) for axis in inside)
    channels = np.where(inside[0], channel[:, corner[1], corner[2]], -1)
    down = _line(row[corner[0], :, corner[2]], inside[1])
    right = _line(column[corner[0], corner[1]], inside[2])
    if down is None or right is None:
        return None
    rebuilt = (channels[:, None, None] * height + row[corner[0], :, corner[2]][:, None]) * width
    rebuilt = rebuilt + column[corner[0], corner[1]]
    return Slice(channels, down, right) if np.array_equal(rebuilt[taken], indices[taken]) else None


def _line(places: Array, inside: Array) -> Line | None:
    """Source positions along an axis of the result; None if they are not evenly spaced."""
    kept = np.flatnonzero(inside)
    if len(kept) != kept[-1] - kept[0] + 1:
        return None
    steps = np.diff(places[kept])
    step = int(steps[0]) if len(steps) else 1
    if step < 1 or (steps != step).any():
        return None
    return Line(int(places[kept[0]]), step, len(kept), int(kept[0]), 1, ((0, 0),))
