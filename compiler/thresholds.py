"""Thresholds of a neuron from samples of the activation that it stands for.

The rule is that of ``mmse`` under φT levels, per channel, or per layer where channels cannot be
told apart; a Clip's ceiling bounds φθ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikec.compiler.activations import ChannelSamples, channel_samples
from spikec.compiler.arrays import Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.ir import Graph, Neuron
from spikec.compiler.mmse import best_caps
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import Fire

_SAMPLES = 8192
"""Samples per channel: enough for a threshold within 1 % of the one from all activations."""


def activation_samples(
    graph: Graph, names: Sequence[str], calibration: Calibration, options: CompileOptions
) -> dict[str, ChannelSamples]:
    """Samples of the ANN's activations at some nodes, by name, in bounded memory."""
    channels = sum(graph[name].known_shape()[0] for name in names)
    count = int(np.clip(options.memory_bytes // (8 * channels), 256, _SAMPLES))
    batches = calibration.activations(graph, names)
    return channel_samples(batches, len(calibration.images), count, options.seed)


def best_threshold(samples: ChannelSamples, neuron: Neuron, options: CompileOptions) -> Float64:
    """The threshold of least squared error for φ and rule of a neuron, (C,) or (1,)."""
    values = samples.values if neuron.per_channel else samples.values.reshape(1, -1)
    caps = best_caps(
        values.astype(np.float64),
        neuron.phi * options.timesteps,
        signed=neuron.fire is Fire.SIGNED,
        ceiling=neuron.ceiling,
    )
    threshold: Float64 = caps / neuron.phi
    return threshold
