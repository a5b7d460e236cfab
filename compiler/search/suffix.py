"""Suffix: what lies behind a layer, run again for every variant of that layer.

While one layer is varied, all that lies before it does the same every time: its recorded payloads
are replayed, frame by frame, by an input that stands in its place. What lies behind it is cut once
more, where the last population ends whose integers follow the variant: so far a program is made
for each variant, and the rest is one program for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.bounds import payload_ranges
from spikec.compiler.ir import Quantized
from spikec.compiler.program import Program
from spikec.compiler.search.section import Parts, Section
from spikec.compiler.simulation import Simulate, Totals


class Suffix:
    """What lies behind one layer of a program.

    Args:
        program: The whole.
        name: The layer.
        spikes: Payloads of the populations before it that are read behind it,
            (T or 1, images, *shape); others are left alone.
        simulate: Runs programs.
    """

    def __init__(
        self, program: Program, name: str, spikes: Mapping[str, Array], simulate: Simulate
    ) -> None:
        self._whole, self._spikes, self._simulate = program, spikes, simulate
        self._name = name
        self._places = {p.name: at for at, p in enumerate(program.populations)}
        self._readers = {c.sink for c in program.out_of(name)}
        self._rests: dict[tuple[int, int], Program] = {}

    def totals(
        self, sent: Array, before: Totals, changed: Mapping[str, Quantized] | None = None
    ) -> Totals:
        """Counts and outputs of the whole program where the layer sends other payloads.

        Args:
            sent: Payloads of the layer, (T, images, *shape).
            before: Counts of the whole program; what it counted before the layer, and into it, is
                taken over.
            changed: Integers that differ from the program's, by name, of the layer and of
                populations behind it.
        """
        changed = changed or {}
        parts, spikes = Parts.of(self._whole, changed), {**self._spikes, self._name: sent}
        totals, at = _copied(before), self._places[self._name]
        totals.events[at] = np.count_nonzero(sent)
        own = {self._name}
        last = 1 + max(self._places[name] for name in self._readers | changed.keys() - own)
        ranges = payload_ranges(parts)
        near = Section(parts, at + 1, last)
        inputs = near.frames(spikes)
        if last == len(parts.populations):
            return near.entered(totals, self._simulate.totals(near.alone(ranges), inputs))
        found, trains = self._simulate.recorded(near.alone(ranges), inputs, near.read_behind)
        totals = near.entered(totals, found)
        rest = Section(parts, last, len(parts.populations))
        inputs = rest.frames({**spikes, **trains})
        return rest.entered(totals, self._simulate.totals(self._alone(rest, ranges), inputs))

    def _alone(self, rest: Section, ranges: Mapping[str, tuple[int, int]]) -> Program:
        """The rest as a program, the same one for all variants as far as it can be."""
        key = (rest.first, rest.bits(ranges))
        if key not in self._rests:
            self._rests[key] = rest.alone(ranges)
        return self._rests[key]


def nothing_counted(program: Program, images: int) -> Totals:
    """Totals of so many images that count nothing yet.

    What is added up behind a layer from there on tells differences between its variants.
    """
    populations, connections = len(program.populations), len(program.connections)
    outputs = np.zeros((images, *program.readout.shape), np.int64)
    events, operations = np.zeros(populations, np.int64), np.zeros(connections, np.int64)
    return Totals(outputs, events, operations, operations.copy())


def _copied(totals: Totals) -> Totals:
    return replace(
        totals,
        events=totals.events.copy(),
        synaptic_events=totals.synaptic_events.copy(),
        synaptic_spikes=totals.synaptic_spikes.copy(),
    )
