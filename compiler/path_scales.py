"""What happens to scales and channels along a path.

A path is split at its synapses. Before them, every channel (or flat position) that the weights
read must carry one scale, so that it can be folded into the weights. Behind them, every row of
weights must arrive with one gain; and where a sink has a step per channel, in one channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.connections import Factor, Gather, GlobalSum, Identity, SumPool
from spikec.compiler.errors import UnsupportedOpError, Where
from spikec.compiler.ops.base import Synapses
from spikec.compiler.paths import Gain, Path, Step
from spikec.compiler.populations import Shape


class NotUniformError(Exception):
    """One value per channel was needed, and there are several; names the step's node if known."""


@dataclass(frozen=True, eq=False)
class SplitPath:
    """A path with exactly one weighted step.

    Attributes:
        before: Steps before the synapses.
        synapses: The weighted step.
        after: Steps behind them.
        shape: Shape of the map that the synapses read.
        result: Shape of the map that they write.
    """

    before: tuple[Step, ...]
    synapses: Synapses
    after: tuple[Step, ...]
    shape: Shape
    result: Shape


def split(path: Path) -> SplitPath:
    """The path taken apart; one without weights gets a weight of 1 per channel at its end."""
    weighted = [i for i, step in enumerate(path.steps) if isinstance(step.apply, Synapses)]
    if not weighted:
        shape = path.result
        return SplitPath(path.steps, _ones(shape), (), shape, shape)
    (at,) = weighted
    shape = path.steps[at - 1].shape if at else path.shape
    synapses = path.steps[at].apply
    assert isinstance(synapses, Synapses)
    return SplitPath(path.steps[:at], synapses, path.steps[at + 1 :], shape, path.steps[at].shape)


def _ones(shape: Shape) -> Synapses:
    channels = np.arange(shape[0])
    return Synapses(np.ones(shape[0]), channels, channels, Identity)


def carried(values: Array, shape: Shape, steps: tuple[Step, ...], *, gains: bool) -> Array:
    """Values of a map (0: silent) pushed through steps without weights.

    Args:
        values: Broadcastable to ``shape``.
        shape: Of the map they belong to.
        steps: Factors without weights, and gains.
        gains: Whether gains multiply the values; otherwise they are passed over.

    Returns:
        Values broadcastable to the last step's shape.

    Raises:
        NotUniformError: A sum would mix different values.
    """
    for step in steps:
        match step.apply:
            case Gain(factor=factor):
                values = values * factor if gains else values
            case Gather(indices=indices):
                flat = np.append(np.broadcast_to(values, shape).ravel(), 0)
                values = flat[indices]
            case SumPool() | GlobalSum():
                values = per_channel(values)
            case _:
                raise TypeError(f"a step without weights was expected, not {step.apply}")
        shape = step.shape
    return values


def per_channel(values: Array) -> Array:
    """The one value other than 0 of each channel, (C, 1, …); NotUniformError if there are two."""
    rest = tuple(range(1, values.ndim))
    if not rest or all(values.shape[axis] == 1 for axis in rest):
        return values
    silent = values == 0
    high = np.where(silent, -np.inf, values).max(axis=rest, keepdims=True)
    low = np.where(silent, np.inf, values).min(axis=rest, keepdims=True)
    if np.any(high > low):
        raise NotUniformError
    return np.where(np.isfinite(high), high, 0)


def input_values(values: Array, source_shape: Shape, part: SplitPath) -> Array:
    """Values of the source at each input of the synapses, (inputs,): gains are multiplied in."""
    arrived = carried(values, source_shape, part.before, gains=True)
    if part.synapses.inputs.size and part.synapses.inputs.max() < part.shape[0]:
        channels = per_channel(arrived).reshape(-1)
        return np.broadcast_to(channels, (part.shape[0],)) if channels.size == 1 else channels
    return np.broadcast_to(arrived, part.shape).ravel()


def input_channels(source_shape: Shape, part: SplitPath) -> Int64:
    """Which channel of the source each input of the synapses reads: 1…channels, 0: none, (inputs,).

    Raises:
        NotUniformError: An input reads several.
    """
    bare = tuple(step for step in part.before if not isinstance(step.apply, Gain))
    numbers = np.arange(1, source_shape[0] + 1).reshape(-1, *[1] * (len(source_shape) - 1))
    return np.asarray(input_values(numbers, source_shape, replace(part, before=bare)), np.int64)


def output_rows(part: SplitPath, sink_shape: Shape) -> Int64:
    """Which row of weights arrives at each element of the sink: 1…rows, 0: none.

    Returns:
        int64, broadcastable to the sink's shape.
    """
    rows = np.arange(1, part.result[0] + 1).reshape(-1, *[1] * (len(part.result) - 1))
    arrived = carried(rows, part.result, part.after, gains=False)
    return np.asarray(arrived, dtype=np.int64).reshape(
        arrived.shape if arrived.ndim == len(sink_shape) else sink_shape
    )


def row_gains(part: SplitPath) -> Float64:
    """Product of the gains behind the synapses, for each row of weights, (rows,)."""
    count = part.result[0]
    if not any(isinstance(step.apply, Gain) for step in part.after):
        return np.ones(count)
    ones = np.ones((count, *[1] * (len(part.result) - 1)))
    rows = np.arange(1, count + 1).reshape(ones.shape)
    try:
        gains = carried(ones, part.result, part.after, gains=True)
        arrived = carried(rows, part.result, part.after, gains=False)
    except NotUniformError as error:
        raise _gain_error(part) from error
    gains, arrived = np.broadcast_arrays(gains, arrived)
    high, low = np.full(count + 1, -np.inf), np.full(count + 1, np.inf)
    np.maximum.at(high, arrived.ravel(), gains.ravel())
    np.minimum.at(low, arrived.ravel(), gains.ravel())
    if np.any(high[1:] > low[1:]):
        raise _gain_error(part)
    return np.where(np.isfinite(high[1:]), high[1:], 1.0)


def _gain_error(part: SplitPath) -> UnsupportedOpError:
    names = [step.apply.node for step in part.after if isinstance(step.apply, Gain)]
    return UnsupportedOpError(
        "its factors differ within one output channel of the weights before it",
        Where(names[0]),
        "export the model with the normalisation folded into the layer before it",
    )


def weightless_factors(steps: tuple[Step, ...]) -> tuple[Factor, ...]:
    """The steps as factors of a program: gains left out, gathers in a row made one."""
    factors: list[Factor] = []
    for step in steps:
        if isinstance(step.apply, Gain | Synapses):
            continue
        previous = factors[-1] if factors else None
        if isinstance(step.apply, Gather) and isinstance(previous, Gather):
            flat = np.append(previous.indices.ravel(), -1)
            factors[-1] = Gather(flat[step.apply.indices])
        else:
            factors.append(step.apply)
    return tuple(factors)
