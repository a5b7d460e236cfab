"""Workspace: the memory of one thread, and the schedules that point into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from spikec.backends.simulator.events.arena import Buffer, arena_for, line_aligned
from spikec.backends.simulator.events.calls import Call, Place
from spikec.backends.simulator.events.layers import Layer
from spikec.backends.simulator.events.lists import SLACK
from spikec.backends.simulator.events.plan import Plan
from spikec.backends.simulator.events.schedules import schedule_of
from spikec.compiler.arrays import Array, Int64


class Workspace:
    """Memory for a number of images at a time.

    Args:
        plan: What is run.
        images: Most images.
        persistent: Whether potentials outlive a call, so that time can go on later; otherwise all
            layers share the memory of theirs, and that of spikes is used again behind their last
            reader.
    """

    def __init__(self, plan: Plan, images: int, *, persistent: bool = False) -> None:
        self.plan = plan
        self.images = images
        self.persistent = persistent
        self.buffers: dict[str, Array] = {}
        self._fields()
        self._scratch()
        for name, (shape, kind) in plan.results.items():
            self.buffers[name] = np.zeros((images, *shape), kind)
        self.capacity: dict[tuple[str, int], int] = {}
        self._bound: dict[str, tuple[int, list[Int64]]] = {}

    def schedule(self, layer: Layer) -> int:
        """The address of a layer's schedule."""
        if layer.name not in self._bound:
            self._bound[layer.name] = self._bind(layer)
        return self._bound[layer.name][0]

    def reserve(self, layer: Layer, index: int, entries: int) -> None:
        """Make room for so many entries per step in a list of a layer."""
        key = (layer.name, index)
        if entries + SLACK <= self.capacity.get(key, 0):
            return
        use = layer.lists[index]
        room = self.capacity[key] = max(256, entries + entries // 4) + SLACK
        size = room * use.entry // 8 * use.field.steps * self._kept(layer)
        memory = str(use.entries.memory)
        if size > self._size(memory):
            self.buffers[memory] = line_aligned(size)
            self._bound.clear()  # other layers use the same memory
        self._bound.pop(layer.name, None)

    def bits(self, name: str) -> Array:
        """The bits of a node, uint8, (images, steps, pixels, padded/8)."""
        field = self.plan.fields[name]
        shape = (self.images, field.steps, field.pixels, field.bits_pixel)
        return self._shaped(f"bits:{name}", shape, np.dtype(np.uint8))

    def payloads(self, name: str) -> Array | None:
        """The payloads of a node, (images, steps, pixels, padded); None if it has none."""
        field = self.plan.fields[name]
        if not field.payload:
            return None
        shape = (self.images, field.steps, field.pixels, field.padded)
        return self._shaped(f"payloads:{name}", shape, field.payload_type)

    def keep(self, images: Array) -> None:
        """Drop all images but these, which become the first ones; persistent workspaces only.

        Args:
            images: Ascending positions.
        """
        for layer in self.plan.layers:
            for name in layer.state:
                rows = self.buffers[name].reshape(self.images, -1)
                rows[: len(images)] = rows[images]
        for name in (f"{kind}:{self.plan.source}" for kind in ("bits", "payloads")):
            if name in self.buffers:
                rows = self.buffers[name].reshape(self.images, -1)
                rows[: len(images)] = rows[images]

    def _shaped(self, name: str, shape: tuple[int, ...], kind: np.dtype[np.generic]) -> Array:
        size = int(np.prod(shape)) * kind.itemsize
        return self.buffers[name][:size].view(kind).reshape(shape)

    def _fields(self) -> None:
        """Memory for the spikes of all nodes."""
        buffers = list(self._field_buffers())
        if self.persistent:
            for buffer in buffers:
                self.buffers[buffer.name] = line_aligned(buffer.size)
            return
        arena = arena_for(buffers)
        memory = line_aligned(arena.size)
        for buffer in buffers:
            offset = arena.offsets[buffer.name]
            self.buffers[buffer.name] = memory[offset : offset + buffer.size]

    def _field_buffers(self) -> Iterator[Buffer]:
        for name, field in self.plan.fields.items():
            first, last = self.plan.lifetimes[name]
            sizes = {"bits": field.bits_step, "payloads": field.payloads_step}
            for kind, step in sizes.items():
                if step:
                    size = self.images * field.steps * step
                    yield Buffer(f"{kind}:{name}", size, first, last)

    def _scratch(self) -> None:
        """Memory that a layer needs for itself only."""
        sizes: dict[str, int] = {}
        for layer in self.plan.layers:
            wanted = dict(layer.scratch)
            for name, size in layer.state.items():
                if self.persistent:
                    self.buffers[name] = np.zeros(self.images * size, np.uint8)
                else:
                    shared = _shared(name)
                    wanted[shared] = size // layer.blocks
            for name, size in wanted.items():
                if name.startswith("positions:"):
                    size *= self._kept(layer)
                sizes[name] = max(size, sizes.get(name, 0))
        for name, size in sizes.items():
            self.buffers[name] = line_aligned(size)

    def _bind(self, layer: Layer) -> tuple[int, list[Int64]]:
        """The address of a layer's schedule, and all arrays that it needs."""
        passes = {
            phase: [
                (self.plan.addresses[call.kernel.name], self._arguments(layer, call))
                for call in calls
            ]
            for phase, calls in layer.phases.items()
        }
        schedule = schedule_of(layer.blocks, passes, layer.together)
        arguments = [numbers for calls in passes.values() for _, numbers in calls]
        return _address(schedule), [schedule, *arguments]

    def _arguments(self, layer: Layer, call: Call) -> Int64:
        numbers: list[int] = []
        for operand in call.kernel.operands:
            place = call.places.get(operand)
            numbers += self._operand(layer, place) if place else (0, 0, 0, 0)
        numbers += [call.numbers.get(scalar, 0) for scalar in call.kernel.scalars]
        return np.array(numbers, np.int64)

    def _operand(self, layer: Layer, place: Place) -> tuple[int, int, int, int]:
        memory = place.memory
        if not isinstance(memory, str):
            return (_address(memory) + place.offset, place.image, place.block, place.step)
        if memory in layer.state and not self.persistent:
            return (_address(self.buffers[_shared(memory)]) + place.offset, 0, 0, place.step)
        image, step = place.image, place.step
        kind, _, number = memory.partition(":")
        if kind in ("positions", "entries"):
            use = layer.lists[int(number)]
            if kind == "entries":
                self.reserve(layer, use.index, 1)
                step *= self.capacity[layer.name, use.index] * use.entry // 8
            image = step * use.field.steps if layer.together > 1 else 0
        return (_address(self.buffers[memory]) + place.offset, image, place.block, step)

    def _kept(self, layer: Layer) -> int:
        """Images whose lists are kept at a time."""
        return self.images if layer.together > 1 else 1

    def _size(self, memory: str) -> int:
        return self.buffers[memory].nbytes if memory in self.buffers else 0


def workspace_bytes(plan: Plan, images: int) -> int:
    """What a workspace of so many images takes, event lists aside."""
    workspace: Mapping[str, int] = plan.sizes
    return workspace["image"] * images + workspace["thread"]


def _shared(name: str) -> str:
    """The memory that all layers share for a kind of state."""
    return "state:" + name.partition(":")[0]


def _address(array: Array) -> int:
    return int(array.ctypes.data)
