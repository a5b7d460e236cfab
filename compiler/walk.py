"""Walk: what calibrating passes and searches carry along from population to population."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.calibration import Calibration
from spikec.compiler.fixed_point import largest
from spikec.compiler.frontier import Frontier, sources_of
from spikec.compiler.ir import Graph, Node, Quantized
from spikec.compiler.neuron_search import channel_means
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import AdaFire, MaxPool
from spikec.compiler.quantization import Setting, with_setting
from spikec.compiler.regions import Region
from spikec.compiler.simulation import Simulate


class Walk:
    """The ANN's activations and the program's spikes at the frontier of the graph.

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

    def current(self, quantized: Quantized) -> Array:
        """The program's current without bias, (T or 1, images, *shape)."""
        return self._simulate.currents(
            quantized.population, quantized.connections, self.frontier.spikes
        )

    def fire(self, population: AdaFire | MaxPool, current: Array) -> Array:
        """The program's payloads, (T, images, *shape)."""
        vmax = largest(self.options.membrane_bits)
        return self._simulate.fire(population, current, self.options.timesteps, vmax).spikes

    def read_out(
        self, node: Node, quantized: Quantized, current: Array, target: Array
    ) -> Quantized:
        """The read-out with the bias that gives the ANN's mean per channel."""
        mean_current = current.mean(axis=0, dtype=np.float64) * quantized.step + quantized.bias
        correction = channel_means(target - mean_current)
        setting = replace(Setting.neutral(len(correction)), correction=correction)
        return with_setting(node, quantized, setting, self.options)
