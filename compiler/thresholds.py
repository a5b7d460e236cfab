"""Thresholds of a neuron from samples of the activation that it stands for.

Per channel, or per layer where channels cannot be told apart or one threshold is asked for; a
Clip's ceiling bounds φθ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from spikec.compiler.activations import LONG_TAIL, ChannelSamples, channel_samples
from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.balancing import balanced_caps, percentile_caps, usable_caps
from spikec.compiler.calibration import Calibration
from spikec.compiler.copies import carriers
from spikec.compiler.expected_activations import Expected, expected
from spikec.compiler.ir import Graph, Neuron
from spikec.compiler.mmse import best_caps, reads_tail
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import Fire

Told = Callable[[int, int], None]
"""Told of images done and in all."""

_SAMPLES = 8192
"""Samples per channel: enough for a threshold within 1 % of the one from all activations."""
_LAYER_SAMPLES = 2**20
"""Samples of all channels for one threshold that allows for unseen images."""


def activation_samples(
    graph: Graph,
    names: Sequence[str],
    calibration: Calibration,
    options: CompileOptions,
    progress: Told = lambda done, total: None,
) -> dict[str, ChannelSamples]:
    """Samples of the ANN's activations at some nodes, by name, in bounded memory."""
    channels = sum(graph[name].known_shape()[0] for name in names)
    count = int(np.clip(options.memory_bytes // (8 * channels), 256, _SAMPLES))
    held = len(calibration.every)
    total = options.threshold_images or held
    batches = _told(calibration.statistics(graph, names), progress, total)
    images = min(held, options.threshold_images or held)
    return channel_samples(batches, images, count, options.seed, _tail(options))


def _told(
    batches: Iterable[dict[str, Array]], progress: Told, total: int
) -> Iterator[dict[str, Array]]:
    """The same batches, and a word before each and after the last."""
    done = 0
    for batch in batches:
        progress(done, total)
        yield batch
        done += len(next(iter(batch.values())))
    progress(total, total)


def samples_of(name: str, values: Array, options: CompileOptions) -> ChannelSamples:
    """Samples of activations that are there already, (images, *shape)."""
    batches: Iterable[Mapping[str, Array]] = [{name: values}]
    return channel_samples(batches, len(values), _SAMPLES, options.seed, _tail(options))[name]


def best_threshold(samples: ChannelSamples, neuron: Neuron, options: CompileOptions) -> Float64:
    """The threshold for kind, φ and rule of a neuron, by the method that was chosen.

    Returns:
        (C,) or (1,).
    """
    if neuron.kind == "input":
        return _peaks(samples, neuron)
    threshold: Float64 = _caps(samples, neuron, options) / neuron.phi
    return threshold


def _peaks(samples: ChannelSamples, neuron: Neuron) -> Float64:
    return usable_caps(
        samples.peak if neuron.per_channel else samples.peak.max(keepdims=True), None
    )


def _caps(samples: ChannelSamples, neuron: Neuron, options: CompileOptions) -> Float64:
    match options.threshold_method:
        case "percentile":
            values = _values(samples, neuron)
            return percentile_caps(values, options.threshold_percentile, ceiling=neuron.ceiling)
        case "maximum":
            return np.minimum(_peaks(samples, neuron), neuron.ceiling or np.inf)
        case "balancing":
            return balanced_caps(_values(samples, neuron), ceiling=neuron.ceiling)
        case _:
            likely = _likely(samples, neuron, options)
            return best_caps(
                likely.values,
                _levels(neuron, options),
                weights=likely.weights,
                spread=likely.spread,
                signed=neuron.fire is Fire.SIGNED,
                ceiling=neuron.ceiling,
            )


def _values(samples: ChannelSamples, neuron: Neuron) -> Float64:
    """Random samples, (channels or 1, samples)."""
    values = samples.values.astype(np.float64)
    return values if neuron.per_channel else values.reshape(1, -1)


def _levels(neuron: Neuron, options: CompileOptions) -> Int64:
    """φT; of a channel that several carry, as often."""
    return neuron.phi * options.timesteps * carriers(neuron.copy_of)


def _likely(samples: ChannelSamples, neuron: Neuron, options: CompileOptions) -> Expected:
    """The activations that a neuron's caps are chosen for: the sampled values, or more."""
    if not reads_tail(neuron.windowed, neuron.phi, options):
        values = _values(samples, neuron)
        return Expected(values, np.ones_like(values), np.zeros((1, 1)))
    if neuron.per_channel:
        return expected(samples, neuron.ceiling)
    thinned = samples.thinned(max(1, _LAYER_SAMPLES // len(samples.values)))
    return expected(thinned, neuron.ceiling).together()


def _tail(options: CompileOptions) -> int:
    """Largest values that are kept of each channel: its peak, unless a neuron may read more."""
    windowed = options.windowed or "windowed" in options.search.modes
    phi = max(options.phi, options.search.phi_max or 0)
    return LONG_TAIL if reads_tail(windowed, phi, options) else 1
