"""A program cut in two: what lies behind some populations, fed with their recorded spikes.

While one layer is varied, all that lies before it does the same every time. It is run once, and
only the rest is run for each variant: its input emits, frame by frame, the payloads of all
populations before the cut that are read behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Factor, Gather
from spikec.compiler.populations import Coding, Input, Shape
from spikec.compiler.program import Program
from spikec.compiler.simulation import Totals


@dataclass(frozen=True, eq=False)
class Suffix:
    """The rest of a program behind a cut.

    Attributes:
        whole: The program.
        program: What lies behind the cut, behind an input that replays spikes.
        sources: Populations before the cut that are read behind it, in program order.
        sent: Events of each of them over all images and steps.
        inputs: Frames that the program reads, (images, T, *shape).
    """

    whole: Program
    program: Program
    sources: tuple[str, ...]
    sent: tuple[int, ...]
    inputs: Array

    def completed(self, totals: Totals, before: Totals) -> Totals:
        """Counts of the whole program.

        Args:
            totals: Of this suffix.
            before: Of a run of the whole program on the same images; what it counted before the
                cut is taken over.
        """
        events, operations = before.events.copy(), before.synaptic_events.copy()
        spikes = before.synaptic_spikes.copy()
        behind = {p.name for p in self.program.populations[1:]}
        places = {p.name: i for i, p in enumerate(self.whole.populations)}
        events[[i for name, i in places.items() if name in behind]] = totals.events[1:]
        events[[places[source] for source in self.sources]] = self.sent
        joined = [i for i, c in enumerate(self.whole.connections) if c.sink in behind]
        operations[joined], spikes[joined] = totals.synaptic_events, totals.synaptic_spikes
        return Totals(totals.outputs, events, operations, spikes)


def cut_behind(program: Program, name: str, spikes: Mapping[str, Array]) -> Suffix:
    """The suffix behind a population.

    Args:
        program: To cut.
        name: The last population before the cut.
        spikes: Payloads of the populations before the cut that are read behind it,
            (T or 1, images, *shape); others are left alone.
    """
    names = [p.name for p in program.populations]
    behind = program.populations[names.index(name) + 1 :]
    sinks = {p.name for p in behind}
    into = [c for c in program.connections if c.sink in sinks]
    read = {c.source for c in into} - sinks
    sources = tuple(n for n in names if n in read)
    frames = [_frames(spikes[source], program.timesteps) for source in sources]
    sent = tuple(int(np.count_nonzero(each)) for each in frames)
    inputs = np.concatenate(frames, axis=2) if len(frames) > 1 else frames[0]
    shapes = [program.population(source).shape for source in sources]
    entry = _entry(inputs, shapes, names)
    maps = _maps(sources, shapes)
    connections = tuple(
        c
        if c.source in sinks
        else replace(c, source=entry.name, factors=(*maps[c.source], *c.factors))
        for c in into
    )
    rest = Program((entry, *behind), connections, program.timesteps, program.membrane_bits)
    return Suffix(program, rest, sources, sent, inputs.reshape(*inputs.shape[:2], *entry.shape))


def _entry(inputs: Array, shapes: list[Shape], taken: list[str]) -> Input:
    name = "frontier" + "_" * sum(name.startswith("frontier") for name in taken)
    shape = shapes[0] if len(shapes) == 1 else (inputs.shape[2],)
    ones = np.ones([1] * len(shape))
    largest = max(1, int(inputs.max()), -int(inputs.min()))
    bits = largest.bit_length() + 1
    return Input(name, shape, bits, ones, ones, np.zeros(ones.shape), Coding.FRAMES)


def _frames(spikes: Array, timesteps: int) -> Array:
    """(T or 1, images, …) → (images, T, payloads)."""
    steps = np.broadcast_to(spikes, (timesteps, *spikes.shape[1:]))
    return np.ascontiguousarray(steps.reshape(*steps.shape[:2], -1).swapaxes(0, 1))


def _maps(sources: tuple[str, ...], shapes: list[Shape]) -> dict[str, tuple[Factor, ...]]:
    """What takes each source's payloads out of the frames; nothing if there is but one."""
    if len(sources) == 1:
        return {sources[0]: ()}
    sizes: Int64 = np.array([math.prod(shape) for shape in shapes])
    starts = np.cumsum(sizes) - sizes
    return {
        source: (Gather((start + np.arange(size)).reshape(shape).astype(np.int32)),)
        for source, shape, start, size in zip(sources, shapes, starts, sizes, strict=True)
    }
