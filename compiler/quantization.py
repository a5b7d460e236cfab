"""Integers for one population: weights, exponents, threshold, bias and initial potential.

w_int = round(W·scale_pre/s), θ_int = round(θ/s), b_int = round(b/s), with s per output channel
the smallest step that keeps every |w_int| in its width; scale = θ_int·s undoes the rounding of θ
downstream. Source: the integer contract, section "Scales".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.connections import Connection
from spikec.compiler.copies import starts
from spikec.compiler.drives import Drive, drive
from spikec.compiler.errors import BoundError
from spikec.compiler.fixed_point import largest, rounded, split_bias
from spikec.compiler.ir import Neuron, Node, Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.path_scales import weightless_factors
from spikec.compiler.paths import Path
from spikec.compiler.populations import AdaFire, Population, Readout

_MAX_EXPONENT = 14
"""Largest shift between the connections of one population: a weight of 127·2^14 still leaves a
factor of 1000 below 2^31."""

_FINE_THRESHOLD = 64
"""A threshold of fewer units than this is made finer by shifting all weights left: its rounding
would move the grid of levels by up to 1 %."""

_LARGEST_THRESHOLD = 2**15
_PAYLOADS_HELD = 4
"""No threshold has more units than this, and a membrane holds so many of the largest payloads.
Where weight decay has left a channel with weights of 1e-9, a step made for them would blow the
threshold out of the membrane; such weights are 0."""


def quantize(
    node: Node,
    paths: Sequence[Path],
    scales: Mapping[str, Float64],
    bias: Float64,
    options: CompileOptions,
    *,
    whole: bool = False,
) -> Quantized:
    """The integers of an adafire or read-out population.

    Args:
        node: Carries the neuron, its thresholds and its shape.
        paths: All paths into it.
        scales: Scale of each source population, broadcastable to its shape.
        bias: Current of the population while its sources are silent, in units of the activation,
            broadcastable to its shape.
        options: Widths and timesteps.
        whole: Make the step larger, by a unit of the threshold at most, so that the threshold is a
            whole number of steps: it is not rounded, and scale = θ.

    Raises:
        BoundError: A threshold, bias or initial potential does not fit the membrane.
    """
    neuron, shape = node.neuron, node.known_shape()
    assert neuron is not None
    channels = shape[0] if neuron.per_channel and neuron.kind == "adafire" else 1
    drives = [drive(path, scales[path.source], shape, channels) for path in paths]
    limit = largest(options.weight_bits)
    peaks = [each.peaks(channels) for each in drives]
    exponents = _exponents(peaks)
    step = _steps(peaks, exponents, limit)
    if neuron.threshold is not None:
        lift = _lift(neuron.threshold, step)
        exponents = [exponent + lift for exponent in exponents]
        held = largest(options.membrane_bits) // (_PAYLOADS_HELD * neuron.phi)
        units = max(1, min(_LARGEST_THRESHOLD, held))
        step = np.maximum(step / 2**lift, neuron.threshold / units)
        if whole:
            step = neuron.threshold / np.maximum(1, np.floor(neuron.threshold / step))
    connections = tuple(
        _connection(each, node.name, step, exponent, limit)
        for each, exponent in zip(drives, exponents, strict=True)
    )
    spread = step.reshape(-1, *[1] * (len(shape) - 1))
    delay = 0.0 if neuron.delay is None else neuron.delay.reshape(-1, *[1] * (len(shape) - 1))
    population = _population(node, spread, bias, options, delay)
    return Quantized(population, connections, spread, bias)


def _exponents(peaks: Sequence[Float64]) -> list[int]:
    """Shifts that give every connection the full range of its weights.

    With one step s for all, the connection with the largest weights would leave the others a few
    levels. Its weights are divided by 2^e instead, in steps of its natural size.
    """
    naturals = [np.median(peak[peak > 0]) if np.any(peak > 0) else 0.0 for peak in peaks]
    base = min((natural for natural in naturals if natural > 0), default=1.0)
    return [
        int(np.clip(np.rint(np.log2(natural / base)), 0, _MAX_EXPONENT)) if natural > 0 else 0
        for natural in naturals
    ]


def _steps(peaks: Sequence[Float64], exponents: Sequence[int], limit: int) -> Float64:
    """The smallest step s per channel that keeps |w_int| ≤ limit; never 0."""
    shifted = [peak / 2.0**exponent for peak, exponent in zip(peaks, exponents, strict=True)]
    step = np.max(shifted, axis=0) / limit
    alive = step > 0
    # A channel without weights takes a typical step: its bias and threshold still need units.
    return np.where(alive, step, np.median(step[alive]) if alive.any() else 1.0)


def _lift(threshold: Float64, step: Float64) -> int:
    """The shift that makes typical thresholds at least _FINE_THRESHOLD units."""
    units = float(np.median(threshold / step))
    return int(np.clip(np.ceil(np.log2(_FINE_THRESHOLD / max(units, 1e-9))), 0, 8))


def _connection(part: Drive, sink: str, step: Float64, exponent: int, limit: int) -> Connection:
    per_row = np.where(part.rows >= 0, step[part.rows], 1.0) * 2.0**exponent
    integers = rounded(part.weights / per_row[part.outputs], limit).astype(np.int8)
    factors = (
        *weightless_factors(part.path.before),
        part.path.synapses.quantized(integers),
        *weightless_factors(part.path.after),
    )
    return Connection(part.source, sink, factors, exponent)


def _population(
    node: Node,
    step: Float64,
    bias: Float64,
    options: CompileOptions,
    delay: Float64 | float = 0.0,
) -> Population:
    shape, neuron = node.known_shape(), node.neuron
    assert neuron is not None
    if neuron.kind == "readout":
        return Readout(node.name, shape, fitted(node, "bias", bias / step, 2**31 - 1), step)
    assert neuron.threshold is not None
    vmax = largest(options.membrane_bits)
    real = neuron.threshold.reshape(-1, *[1] * (len(shape) - 1))
    threshold = np.maximum(fitted(node, "threshold", real / step, vmax), 1)
    held = rounded(delay * threshold, vmax)
    units = bias / step + held / options.timesteps
    fitted(node, "bias", units, vmax)
    per_step, remainder = split_bias(units, options.timesteps)
    initial = np.clip(_start(threshold, neuron) - held + remainder, -vmax, vmax)
    scale = threshold * step
    return AdaFire(
        node.name,
        shape,
        threshold,
        per_step,
        initial,
        neuron.phi,
        neuron.fire,
        neuron.windowed,
        scale,
    )


def _start(threshold: Int64, neuron: Neuron) -> Int64:
    """Half a threshold; copies of one value start apart."""
    spread = (-1, *[1] * (threshold.ndim - 1))
    return np.floor(threshold * starts(neuron.copy_of).reshape(spread)).astype(np.int64)


def fitted(node: Node, what: str, values: Array, limit: int) -> Array:
    """Values rounded to integers; BoundError naming the node where one exceeds ±limit."""
    worst = float(np.max(np.abs(values), initial=0.0))
    if not worst <= limit:
        raise BoundError(
            f"its {what} of {worst:.4g} units exceeds {limit}",
            node.where,
            "use more membrane bits or fewer weight bits",
        )
    return rounded(values, limit)


@dataclass(frozen=True, eq=False)
class Setting:
    """What calibration chooses for each channel of a population, (channels,).

    Attributes:
        factor: On the threshold.
        delay: By how many thresholds the membrane starts lower; the charge is returned evenly.
        correction: Added to the real bias per step, in units of the activation.
    """

    factor: Float64
    delay: Float64
    correction: Float64

    @classmethod
    def neutral(cls, channels: int, delay: Float64 | None = None) -> Setting:
        """The setting that changes nothing of a population with this delay, by default none."""
        held = np.zeros(channels) if delay is None else np.broadcast_to(delay, channels)
        return cls(np.ones(channels), held, np.zeros(channels))

    def where(self, chosen: Array, other: Setting) -> Setting:
        """Per channel the other setting where chosen, else this one."""
        return Setting(
            np.where(chosen, other.factor, self.factor),
            np.where(chosen, other.delay, self.delay),
            np.where(chosen, other.correction, self.correction),
        )


def with_setting(
    node: Node, quantized: Quantized, setting: Setting, options: CompileOptions
) -> Quantized:
    """The same weights with the threshold, bias and initial potential of a setting."""
    assert node.neuron is not None
    spread = (-1,) + (1,) * (len(node.known_shape()) - 1)
    bias = quantized.bias + setting.correction.reshape(spread)
    node = node.updated(neuron=settled(node.neuron, setting))
    population = _population(node, quantized.step, bias, options, setting.delay.reshape(spread))
    return Quantized(population, quantized.connections, quantized.step, bias)


def settled(neuron: Neuron, setting: Setting) -> Neuron:
    """The neuron with the thresholds and delays of a setting."""
    if neuron.threshold is None:
        return neuron
    factor = setting.factor if neuron.per_channel else setting.factor.mean(keepdims=True)
    return replace(neuron, threshold=neuron.threshold * factor, delay=setting.delay)
