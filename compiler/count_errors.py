"""How far what a population sends is from the ANN's activation, channel by channel.

Images are taken a few at a time, so that what is computed of them stays in the processor's cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Array, Float64, Int64
from spikec.compiler.copies import together
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
    judge = _Judge(population, timesteps, copy_of, half_way)
    size = max(1, _PART // math.prod(population.shape))
    for at in range(0, len(target), size):
        judge.take(spikes[:, at : at + size], target[at : at + size])
    return judge.result()


class _Judge:
    """Sums over the images seen so far."""

    def __init__(
        self, population: AdaFire, timesteps: int, copy_of: Int64 | None, half_way: bool
    ) -> None:
        self._population, self._timesteps, self._copy_of = population, timesteps, copy_of
        self._half = timesteps // 2 if half_way else 0
        self._top = population.phi * timesteps
        self._low = -self._top if population.fire is Fire.SIGNED else 0
        self._squares: list[Float64] = []
        self._early: list[Float64] = []
        self._errors: list[Float64] = []
        self._sent: list[Int64] = []
        self._moving: list[Int64] = []

    def take(self, spikes: Array, target: Array) -> None:
        """Add some images."""
        kind = np.min_scalar_type(-self._top - 1)
        half = len(spikes) // 2
        half_way = by_position(spikes[:half].sum(axis=0, dtype=kind))
        count = half_way + by_position(spikes[half:].sum(axis=0, dtype=kind))
        error = self._off_by(count, target, self._timesteps)
        self._squares.append(_squares(error))
        self._errors.append(error.sum(axis=2))
        self._sent.append(np.abs(count).sum(axis=2, dtype=np.int64))
        self._moving.append(np.count_nonzero((count > self._low) & (count < self._top), axis=2))
        if self._half:
            self._early.append(_squares(self._off_by(half_way, target, self._half)))

    def result(self) -> CountErrors:
        positions = math.prod(self._population.shape[1:])

        def mean(parts: list[Array]) -> Float64:
            by_image = np.concatenate(parts)
            means: Float64 = by_image.mean(axis=0, dtype=np.float64) / positions
            return means

        moving = np.concatenate(self._moving)
        return CountErrors(
            squares=mean(self._squares),
            early=mean(self._early) if self._half else 0.0,
            mean=mean(self._errors),
            sent=mean(self._sent),
            moving=moving.sum(axis=0) / (len(moving) * positions),
        )

    def _off_by(self, count: Array, target: Array, steps: int) -> Float64:
        """Time mean of the program minus the ANN's activation, (images, C, positions)."""
        shape = (1, *self._population.shape)
        scale = np.broadcast_to(self._population.scale / steps, shape)
        error: Float64 = count * by_position(scale).astype(np.float32).astype(np.float64)
        error -= by_position(target)
        return together(error, self._copy_of)


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
