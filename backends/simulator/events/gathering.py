"""Gathering: the calls that add a sink's links to its accumulators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikec.backends.simulator.events.blocks import Block
from spikec.backends.simulator.events.calls import Call, Place
from spikec.backends.simulator.events.channelwise import Channelwise
from spikec.backends.simulator.events.fields import WORD
from spikec.backends.simulator.events.flat import MOST_TAPS, FlatScatter
from spikec.backends.simulator.events.lists import Lists
from spikec.backends.simulator.events.packing import (
    channel_masks,
    channel_weights,
    packed_weights,
    paired_words,
    shown_pixels,
    widened_weights,
    word_count,
)
from spikec.backends.simulator.events.reach import Region
from spikec.backends.simulator.events.scatter import Scatter
from spikec.backends.simulator.events.spike_places import (
    ListUse,
    bits_of,
    list_numbers,
    moved,
    payloads_of,
)
from spikec.backends.simulator.events.spill import Spill
from spikec.backends.simulator.events.stacks import Stack, stack_of
from spikec.backends.simulator.events.sums import Part, Width
from spikec.backends.simulator.events.tiles import Tile
from spikec.compiler.arrays import Array


class Gathering:
    """The calls of the parts of one sink.

    Attributes:
        lists: Event lists that the calls use.
        before: Calls that make lists once per image.
        prepare: Calls that make lists for one block.
        constant: Calls for sources that are constant in time.
        step: Calls of every step.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        block: Block,
        tiles: dict[Width, Tile],
        *,
        compresses: bool = False,
    ) -> None:
        self.block = block
        self.compresses = compresses
        self.tiles = tiles
        self.lists: list[ListUse] = []
        self.before: list[Call] = []
        self.prepare: list[Call] = []
        self.constant: list[Call] = []
        self.step: list[Call] = []
        self._plain: dict[tuple[str, tuple[int, int], Stack | None], ListUse] = {}
        self._weights: dict[tuple[int, bool], Array] = {}
        for part in parts:
            steady = part.width is Width.CONSTANT
            goal = self.constant if steady else self.step
            goal.extend(self._channelwise(part) if part.link.channelwise else self._mixing(part))
            if part.spill:
                self.step.append(self._spill(part))

    @property
    def weights(self) -> list[Array]:
        """The weights of all links that mix channels, as kernels read them."""
        return [*self._weights.values()]

    def _channelwise(self, part: Part) -> Iterator[Call]:
        link, tile = part.link, self.tiles[part.width]
        field, weighted = link.field, link.weights is not None
        item = field.payload or 1  # bits of what a channel sends
        place = payloads_of(link.source, field) if field.payload else bits_of(link.source, field)
        weights = Place(channel_weights(link), block=self.block.channels) if weighted else None
        for region in link.regions:
            for taps in self.block.split(region.taps, part.width):
                kernel = Channelwise(
                    taps, region.columns.advance, self.block.vectors, self.block.lanes,
                    part.width is not Width.NARROW, field.payload, _shift(part), weighted,
                    self._paired(part),
                )  # fmt: skip
                walk = _walk(region, field.grid[1], field.padded * item // 8)
                places = {
                    "accumulators": self._reached(tile, region),
                    "events": moved(place, walk.first, self.block.channels * item // 8),
                    **({"weights": weights} if weights else {}),
                }
                numbers = {
                    **self._shape(region, tile),
                    "weights_tap": field.padded,
                    "events_row": walk.row,
                    "events_pixel": walk.pixel,
                }
                yield Call(kernel, places, numbers)

    def _mixing(self, part: Part) -> Iterator[Call]:
        link, tile, field = part.link, self.tiles[part.width], part.link.field
        masks, whole = channel_masks(link, part.channels, self.block.channels)
        stack = self._stack(part)
        listed = self._list(part, (masks, whole), stack) if link.lists else None
        for region in [stack.region(tile.map_rows)] if stack else link.regions:
            if is_flat(part, region, self.block.vectors):
                yield self._flat(part, region, masks)
                continue
            weights = self._packed(part)
            kernel = Scatter(
                tuple(self.block.split(region.taps, part.width)), region.columns.advance,
                self.block.vectors, self.block.lanes, part.width is not Width.NARROW,
                min(field.padded, WORD), listed.entry if listed else 0, field.payload,
                _shift(part), weights.shape[3], self._paired(part), self._dots(part),
                region.columns.edges, stack.span if stack else 0,
            )  # fmt: skip
            places, numbers = self._events(part, region, listed, stack)
            row = weights.strides[2] // stack.span if stack else 0
            first = row * stack.before if stack else 0
            places |= {
                "accumulators": self._reached(tile, region),
                "weights": Place(weights, first, block=weights.strides[0]),
                "mask": Place(masks, block=masks.strides[0] if len(masks) > 1 else 0),
            }
            numbers |= self._shape(region, tile)
            numbers["weights_row"] = -row
            numbers["weights_pixel"] = weights.strides[1] if weights.shape[1] > 1 else 0
            yield Call(kernel, places, numbers)

    def _flat(self, part: Part, region: Region, masks: Array) -> Call:
        field, tile = part.link.field, self.tiles[part.width]
        widened = part.width is Width.NARROW and not self.block.paired
        weights = self._packed(part, widened=widened)
        columns, width = region.columns, field.grid[1]
        kernel = FlatScatter(
            region.taps, columns.advance, field.padded, columns.step, self.block.vectors,
            self.block.lanes, part.width is not Width.NARROW, _shift(part), weights.shape[3],
            self._paired(part), widened,
        )  # fmt: skip
        pixels = columns.first + (columns.count - 1) * columns.step + 1
        shown = shown_pixels(masks, field.padded, columns)
        words, tail = word_count(pixels, field.padded)
        row = moved(bits_of(part.link.source, field), region.rows.first * width * field.bits_pixel)
        places = {
            "accumulators": self._reached(tile, region),
            "weights": Place(weights, block=weights.strides[0]),
            "events": row,
            "mask": Place(shown, block=shown.strides[0] if len(shown) > 1 else 0),
        }
        numbers = self._shape(region, tile) | {"words": words, "tail": tail}
        numbers["events_row"] = region.rows.step * width * field.bits_pixel
        return Call(kernel, places, numbers)

    def _events(
        self, part: Part, region: Region, listed: ListUse | None, stack: Stack | None
    ) -> tuple[dict[str, Place], dict[str, int]]:
        """Operands and numbers that lead to the events of a region."""
        field, source = part.link.field, part.link.source
        width = part.link.grid[1]
        walk = _walk(region, width, 4 if listed else field.bits_pixel)
        if stack:
            column = 4 * stack.column(self.tiles[part.width].map_rows)
            walk = _Steps(region.columns.first * column, 4, region.columns.step * column)
        events = listed.positions if listed else bits_of(source, field)
        places = {"events": moved(events, walk.first)}
        numbers = {"events_row": walk.row, "events_pixel": walk.pixel}
        if listed:
            places["entries"] = listed.entries
        if field.payload:
            sent = _walk(region, width, field.payloads_pixel)
            places["payloads"] = moved(payloads_of(source, field), sent.first)
            numbers |= {"payloads_row": sent.row, "payloads_pixel": sent.pixel}
        return places, numbers

    def _stack(self, part: Part) -> Stack | None:
        """The stacks of a part, if the registers do not hold its patches with all their rows."""
        widest = max((region.taps for region in part.link.regions), key=len, default=())
        return stack_of(part.link) if len(self.block.split(widest, part.width)) > 1 else None

    def _list(self, part: Part, masked: tuple[Array, bool], stack: Stack | None) -> ListUse:
        """The list of a part's events, made anew unless it is that of the whole source.

        Args:
            part: The part.
            masked: Which channels count, and whether all of them do.
            stack: If the list goes down the columns.
        """
        link, (masks, whole), rows = part.link, masked, self.tiles[part.width].map_rows
        key = link.source, link.pool, stack
        if whole and key in self._plain:
            return self._plain[key]
        count = link.grid[1] * (stack.column(rows) if stack else link.grid[0])
        use = ListUse(len(self.lists), link.source, link.field, count)
        self.lists.append(use)
        if whole:
            self._plain[key] = use
        places = {
            "bits": bits_of(link.source, link.field),
            "positions": use.positions,
            "entries": use.entries,
            "masks": Place(masks, block=masks.strides[0] if len(masks) > 1 else 0),
        }
        numbers = list_numbers(link, stack, rows)
        compressed = self.compresses and use.entry == 16
        kernel = Lists(use.entry, not whole, compressed, stack.span if stack else 0)
        call = Call(kernel, places, numbers)
        varying = self.prepare if len(masks) > 1 else self.before
        (self.constant if part.width is Width.CONSTANT else varying).append(call)
        return use

    def _packed(self, part: Part, *, widened: bool = False) -> Array:
        """A link's weights, (blocks, pixels or 1, in, taps, block), as its kernels read them."""
        key = id(part.link), widened
        if key not in self._weights:
            weights = packed_weights(part.link, self.block.channels)
            if widened:
                self._weights[key] = widened_weights(weights)
            elif self._paired(part):
                self._weights[key] = paired_words(weights, self.block.lanes)
            else:
                self._weights[key] = weights
        return self._weights[key]

    def _paired(self, part: Part) -> bool:
        return self.block.paired and part.width is Width.NARROW

    def _dots(self, part: Part) -> bool:
        graded = part.width is not Width.NARROW and part.link.field.payload in (8, 16)
        return self.block.dots and graded and not part.link.shift

    def _reached(self, tile: Tile, region: Region) -> Place:
        return Place(tile.width, tile.at(region.rows.origin, region.columns.origin))

    def _shape(self, region: Region, tile: Tile) -> dict[str, int]:
        return {
            "rows": region.rows.count,
            "columns": region.columns.count,
            "pitch": tile.pitch,
            "next_row": region.rows.advance * tile.pitch,
        }

    def _spill(self, part: Part) -> Call:
        narrow, wide = self.tiles[Width.NARROW], self.tiles[Width.WIDE]
        places = {tile.width.value: Place(tile.width, tile.at(0, 0)) for tile in (narrow, wide)}
        numbers = {
            "rows": narrow.map_rows, "columns": narrow.map_columns,
            "narrow_row": narrow.pitch, "wide_row": wide.pitch,
        }  # fmt: skip
        block = self.block
        kernel = Spill(block.lanes, block.vectors, part.link.shift, block.paired)
        return Call(kernel, places, numbers)


def is_flat(part: Part, region: Region, vectors: int) -> bool:
    """Whether a pass over a region goes word by word instead of pixel by pixel."""
    field, columns = part.link.field, region.columns
    spikes = field.payload == 0 and field.steps > 1 and part.width is not Width.CONSTANT
    spaced = columns.step in (1, 2, 4) and columns.first < columns.step and columns.advance > 0
    return (
        spikes
        and spaced
        and field.padded * columns.step <= WORD // 2
        and len(region.taps) * vectors <= MOST_TAPS
    )


@dataclass(frozen=True)
class _Steps:
    """Bytes to a region's first pixel, from row to row and from pixel to pixel."""

    first: int
    row: int
    pixel: int


def _walk(region: Region, width: int, size: int) -> _Steps:
    """The steps of a region through an array of so many columns, of cells of so many bytes."""
    first = region.rows.first * width + region.columns.first
    return _Steps(first * size, region.rows.step * width * size, region.columns.step * size)


def _shift(part: Part) -> int:
    """The shift that a kernel makes: narrow sums are shifted when they are taken."""
    return 0 if part.width is Width.NARROW else part.link.shift
