"""Layers: the schedule of one node: what it gathers, how it fires, what is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spikec.backends.simulator.events.blocks import Block, block_of
from spikec.backends.simulator.events.calls import Call, Place
from spikec.backends.simulator.events.current import Driven
from spikec.backends.simulator.events.driver import PHASES
from spikec.backends.simulator.events.fetch import LINE, Fetch
from spikec.backends.simulator.events.fields import Field
from spikec.backends.simulator.events.gathering import Gathering
from spikec.backends.simulator.events.links import Link
from spikec.backends.simulator.events.lists import COMPRESS
from spikec.backends.simulator.events.machine import Machine
from spikec.backends.simulator.events.spike_places import DENSITY, ListUse
from spikec.backends.simulator.events.state import Clear
from spikec.backends.simulator.events.sums import Part, Width, parts_of
from spikec.backends.simulator.events.tiles import Tile, tile_for
from spikec.compiler.arrays import Array

MOST_TOGETHER = 32
"""Images that go through a block together."""


@dataclass(frozen=True, eq=False)
class Layer:
    """All calls of one node.

    Attributes:
        name: Of the node.
        sources: Names of the nodes that it reads.
        blocks: Blocks of channels.
        phases: Calls of each list of the driver's schedule.
        lists: Event lists that it makes.
        scratch: Bytes of each buffer that is free again behind the layer.
        state: Bytes per image of each buffer that must outlive the layer if time goes on.
        together: So many images go through a block before any of them goes to the next one; if it
            is more than one, every image has its own event lists.
    """

    name: str
    sources: tuple[str, ...]
    blocks: int
    phases: dict[str, list[Call]]
    lists: tuple[ListUse, ...]
    scratch: dict[str, int]
    state: dict[str, int]
    together: int = 1


@dataclass(frozen=True, eq=False)
class Sink:
    """A node that receives a current: its links, its block and its accumulators.

    Attributes:
        name: Of the node.
        field: What it sends; its shape alone counts for a read-out.
        grid: Rows and columns of the current's map.
        links: Into it.
        machine: Decides on blocks.
        timesteps: T.
        narrow: Whether sums of 16 bits may be used.
    """

    name: str
    field: Field
    grid: tuple[int, int]
    links: Sequence[Link]
    machine: Machine
    timesteps: int
    narrow: bool

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Where its links add up."""
        return parts_of(self.links, narrow=self.narrow)

    @cached_property
    def block(self) -> Block:
        """Its block of channels."""
        return block_of(self.parts, self.field.padded, self.grid[0] * self.grid[1], self.machine)

    @cached_property
    def tiles(self) -> dict[Width, Tile]:
        """Its accumulators."""
        widths = {part.width for part in self.parts}
        if any(part.spill for part in self.parts):
            widths.add(Width.WIDE)
        return {
            width: tile_for(
                width,
                self.grid,
                (region for part in self.parts for region in part.link.regions),
                self.block.channels,
            )
            for width in sorted(widths)
        }

    @property
    def blocks(self) -> int:
        """Blocks of channels."""
        return self.field.padded // self.block.channels

    @property
    def driven(self) -> Driven:
        """What all kernels that take its current have in common."""
        narrow = [part for part in self.parts if part.width is Width.NARROW]
        return Driven(
            self.block.lanes,
            self.block.vectors,
            Width.NARROW in self.tiles,
            narrow[0].link.shift if narrow else 0,
            Width.WIDE in self.tiles,
            Width.CONSTANT in self.tiles,
            paired=self.block.paired,
        )

    def current(self) -> tuple[dict[str, Place], dict[str, int]]:
        """Operands and numbers of a kernel that takes its current."""
        places = {width.value: Place(width, tile.at(0, 0)) for width, tile in self.tiles.items()}
        pitches = {f"{width}_row": tile.pitch for width, tile in self.tiles.items()}
        return places, {"rows": self.grid[0], "columns": self.grid[1], **pitches}

    def state(self, name: str, cells: int, size: int = 4) -> Place:
        """An array of the state, [block][cell][channel of the block], of elements of some bytes."""
        block = cells * self.block.channels * size
        return Place(f"{name}:{self.name}", image=block * self.blocks, block=block)

    def bits(self) -> Place:
        """Where it writes its bits, block by block."""
        size = self.field.bits_step
        place = Place(f"bits:{self.name}", image=size * self.field.steps, step=self._step(size))
        return Place(
            place.memory, image=place.image, step=place.step, block=self.block.channels // 8
        )

    def payloads(self) -> Place:
        """Where it writes its payloads, block by block."""
        size, item = self.field.payloads_step, self.field.payload // 8
        return Place(
            f"payloads:{self.name}",
            image=size * self.field.steps,
            step=self._step(size),
            block=self.block.channels * item,
        )

    def _step(self, size: int) -> int:
        return size if self.field.steps > 1 else 0

    def layer(self, phases: Mapping[str, Sequence[Call]], state: Sequence[Place] = ()) -> Layer:
        """Its layer.

        Args:
            phases: Calls of its own; those of a step, or of constant sums, come behind the sums.
            state: Arrays of the state.
        """
        compresses = self.machine.has(COMPRESS)
        gathering = Gathering(self.parts, self.block, self.tiles, compresses=compresses)
        clears = [clear(Place(width), tile.size) for width, tile in self.tiles.items()]
        gathered = {
            "before": gathering.before,
            "prepare": gathering.prepare,
            "constant": [*clears, *gathering.constant],
            "step": gathering.step,
        }
        calls = {name: [*gathered.get(name, ()), *phases.get(name, ())] for name in PHASES}
        scratch = {width.value: tile.size for width, tile in self.tiles.items()}
        scratch |= {str(use.positions.memory): use.positions_size for use in gathering.lists}
        sources = tuple(dict.fromkeys(link.source for link in self.links))
        kept = {str(place.memory): place.image for place in state}
        lists = tuple(gathering.lists)
        together = 1
        if self._is_heavy(gathering.weights):
            together = self._together(lists)
            if self._is_busy():
                calls["fetch"] = [fetch(array) for array in gathering.weights]
        return Layer(self.name, sources, self.blocks, calls, lists, scratch, kept, together)

    def _is_heavy(self, weights: Sequence[Array]) -> bool:
        """Whether the weights of all blocks leave little room in the second-level cache."""
        return sum(array.nbytes for array in weights) > self.machine.l2_bytes // 2

    def _is_busy(self) -> bool:
        """Whether nearly all weights are read in the time of an image."""
        fields = [link.field for link in self.links if not link.channelwise]
        return all(DENSITY * field.pixels * field.steps > 1 for field in fields)

    def _together(self, lists: Sequence[ListUse]) -> int:
        """Images for which weights are fetched once; their lists share the cache with a block."""
        room = self.machine.l2_bytes // 4
        size = sum(use.estimate for use in lists)
        return max(1, min(MOST_TOGETHER, room // max(1, size))) if self.blocks > 1 else 1


def fetch(weights: Array) -> Call:
    """Fetch a block of weights."""
    block = weights.strides[0]
    return Call(Fetch(), {"source": Place(weights, block=block)}, {"lines": block // LINE})


def clear(place: Place, size: int) -> Call:
    """Set a buffer to zero."""
    return Call(Clear(), {"target": place}, {"bytes": size})
