"""calibrate-thresholds: θ of every population is the one of least mean squared error.

Cases:
1. input: the largest magnitude of each channel over the calibration images; nothing is clipped.
2. adafire: θ = cap/φ, the cap from the search in ``mmse`` under φT levels, per channel, or per
   layer where channels cannot be told apart; a Clip's ceiling bounds φθ.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikec.compiler.activations import ChannelSamples
from spikec.compiler.arrays import Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.invariants import neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.thresholds import activation_samples, best_threshold


def calibrate_thresholds(calibration: Calibration, options: CompileOptions) -> Pass:
    """The pass for given T and calibration images."""

    def apply(graph: Graph) -> Graph:
        names = [
            node.name
            for node in graph
            if node.neuron is not None and node.neuron.kind in ("input", "adafire")
        ]
        samples = activation_samples(graph, names, calibration, options)
        return graph.mapped(
            lambda node: (
                _calibrated(node, samples[node.name], options) if node.name in samples else node
            )
        )

    return Pass(
        "calibrate-thresholds",
        apply,
        requires=(neurons_placed,),
        ensures=(neurons_placed, thresholds_set),
        exact=True,
    )


def _calibrated(node: Node, samples: ChannelSamples, options: CompileOptions) -> Node:
    neuron = node.neuron
    assert neuron is not None
    threshold = (
        _peaks(samples, neuron)
        if neuron.kind == "input"
        else best_threshold(samples, neuron, options)
    )
    return node.updated(neuron=replace(neuron, threshold=threshold))


def _peaks(samples: ChannelSamples, neuron: Neuron) -> Float64:
    peak = samples.peak if neuron.per_channel else samples.peak.max(keepdims=True)
    typical = float(np.median(peak[peak > 0])) if np.any(peak > 0) else 1.0
    return np.where(peak > 0, peak, typical)
