"""How far what a population sends is from the ANN's activation, channel by channel.

Images are taken a few at a time, so that what is computed of them stays in the processor's cache;
each is summed by itself, so that the division makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.copies import Together
from spikec.compiler.populations import AdaFire, Fire

_PART = 2**16
"""Values of a part."""


@dataclass(frozen=True, eq=False)
class CountErrors:
    """Means over images and positions, by channel.

    Attributes:
        squares: Squared error of the time mean after all steps, (C,).
        early: Squared error of the time mean after half of the steps, (C,); 0 if not asked for.
        mean: Error of the time mean after all steps, (C,).
        sent: Spikes of a neuron, payloads summed, (C,).
        moving: Part of the counts that are neither the smallest nor the largest possible, (C,).
    """

    squares: Float64
    early: Float64 | float
    mean: Float64
    sent: Float64
    moving: Float64


def count_errors(
    spikes: Array,
    target: Array,
    population: AdaFire,
    timesteps: int,
    *,
    copy_of: Int64 | None = None,
    half_way: bool = False,
) -> CountErrors:
    """What a population's spikes miss.

    Args:
        spikes: Payloads, (T, images, *shape); or their sum, (1, images, *shape).
        target: The ANN's activation, (images, *shape).
        population: That sent them.
        timesteps: T.
        copy_of: The channel whose value each carries, (C,): copies are judged by their mean, so
            that they change together; None: each its own.
        half_way: Whether the error after half of the steps is asked for, of payloads in T steps.
    """
    size = min(len(target), max(1, _PART // math.prod(population.shape)))
    parts = [slice(at, at + size) for at in range(0, len(target), size)]
    judge = _Judge(population, timesteps, copy_of, size, half_way=half_way)
    sums = [judge.sums(spikes[:, part], target[part]) for part in parts]
    positions = math.prod(population.shape[1:])

    def mean(of: Callable[[_Sums], Array]) -> Float64:
        by_image = np.concatenate([of(each) for each in sums])
        means: Float64 = by_image.mean(axis=0, dtype=np.float64) / positions
        return means

    return CountErrors(
        squares=mean(lambda each: each.squares),
        early=mean(lambda each: each.early) if half_way else 0.0,
        mean=mean(lambda each: each.errors),
        sent=mean(lambda each: each.sent),
        moving=mean(lambda each: each.moving),
    )


@dataclass(frozen=True, eq=False)
class _Sums:
    """Over the positions of some images, (images, C); ``early`` is ``squares`` if not asked for."""

    squares: Float64
    early: Float64
    errors: Float64
    sent: Int64
    moving: Int64


class _Judge:
    """Sums what a population's spikes miss."""

    def __init__(
        self,
        population: AdaFire,
        timesteps: int,
        copy_of: Int64 | None,
        images: int,
        *,
        half_way: bool,
    ) -> None:
        self._together = Together(copy_of)
        positions = math.prod(population.shape[1:])
        self._held = np.empty((images, population.shape[0], positions))
        self._whole = _scale(population, timesteps)
        self._half = _scale(population, timesteps // 2) if half_way else None
        self._top = population.phi * timesteps
        self._low = -self._top if population.fire is Fire.SIGNED else 0

    def sums(self, spikes: Array, target: Array) -> _Sums:
        """Those of some images."""
        kind = np.min_scalar_type(-self._top - 1)
        half = len(spikes) // 2
        half_way = by_position(spikes[:half].sum(axis=0, dtype=kind))
        count = half_way + by_position(spikes[half:].sum(axis=0, dtype=kind))
        error = self._off_by(count, target, self._whole)
        squares = early = _squares(error)
        errors = error.sum(axis=2)
        if self._half is not None:
            early = _squares(self._off_by(half_way, target, self._half))
        return _Sums(
            squares=squares,
            early=early,
            errors=errors,
            sent=np.abs(count).sum(axis=2, dtype=np.int64),
            moving=np.count_nonzero((count > self._low) & (count < self._top), axis=2),
        )

    def _off_by(self, count: Array, target: Array, scale: Float64) -> Float64:
        """Time mean of the program minus the ANN's activation, (images, C, positions).

        In the memory of the last one: pages that are new cost more than the arithmetic.
        """
        error = np.multiply(count, scale, out=self._held[: len(count)])
        error -= by_position(target)
        return self._together(error)


def _scale(population: AdaFire, steps: int) -> Float64:
    """What one spike adds to the time mean, as float32 tells it, (1, C, positions or 1)."""
    scale = (population.scale / steps).astype(np.float32).astype(np.float64)
    if scale.shape != (population.shape[0], *[1] * (len(population.shape) - 1)):
        return by_position(np.broadcast_to(scale, (1, *population.shape)))
    by_channel: Float64 = scale.reshape(1, -1, 1)
    return by_channel


def by_position(values: Array) -> Array:
    """(images, C, …) → (images, C, positions), a view."""
    return values.reshape(*values.shape[:2], -1)


def channel_means(values: Array) -> Float64:
    """(images, C, …) → (C,).

    Each image is summed along memory in its own precision; only the images are added in float64.
    """
    flat = by_position(values)
    means: Float64 = flat.sum(axis=2).mean(axis=0, dtype=np.float64) / flat.shape[2]
    return means


def _squares(error: Float64) -> Float64:
    """(images, C, positions) → (images, C)."""
    sums: Float64 = np.einsum("ncp,ncp->nc", error, error)
    return sums
