"""Stacks: source pixels above each other whose windows share a row of a sink.

What a pixel's events add to several rows can be seen from the sink: a row of it takes the events of
as many rows of the source as the window has. If lists go down the columns of the source, those of a
stack follow each other in memory, and as one list. An entry is channel·span + row, which leads to
the weights that one row of the sink has for it; those for the next row of the sink lie one row of
weights before. Thus a patch is one row of taps, has room for wide blocks of channels in the
registers, and ends its loop over events once where a patch of all taps does so for many blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikec.backends.simulator.events.links import Link
from spikec.backends.simulator.events.reach import Line, Region

ENTRIES = 2**16
"""Values of an entry of 16 bits."""


@dataclass(frozen=True)
class Stack:
    """How the rows of a sink see those of a source.

    Attributes:
        span: Rows of the window.
        before: Rows of the first window that lie above the source.
        sources: Rows of the source.
        columns: The one class of columns.
        kernel: Number of weights along the horizontal axis.
    """

    span: int
    before: int
    sources: int
    columns: Line
    kernel: int

    def after(self, rows: int) -> int:
        """Rows of the last window that lie below the source, for so many rows of the sink."""
        return max(0, rows - 1 - self.before + self.span - self.sources)

    def column(self, rows: int) -> int:
        """Lists of a column, with the empty ones at its ends."""
        return self.before + self.sources + self.after(rows)

    def region(self, rows: int) -> Region:
        """All pixels of a sink of so many rows, each with the taps of one row."""
        return Region(Line(0, 1, rows, 0, 1, ((0, 0),)), self.columns, self.kernel)


def stack_of(link: Link) -> Stack | None:
    """The stacks of a link; None if it has no windows of several rows, lists, or other payloads.

    Under a stride or a dilation the rows of a window do not follow each other.
    """
    lines = {region.columns for region in link.regions}
    if link.channelwise or not link.lists or link.field.payload or len(lines) != 1:
        return None
    assert link.weights is not None  # as of all links that mix channels
    kernel = link.regions[0].kernel
    span, sources = link.weights.shape[3] // kernel, link.grid[0]
    rows = [region.rows for region in link.regions]
    before = {tap - r.first + r.origin + place for r in rows for place, tap in r.taps}
    single = all(line.step == line.advance == 1 for line in rows)
    fits = span * link.field.padded + sources <= ENTRIES
    if span == 1 or len(before) != 1 or min(before) < 0 or not (single and fits):
        return None
    return Stack(span, min(before), sources, lines.pop(), kernel)
