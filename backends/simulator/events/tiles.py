"""Tiles: accumulators of a block of channels, with margins, so that no kernel asks for borders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spikec.backends.simulator.events.reach import Region
from spikec.backends.simulator.events.sums import Width


@dataclass(frozen=True)
class Tile:
    """Accumulators of one width, [row][column][channel of the block].

    Attributes:
        width: What they hold.
        top: Rows above the map.
        left: Columns before it.
        map_rows: Rows of the map.
        map_columns: Columns of the map.
        rows: All rows.
        columns: All columns.
        block: Channels.
    """

    width: Width
    top: int
    left: int
    map_rows: int
    map_columns: int
    rows: int
    columns: int
    block: int

    @property
    def element(self) -> int:
        """Bytes of an accumulator."""
        return 2 if self.width is Width.NARROW else 4

    @property
    def pitch(self) -> int:
        """Bytes from a row to the next."""
        return self.columns * self.block * self.element

    @property
    def size(self) -> int:
        """Bytes."""
        return self.rows * self.pitch

    def at(self, row: int, column: int) -> int:
        """Bytes to a pixel of the map, or of the margin."""
        return (row + self.top) * self.pitch + (column + self.left) * self.block * self.element


def tile_for(width: Width, grid: tuple[int, int], regions: Iterable[Region], block: int) -> Tile:
    """A tile for a map of so many rows and columns with margins for all that regions touch."""
    top = left = 0
    rows, columns = grid
    for region in regions:
        top, left = max(top, -region.rows.origin), max(left, -region.columns.origin)
        rows, columns = max(rows, region.rows.end), max(columns, region.columns.end)
    return Tile(width, top, left, *grid, top + rows, left + columns, block)
