"""Sums: in which accumulators the links of a sink add up, proved exact.

Accumulators of 16 bits are used as long as no sum of them can leave 16 bits; wrapping on the way is
harmless, since the final sum fits. Where a link's own sum can leave them, its source channels are
split into groups that each fit, and each group is spilled to 32 bits before the next; beyond a few
groups, 32 bits from the start are cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from spikec.backends.simulator.events.links import Link
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.bounds import Interval

GROUPS = 8
"""Most groups of source channels that are spilled one by one; more go to 32 bits at once."""

GRADED_GROUPS = 4
"""The same for payloads, which gain less from 16 bits."""

LOW, HIGH = -(2**15), 2**15 - 1


class Width(StrEnum):
    """Kinds of accumulators of a sink."""

    NARROW = "narrow"
    """16 bits; cleared at each step."""
    WIDE = "wide"
    """32 bits; cleared at each step."""
    CONSTANT = "constant"
    """32 bits; computed once, for sources that are constant in time."""


@dataclass(frozen=True, eq=False)
class Part:
    """Source channels of a link that add to one kind of accumulators.

    Attributes:
        link: The link.
        width: The accumulators.
        channels: First source channel and the one behind the last.
        spill: Whether the narrow sums move to the wide ones behind this part.
    """

    link: Link
    width: Width
    channels: tuple[int, int]
    spill: bool = False


def parts_of(links: Sequence[Link], *, narrow: bool = True) -> tuple[Part, ...]:
    """Every link's parts, in the order in which they are added.

    Args:
        links: All links into a sink.
        narrow: Whether 16 bits may be used.
    """
    constant = [link for link in links if link.field.steps == 1]
    varying = [link for link in links if link.field.steps > 1]
    shift = _common_shift(varying)
    parts = [_whole(link, Width.CONSTANT) for link in constant]
    pending: list[Part] = []
    total: Interval | None = None
    for link in varying:
        groups = _groups(link) if narrow and link.shift == shift else None
        if groups is None:
            parts.append(_whole(link, Width.WIDE))
            continue
        for channels, interval in groups:
            if total is not None and not _fits(total.plus(interval)):
                pending[-1] = Part(pending[-1].link, Width.NARROW, pending[-1].channels, True)
                total = None
            total = interval if total is None else total.plus(interval)
            pending.append(Part(link, Width.NARROW, channels))
    return (*parts, *pending)


def _whole(link: Link, width: Width) -> Part:
    return Part(link, width, (0, link.field.channels))


def _common_shift(links: Sequence[Link]) -> int:
    """The shift of the link with most weights: that of the narrow accumulators."""
    sized = [(0 if link.weights is None else link.weights.size, link.shift) for link in links]
    return max(sized, default=(0, 0))[1]


def _fits(interval: Interval) -> bool:
    return int(interval.low.min()) >= LOW and int(interval.high.max()) <= HIGH


def _groups(link: Link) -> list[tuple[tuple[int, int], Interval]] | None:
    """Ranges of source channels whose sums fit into 16 bits; None if there are too many."""
    if _fits(link.interval):
        return [((0, link.field.channels), link.interval)]
    if link.channelwise or link.groups > 1:
        return None
    low, high = _by_channel(link)
    most = GRADED_GROUPS if link.field.payload else GROUPS
    groups: list[tuple[tuple[int, int], Interval]] = []
    first = 0
    while first < link.field.channels:
        inside = np.cumsum(low[:, first:], axis=1) >= LOW
        inside &= np.cumsum(high[:, first:], axis=1) <= HIGH
        count = int(inside.all(axis=0).cumprod().sum())
        if count == 0 or len(groups) == most:
            return None
        chosen = slice(first, first + count)
        groups.append(
            (
                (first, first + count),
                Interval(low[:, chosen].sum(axis=1), high[:, chosen].sum(axis=1)),
            )
        )
        first += count
    return groups


def _by_channel(link: Link) -> tuple[Int64, Int64]:
    """Smallest and largest sum of each source channel for each output, int64, (out, in)."""
    assert link.weights is not None
    up = _summed(np.maximum(link.weights, 0)) * link.multiplicity
    down = _summed(np.minimum(link.weights, 0)) * link.multiplicity
    low, high = min(link.field.low, 0), max(link.field.high, 0)
    return up * low + down * high, up * high + down * low


def _summed(weights: Array) -> Int64:
    """Over pixels and taps, (pixels, out, in, taps) → (out, in)."""
    return np.asarray(np.einsum("poik->oi", weights, dtype=np.int64))  # twice as fast as sum
