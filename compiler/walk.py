"""Walk: what calibrating passes and searches carry along from population to population."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.count_errors import channel_means
from spikec.compiler.encoding import encoded
from spikec.compiler.fixed_point import largest
from spikec.compiler.frontier import Frontier, bytes_held, sources_of
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import AdaFire, Input, MaxPool
from spikec.compiler.quantization import Setting, with_setting
from spikec.compiler.regions import Region
from spikec.compiler.simulation import Simulate
from spikec.compiler.windows import at_once, summed_current, sums_suffice


class Walk:
    """The ANN's activations and the program's spikes at the frontier of the graph.

    Where sums over all steps tell everything, they take the place of currents and payloads, with
    one leading axis of length 1.

    Attributes:
        graph: What is walked.
        options: Widths and timesteps.
        frontier: What later populations still read.
    """

    def __init__(
        self, graph: Graph, calibration: Calibration, simulate: Simulate, options: CompileOptions
    ) -> None:
        self.graph, self.options = graph, options
        self.frontier = Frontier(graph)
        self._calibration, self._simulate = calibration, simulate
        self._teacher = calibration.teacher or graph
        self._summed = sums_suffice(graph, options)

    def target(self, node: Node) -> Array:
        """The ANN's activation, (images, *shape)."""
        if not sources_of(self.graph, node):
            return self._calibration.activation(self._teacher, node.name)
        region = Region(self._teacher, node.name, self._calibration.ann)
        return region.activation(
            {source: self.frontier.activations[source] for source in region.sources}
        )

    def drive(self, node: Node) -> Array:
        """The ANN's current, (images, *shape)."""
        region = Region(self._teacher, node.name, self._calibration.ann)
        return region.drive(
            {source: self.frontier.activations[source] for source in region.sources}
        )

    def encoded(self, population: Input, target: Array) -> Array:
        """What the input emits, the same in all steps, or its sum, (1, images, *shape)."""
        payloads = encoded(population, target)[None]
        return payloads * self.options.timesteps if self._summed else payloads

    def current(self, quantized: Quantized) -> Array:
        """The program's current without bias, (T or 1, images, *shape), or its sum."""
        sink, connections = quantized.population, quantized.connections
        spikes = self.frontier.spikes
        if self._summed:
            steps = self.options.timesteps
            return summed_current(self._simulate, sink, connections, spikes, steps)
        return self._simulate.currents(sink, connections, spikes)

    def mean_current(self, current: Array) -> Float64:
        """A current per step, (images, *shape)."""
        mean: Float64 = current.mean(axis=0, dtype=np.float64)
        return mean / self.options.timesteps if self._summed else mean

    def fire(self, population: AdaFire | MaxPool, current: Array) -> Array:
        """The program's payloads, (T, images, *shape), or their sum."""
        vmax, timesteps = largest(self.options.membrane_bits), self.options.timesteps
        if self._summed:
            if isinstance(population, AdaFire):
                population = at_once(population, timesteps)
            timesteps = 1
        return self._simulate.fire(population, current, timesteps, vmax).spikes

    def read_out(
        self, node: Node, quantized: Quantized, current: Array, target: Array
    ) -> Quantized:
        """The read-out with the bias that gives the ANN's mean per channel."""
        mean = self.mean_current(current) * quantized.step + quantized.bias
        correction = channel_means(target - mean)
        setting = replace(Setting.neutral(len(correction)), correction=correction)
        return with_setting(node, quantized, setting, self.options)


def images_within_memory(graph: Graph, options: CompileOptions) -> int:
    """How many images a walk can carry at once within ``options.memory_bytes``, at least 1.

    Per image and population: T currents of 4 bytes, T payloads of 1, and an activation and a drive
    of 4, next to the payloads and activations of all populations that are still read; one current
    and payload where their sums suffice.
    """
    timesteps = 1 if sums_suffice(graph, options) else options.timesteps
    payload = 2 if timesteps < options.timesteps else 1  # sums of more than 127 take two bytes
    own, kept = (4 + payload) * timesteps + 16, payload * timesteps + 4
    return max(1, options.memory_bytes // bytes_held(graph, own=own, kept=kept))
