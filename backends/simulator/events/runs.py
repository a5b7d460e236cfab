"""Runs: groups of pixels of one class, as evenly spaced stretches."""

from __future__ import annotations

import numpy as np

from spikec.backends.simulator.events.tally import RUN
from spikec.compiler.arrays import Array, Int32


def runs_of(members: Array, per_row: int) -> Int32:
    """Groups of one class, along the rows or down the columns, whichever makes fewer runs.

    Args:
        members: The class of each group, 0 … classes − 1.
        per_row: Groups per row.

    Returns:
        int32, (runs, 4): first group, groups (RUN at most), class, from a group to the next;
        ordered by class.
    """
    places = np.arange(len(members))
    along = _stretches(members, np.lexsort((places, members)), 1)
    down = _stretches(members, np.lexsort((places, places % per_row, members)), per_row)
    fewer = _runs_per_class(down, members) < _runs_per_class(along, members)
    kept = np.concatenate([along[~fewer[along[:, 2]]], down[fewer[down[:, 2]]]])
    return kept[np.argsort(kept[:, 2], kind="stable")].astype(np.int32)


def _stretches(members: Array, order: Array, step: int) -> Array:
    """Runs, (runs, 4), of groups that follow each other in an order and at a distance."""
    kinds = members[order]
    joined = (np.diff(order) == step) & (np.diff(kinds) == 0)
    starts = np.flatnonzero(np.concatenate([[True], ~joined]))
    lengths = np.diff(starts, append=len(order))
    pieces = -(-lengths // RUN)
    whole = np.repeat(np.arange(len(starts)), pieces)
    piece = np.arange(len(whole)) - (np.cumsum(pieces) - pieces)[whole]
    begin = starts[whole] + RUN * piece
    counts = np.minimum(lengths[whole] - RUN * piece, RUN)
    steps = np.where(counts > 1, step, 1)
    return np.stack([order[begin], counts, kinds[begin], steps], axis=1)


def _runs_per_class(runs: Array, members: Array) -> Array:
    return np.bincount(runs[:, 2], minlength=int(members.max()) + 1)
