"""Windows over a map, as classes of rows and columns."""

from __future__ import annotations

from spikec.backends.simulator.events.reach import Line, Region, edged, regions, strided, trimmed
from spikec.compiler.geometry import Window


def lines_over(window: Window, grid: tuple[int, ...]) -> list[list[Line]]:
    """Classes of rows and of columns, without many taps that miss a small map."""
    flat, (height, width) = planar(window), positions_of(window, grid)
    rows, columns = (strided(flat, axis, size) for axis, size in enumerate(grid))
    return [trimmed(rows, height), edged(columns, width)]


def positions_of(window: Window, grid: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a window's positions."""
    flat = planar(window)
    rows, columns = (
        (size + flat.before[axis] + flat.after[axis] - flat.reach[axis]) // flat.strides[axis] + 1
        for axis, size in enumerate(grid)
    )
    return (rows, columns)


def planar(window: Window) -> Window:
    """A window with two axes; a line is one row."""
    if window.rank == 2:
        return window
    pads = (0, *window.before, 0, *window.after)
    return Window((1, *window.kernel), (1, *window.strides), pads, (1, *window.dilations))


def regions_over(axes: list[list[Line]], window: Window) -> tuple[Region, ...]:
    """All pairs of classes of a window's rows and columns."""
    return regions(axes[0], axes[1], window.kernel[-1])
