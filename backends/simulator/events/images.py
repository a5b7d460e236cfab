"""Images: one thread's share of a run, taken through all layers of a plan."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import numpy as np

from spikec.backends.base import BackendRun
from spikec.backends.counts import store_counts
from spikec.backends.simulator.events.layers import Layer
from spikec.backends.simulator.events.plan import Plan
from spikec.backends.simulator.events.schedules import drive_at
from spikec.backends.simulator.events.workspace import Workspace
from spikec.backends.simulator.threads import StoppedError
from spikec.compiler.arrays import Array
from spikec.compiler.populations import AdaFire, Readout


class Images:
    """Takes images through a program; not to be shared by threads.

    Args:
        workspace: The thread's memory.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.plan: Plan = workspace.plan
        self._drive = drive_at(self.plan.drive)

    def start(self, inputs: Array) -> None:
        """Take new images: quantised inputs (images, [T,] *shape)."""
        source = self.plan.source
        field, images = self.plan.fields[source], len(inputs)
        payloads = self.workspace.payloads(source)
        field.pack(
            inputs.reshape(images, field.steps, *field.shape),
            self.workspace.bits(source)[:images],
            None if payloads is None else payloads[:images],
        )
        for name, array in self.workspace.buffers.items():
            if name.startswith("saturations:"):
                array[:images] = 0

    def advance(self, images: int, steps: range, stop: Event, collect: Collect | None) -> None:
        """Run the first images through steps that follow those they have done.

        Args:
            images: How many.
            steps: Without gaps.
            stop: Ends the run between two layers.
            collect: Receives every layer's name when it is done.

        Raises:
            StoppedError: ``stop`` was set.
        """
        for layer in self.plan.layers:
            if stop.is_set():
                raise StoppedError
            self._make_room(layer, images, steps)
            schedule = self.workspace.schedule(layer)
            self._drive(schedule, 0, images, steps.start, steps.stop)
            if collect is not None:
                collect(layer.name)

    def _make_room(self, layer: Layer, images: int, steps: range) -> None:
        """Size the lists of a layer by the events that its sources really sent."""
        for use in layer.lists:
            bits = self.workspace.bits(use.source)[:images]
            present = bits if use.field.steps == 1 else bits[:, steps.start : steps.stop]
            words = present.reshape(*present.shape[:2], -1).view(np.uint64)
            events = np.bitwise_count(words).sum(axis=2, dtype=np.int64)
            self.workspace.reserve(layer, use.index, int(events.max(initial=0)))


Collect = Callable[[str], None]


class Collector:
    """Moves what a workspace holds to its place in the results of a run.

    Args:
        workspace: Where the images are.
        run: Arrays of the whole run.
        place: Of these images in it.
        steps: That the run is made of.
    """

    def __init__(self, workspace: Workspace, run: BackendRun, place: slice, steps: range) -> None:
        self.workspace = workspace
        self.plan = workspace.plan
        self.run = run
        self.place = place
        self.images = place.stop - place.start
        self.steps = slice(steps.start, steps.stop)

    def layer(self, name: str) -> None:
        """What is lost behind the layer: recorded spikes."""
        if name in self.run.spikes:
            bits, payloads = self.workspace.bits(name), self.workspace.payloads(name)
            sent = None if payloads is None else self._during(payloads[: self.images])
            shown = self._during(bits[: self.images])
            self.run.spikes[name][self.place] = self.plan.fields[name].unpack(shown, sent)

    def finish(self) -> None:
        """Counts, potentials and the read-out."""
        for population in self.plan.program.populations:
            name = population.name
            if name in self.plan.tallies:
                self._count(name)
            if isinstance(population, AdaFire):
                saturations = self._result(f"saturations:{name}")
                self.run.populations[name].saturations[self.place] = saturations
                if name in self.run.membranes:
                    trace = self._result(f"trace:{name}")
                    self.run.membranes[name][self.place] = _channels_first(trace, population.shape)
            elif isinstance(population, Readout):
                potentials = self._result(f"potentials:{name}")
                self.run.readout[self.place] = _channels_first(potentials, population.shape)

    def _count(self, name: str) -> None:
        events = self._result(f"events:{name}")
        graded = self.plan.fields[name].payload
        spikes = self._result(f"spikes:{name}") if graded else events
        sums = (np.moveaxis(values, -1, 0) for values in (events, spikes))
        store_counts(self.run, self.plan.program, (name, self.place), *sums)

    def _result(self, name: str) -> Array:
        return self._during(self.workspace.buffers[name][: self.images])

    def _during(self, values: Array) -> Array:
        """The steps of the run; a single step stands for all."""
        return values if values.shape[1] == 1 else values[:, self.steps]


def _channels_first(cells: Array, shape: tuple[int, ...]) -> Array:
    """(images, T, pixels, padded) → (images, T, *shape)."""
    channels = shape[0] if shape else 1
    kept = cells[..., :channels].swapaxes(2, 3)
    return kept.reshape(*cells.shape[:2], *shape)
