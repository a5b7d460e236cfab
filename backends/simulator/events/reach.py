"""Reach: which accumulators the pixels of a map touch, as rows of pixels that all do the same.

Under a stride, pixels with different remainders use different taps; each remainder of each axis is
a class of its own, in which the next pixel touches the next accumulators.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, product

from spikec.backends.simulator.events.patch import Tap
from spikec.compiler.geometry import Window

MOST_WASTE = 0.1
"""Sums along an axis that may go to the margin before taps are left out instead."""

FEW_EDGES = 0.04
"""Sums along a row that may go to the margin before its ends become code of their own."""

MOST_PARTS = 3
"""Classes that a class may fall into by that: each of them is a kernel of its own."""


@dataclass(frozen=True)
class Line:
    """Positions of one class along one axis.

    Attributes:
        first: Its first position in the source.
        step: From one position of the class to the next.
        count: Positions.
        origin: Place of the first position's patch among the accumulators; may be negative.
        advance: From the patch of a position to that of the next.
        taps: (place in the patch, index of the weight) pairs.
        edges: Positions at either end some of whose taps miss the map, the outer ones one place
            more of them each, if kernels are to leave these taps out.
    """

    first: int
    step: int
    count: int
    origin: int
    advance: int
    taps: tuple[tuple[int, int], ...]
    edges: tuple[int, int] = (0, 0)

    @property
    def end(self) -> int:
        """Behind the last accumulator that is touched or may be read."""
        reach = max(place for place, _ in self.taps) + 1
        return self.origin + self.count * self.advance + reach


@dataclass(frozen=True)
class Region:
    """One class of pixels: a line of rows, a line of columns, and the taps of each of its pixels.

    Attributes:
        rows: Along the vertical axis.
        columns: Along the horizontal axis.
        kernel: Number of weights along the horizontal axis.
    """

    rows: Line
    columns: Line
    kernel: int

    @property
    def taps(self) -> tuple[Tap, ...]:
        """All taps, by rows."""
        return tuple(
            Tap(row, column, down * self.kernel + right)
            for (row, down), (column, right) in product(self.rows.taps, self.columns.taps)
        )


def _sized(line: Line) -> bool:
    return line.count > 0 and bool(line.taps)


def regions(rows: list[Line], columns: list[Line], kernel: int) -> tuple[Region, ...]:
    """Every pair of classes that has pixels and taps."""
    pairs = product(filter(_sized, rows), filter(_sized, columns))
    return tuple(Region(down, right, kernel) for down, right in pairs)


def strided(window: Window, axis: int, size: int) -> list[Line]:
    """Classes of a convolution or pool along an axis of so many source positions.

    Tap k takes position y to (y + pad − k·dilation) / stride where that is a whole number.
    """
    stride, pad = window.strides[axis], window.before[axis]
    lines = []
    for remainder in range(stride):
        first = (remainder - pad) % stride
        reached = (first + pad - remainder) // stride
        taps = _taps(window, axis, remainder)
        deepest = max((distance for distance, _ in taps), default=0)
        placed = tuple((deepest - distance, tap) for distance, tap in taps)
        count = len(range(first, size, stride))
        lines.append(Line(first, stride, count, reached - deepest, 1, placed))
    return lines


def _taps(window: Window, axis: int, remainder: int) -> list[tuple[int, int]]:
    """How far below its base each tap of a class reaches, and the tap."""
    stride, dilation = window.strides[axis], window.dilations[axis]
    return [
        ((tap * dilation - remainder) // stride, tap)
        for tap in range(window.kernel[axis])
        if (tap * dilation - remainder) % stride == 0
    ]


def trimmed(lines: list[Line], size: int) -> list[Line]:
    """Classes without the taps that miss a map of few positions, if these are many.

    Args:
        lines: Classes, of advance 1.
        size: Accumulators of the map along the axis; the others are margin.
    """
    result: list[Line] = []
    for line in lines:
        parts = [list(group) for _, group in groupby(range(line.count), partial(_met, line, size))]
        if _waste(line, size) <= MOST_WASTE or len(parts) > MOST_PARTS:
            result.append(line)
        else:
            result.extend(_part(line, part, _met(line, size, part[0])) for part in parts)
    return result


def edged(lines: list[Line], size: int) -> list[Line]:
    """Classes whose kernels leave out the taps that miss the map, if these are not few.

    Args:
        lines: Classes, of advance 1.
        size: Accumulators of the map along the axis; the others are margin.
    """
    result: list[Line] = []
    for line in lines:
        deepest = max((place for place, _ in line.taps), default=0)
        edges = max(0, -line.origin), max(0, line.origin + line.count + deepest - size)
        if _waste(line, size) <= FEW_EDGES:
            result.append(line)
        elif sum(edges) <= line.count:
            result.append(replace(line, edges=edges))
        else:
            result.extend(trimmed([line], size))
    return result


def _waste(line: Line, size: int) -> float:
    """The share of sums that miss the map."""
    met = sum(len(_met(line, size, position)) for position in range(line.count))
    return 1 - met / max(1, line.count * len(line.taps))


def _met(line: Line, size: int, position: int) -> tuple[tuple[int, int], ...]:
    """The taps of a position of a class that meet the map."""
    origin = line.origin + position * line.advance
    return tuple(tap for tap in line.taps if 0 <= origin + tap[0] < size)


def _part(line: Line, positions: list[int], taps: tuple[tuple[int, int], ...]) -> Line:
    """Neighbouring positions of a class as a class of their own."""
    skipped = positions[0]
    first, origin = line.first + skipped * line.step, line.origin + skipped * line.advance
    return replace(line, first=first, count=len(positions), origin=origin, taps=taps)


def transposed(window: Window, axis: int, size: int) -> list[Line]:
    """The one class of a transposed convolution: tap k takes y to y·stride + k·dilation − pad."""
    taps = tuple((tap * window.dilations[axis], tap) for tap in range(window.kernel[axis]))
    return [Line(0, 1, size, -window.before[axis], window.strides[axis], taps)]


def pooled(lines: list[Line], pool: Window, axis: int, size: int) -> list[Line]:
    """Classes of a map behind a pool without overlap: all positions of a window act as its one.

    Args:
        lines: Classes of the pooled map.
        pool: Kernel and stride are equal, dilation is 1.
        axis: Along which.
        size: Source positions before the pool.
    """
    width, pad = pool.kernel[axis], pool.before[axis]
    result = []
    for line, inside in product(lines, range(width)):
        places = range(
            line.first * width + inside - pad,
            (line.first + line.step * line.count) * width + inside - pad,
            line.step * width,
        )
        kept = [place for place in places if 0 <= place < size]
        if kept:
            skipped = places.index(kept[0])
            origin = line.origin + skipped * line.advance
            step = line.step * width
            result.append(Line(kept[0], step, len(kept), origin, line.advance, line.taps))
    return result


def plain(size: int) -> list[Line]:
    """One class: every position touches the accumulator of the same place."""
    return [Line(0, 1, size, 0, 1, ((0, 0),))]


def gathered(size: int) -> list[Line]:
    """One class: every position touches the one accumulator that there is."""
    return [Line(0, 1, size, 0, 0, ((0, 0),))]
