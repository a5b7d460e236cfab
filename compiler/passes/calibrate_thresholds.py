"""calibrate-thresholds: θ of every population is the one of least mean squared error.

Cases:
1. input: the largest magnitude of each channel over the calibration images; nothing is clipped.
2. adafire: θ = cap/φ, the cap from the search in ``mmse`` under φT levels, per channel, or per
   layer where channels cannot be told apart; a Clip's ceiling bounds φθ.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikec.compiler.activations import ChannelSamples, channel_samples
from spikec.compiler.arrays import Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.invariants import neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.mmse import best_caps
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.populations import Fire

_SAMPLES = 8192
"""Samples per channel: enough for a threshold within 1 % of the one from all activations."""


def calibrate_thresholds(calibration: Calibration, options: CompileOptions) -> Pass:
    """The pass for given T and calibration images."""

    def apply(graph: Graph) -> Graph:
        names = [
            node.name
            for node in graph
            if node.neuron is not None and node.neuron.kind in ("input", "adafire")
        ]
        channels = sum(graph[name].known_shape()[0] for name in names)
        count = int(np.clip(options.memory_bytes // (8 * channels), 256, _SAMPLES))
        batches = calibration.activations(graph, names)
        samples = channel_samples(batches, len(calibration.images), count, options.seed)
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
        else _caps(samples, neuron, options) / neuron.phi
    )
    return node.updated(neuron=replace(neuron, threshold=threshold))


def _peaks(samples: ChannelSamples, neuron: Neuron) -> Float64:
    peak = samples.peak if neuron.per_channel else samples.peak.max(keepdims=True)
    typical = float(np.median(peak[peak > 0])) if np.any(peak > 0) else 1.0
    return np.where(peak > 0, peak, typical)


def _caps(samples: ChannelSamples, neuron: Neuron, options: CompileOptions) -> Float64:
    values = samples.values if neuron.per_channel else samples.values.reshape(1, -1)
    return best_caps(
        values.astype(np.float64),
        neuron.phi * options.timesteps,
        signed=neuron.fire is Fire.SIGNED,
        ceiling=neuron.ceiling,
    )
