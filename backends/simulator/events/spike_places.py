"""Places of what nodes send, and of the lists of events made of it."""

from __future__ import annotations

from dataclasses import dataclass

from spikec.backends.simulator.events.calls import Place
from spikec.backends.simulator.events.fields import WORD, Field
from spikec.backends.simulator.events.links import Link
from spikec.backends.simulator.events.stacks import Stack

DENSITY = 0.1
"""Share of neurons that send at a step, where it must be estimated."""


@dataclass(frozen=True)
class ListUse:
    """A list of events in scratch memory that a layer makes for itself.

    Attributes:
        index: Number of the list within the layer.
        source: Name of the node.
        field: Its payloads.
        count: Lists of a step: one per pixel, or per window of pixels.
    """

    index: int
    source: str
    field: Field
    count: int

    @property
    def entry(self) -> int:
        """Bits of an entry."""
        return 16 if self.field.padded <= 2**16 else 32

    @property
    def positions(self) -> Place:
        """int32, (steps, lists + 1)."""
        return Place(f"positions:{self.index}", step=self._varying(4 * (self.count + 1)))

    @property
    def entries(self) -> Place:
        """(steps, capacity); the buffer's capacity in bytes becomes the step when it is known."""
        return Place(f"entries:{self.index}", step=self._varying(1))

    @property
    def positions_size(self) -> int:
        """Bytes of the positions of an image."""
        return 4 * self.field.steps * (self.count + 1)

    @property
    def estimate(self) -> int:
        """Bytes of the entries of an image at a common density."""
        return int(DENSITY * self.field.steps * self.count * self.field.padded * self.entry / 8)

    def _varying(self, size: int) -> int:
        return size if self.field.steps > 1 else 0


def bits_of(name: str, field: Field) -> Place:
    """The bits of a node."""
    size = field.bits_step
    return Place(f"bits:{name}", image=size * field.steps, step=size if field.steps > 1 else 0)


def payloads_of(name: str, field: Field) -> Place:
    """The payloads of a node."""
    size = field.payloads_step
    return Place(f"payloads:{name}", image=size * field.steps, step=size if field.steps > 1 else 0)


def moved(place: Place, offset: int, block: int = 0) -> Place:
    """A place further on, and perhaps with another part for every block."""
    return Place(place.memory, place.offset + offset, place.image, block or place.block, place.step)


def list_numbers(link: Link, stack: Stack | None, rows: int) -> dict[str, int]:
    """The scalars of the kernel that makes the lists of a link's source.

    Args:
        link: The link.
        stack: If lists go down the columns.
        rows: Of the sink.
    """
    field, window = link.field, link.pool
    row = field.grid[1] * field.bits_pixel
    axes = zip(link.grid, (window[0] * row, window[1] * field.bits_pixel), strict=True)
    outer, inner = reversed(tuple(axes)) if stack else axes
    return {
        "rows": outer[0],
        "columns": inner[0],
        "row_bytes": outer[1],
        "column_bytes": inner[1],
        "before": stack.before if stack else 0,
        "after": stack.after(rows) if stack else 0,
        "window_rows": window[0],
        "window_columns": window[1],
        "window_row_bytes": row,
        "words": field.padded // WORD,
    }
