"""calibrate-thresholds: θ of every population, by the method that was chosen.

Cases:
1. input: the largest magnitude of each channel over the calibration images; nothing is clipped.
2. adafire: θ = cap/φ, per channel, or per layer where channels cannot be told apart or one
   threshold is asked for; a Clip's ceiling bounds φθ. The cap is, by method:
   mmse: that of least squared error under φT levels, from the search in ``mmse``; with 32 levels
   and more, in a window or in a single step, over all large activations that were seen and those
   of an unseen image, from ``expected_activations``;
   percentile, maximum: a percentile of the activations other than 0, or the largest;
   balancing: as in ``balancing``, on the drive that arrives when the layers before it clip at
   their own caps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.coverage import silent_warnings
from spikec.compiler.frontier import Frontier, population_nodes
from spikec.compiler.invariants import neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.regions import Region
from spikec.compiler.thresholds import activation_samples, best_threshold, samples_of

ByName = Mapping[str, Float64]
"""An array for each node, by name."""


def calibrate_thresholds(
    calibration: Calibration,
    options: CompileOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Pass:
    """The pass for given T and calibration images.

    Args:
        calibration: Images and ANN.
        options: T, φ and the method.
        progress: Told of images.
        warn: Told what the user should know, a sentence each.
    """

    def apply(graph: Graph) -> Graph:
        if options.threshold_per == "layer":
            graph = graph.mapped(_with_one_threshold)
        if options.threshold_method == "balancing":
            thresholds, peaks = _balanced(graph, calibration, options)
        else:
            thresholds, peaks = _from_statistics(graph, calibration, options, progress)
        for text in silent_warnings(graph, peaks):
            warn(text)
        return graph.mapped(
            lambda node: (
                node.updated(neuron=replace(node.neuron, threshold=thresholds[node.name]))
                if node.neuron is not None and node.name in thresholds
                else node
            )
        )

    return Pass(
        "calibrate-thresholds",
        apply,
        requires=(neurons_placed,),
        ensures=(neurons_placed, thresholds_set),
        exact=True,
    )


def _with_one_threshold(node: Node) -> Node:
    if node.neuron is None or node.neuron.kind != "adafire":
        return node
    return node.updated(neuron=replace(node.neuron, per_channel=False))


def _from_statistics(
    graph: Graph,
    calibration: Calibration,
    options: CompileOptions,
    progress: Callable[[int, int], None],
) -> tuple[ByName, ByName]:
    """Thresholds, and peaks of channels, from one pass of the ANN over all images."""
    neurons = {
        node.name: node.neuron
        for node in graph
        if node.neuron is not None and node.neuron.kind in ("input", "adafire")
    }
    samples = activation_samples(graph, tuple(neurons), calibration, options, progress)
    thresholds = {name: best_threshold(samples[name], neurons[name], options) for name in neurons}
    return thresholds, {name: samples[name].peak for name in neurons}


def _balanced(
    graph: Graph, calibration: Calibration, options: CompileOptions
) -> tuple[ByName, ByName]:
    """The same, each population on what the balanced ones before it give."""
    walk = _Balancing(graph, calibration, options)
    return walk.thresholds, walk.peaks


class _Balancing:
    """One walk over the populations: each is balanced on what the balanced ones before it give.

    Attributes:
        thresholds: By node name.
        peaks: Largest |activation| of each channel, by node name.
    """

    def __init__(self, graph: Graph, calibration: Calibration, options: CompileOptions) -> None:
        self._graph, self._calibration, self._options = graph, calibration, options
        self._frontier = Frontier(graph)
        self.thresholds: dict[str, Float64] = {}
        self.peaks: dict[str, Float64] = {}
        for node in population_nodes(graph):
            if node.neuron is not None and node.neuron.kind != "readout":
                self._visit(node, node.neuron)

    def _visit(self, node: Node, neuron: Neuron) -> None:
        values = self._values(node)
        if neuron.kind in ("input", "adafire"):
            samples = samples_of(node.name, values, self._options)
            threshold = best_threshold(samples, neuron, self._options)
            self.thresholds[node.name], self.peaks[node.name] = threshold, samples.peak
            cap = (threshold * neuron.phi).reshape(-1, *[1] * (values.ndim - 2))
            values = np.clip(values, -cap, cap).astype(np.float32)
        self._frontier.advance(node.name, values, values)

    def _values(self, node: Node) -> Array:
        """The activation while the sources are clipped, (images, *shape)."""
        region = Region(self._graph, node.name, self._calibration.ann)
        if not region.sources:
            return self._calibration.activation(self._graph, node.name)
        return region.activation(
            {name: self._frontier.activations[name] for name in region.sources}
        )
