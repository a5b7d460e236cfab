"""Neurons: one adafire population under a given current, in machine code.

Currents and spikes keep the order of the population's shape: to the kernel every neuron is a
channel with parameters of its own, and a few neurons are a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikec.backends.simulator.events.driver import Driver
from spikec.backends.simulator.events.fire import GUARD, Fire
from spikec.backends.simulator.events.kernels import KernelLibrary
from spikec.backends.simulator.events.nodes import SAFE
from spikec.backends.simulator.events.schedules import drive_at, schedule_of
from spikec.compiler import populations
from spikec.compiler.arrays import Array, Int32, Int64
from spikec.compiler.simulation import Fired

LEAST = 8
"""Neurons per vector, at the least."""

MOST = 4
"""Vectors per pixel, at the most."""


class Neurons:
    """A population ready to fire.

    Args:
        library: Makes the kernels.
        population: Whose neurons are a multiple of LEAST.
        current: int32, (T or 1, images, *shape).
        timesteps: T.
        vmax: Largest potential.

    Raises:
        MachineCodeError: The kernel cannot be made.
    """

    def __init__(
        self,
        library: KernelLibrary,
        population: populations.AdaFire,
        current: Int32,
        timesteps: int,
        vmax: int,
    ) -> None:
        images, neurons = current.shape[1], math.prod(population.shape)
        self.population = population
        self.vmax = vmax
        self.current = np.ascontiguousarray(current)
        self.parameters = {
            name: np.broadcast_to(values, population.shape).flatten()
            for name, values in (("threshold", population.threshold), ("bias", population.bias))
        }
        initial = np.broadcast_to(population.initial, population.shape).ravel()
        self.membrane: Int32 = np.tile(initial, (images, 1))
        remembers = population.fire is populations.Fire.RETRACT
        self.total: Int32 = np.zeros((images if remembers else 0, neurons), np.int32)
        kind = np.int8 if population.phi <= 127 else np.int16
        self.spikes = np.empty((timesteps, images, *population.shape), kind)
        self.bits = np.empty((images, neurons // 8), np.uint8)
        self.saturations: Int64 = np.zeros((images, timesteps), np.int64)
        self._lanes = _dividing(neurons, library.machine.lanes)
        self._vectors = _dividing(neurons // self._lanes, MOST)
        self._schedule, self._arguments = self._bind(library)
        self._drive = drive_at(library.load([Driver()])[Driver()])

    def run(self, images: slice) -> None:
        """All steps of some images; different images may run at the same time."""
        count = images.stop - images.start
        steps = len(self.spikes)
        self._drive(int(self._schedule.ctypes.data), images.start, count, 0, steps)

    @property
    def fired(self) -> Fired:
        """What was emitted."""
        shape = self.population.shape
        return Fired(self.spikes, self.membrane.reshape(-1, *shape), self.saturations)

    def _bind(self, library: KernelLibrary) -> tuple[Int64, list[Int64]]:
        windowed = self.population.windowed
        step = self._kernel(integrates=True, emits=not windowed)
        release = [self._kernel(integrates=False, emits=True)] if windowed else []
        addresses = library.load([step, *release])
        arguments = [self._numbers(kernel) for kernel in (step, *release)]
        pairs = [(addresses[k], n) for k, n in zip((step, *release), arguments, strict=True)]
        return schedule_of(1, {"step": pairs[:1], "release": pairs[1:]}), arguments

    def _kernel(self, *, integrates: bool, emits: bool) -> Fire:
        return Fire(
            lanes=self._lanes,
            vectors=self._vectors,
            narrow=False,
            shift=0,
            wide=False,
            constant=integrates,
            rule=self.population.fire.value,
            unit=self.population.phi == 1 and self.population.fire is populations.Fire.PLAIN,
            payload=self.spikes.itemsize * 8,
            clip=integrates,
            integrates=integrates,
            emits=emits,
            extended=self._extended,
            per_channel=False,
            guarded=integrates and not self._extended,
        )

    @property
    def _extended(self) -> bool:
        """Whether 32 bits may overflow on the way."""
        bias, threshold = self.parameters["bias"], self.parameters["threshold"]
        return int(threshold.max()) >= SAFE or max(self.vmax, _magnitude(bias)) >= GUARD // 4

    def _numbers(self, kernel: Fire) -> Int64:
        """Arguments of a kernel: operands, then scalars."""
        neurons, pixel = len(self.parameters["bias"]), self._lanes * self._vectors
        varying = len(self.current) > 1
        places = {
            "constant": _Place(self.current, 1, 0 if varying else None),
            "membrane": _Place(self.membrane, 0),
            "total": _Place(self.total, 0),
            "threshold": _Place(self.parameters["threshold"]),
            "bias": _Place(self.parameters["bias"]),
            "bits": _Place(self.bits, 0),
            "payloads": _Place(self.spikes, 1, 0),
            "saturations": _Place(self.saturations, 0, 1),
        }
        scalars: Mapping[str, int] = {
            "rows": 1,
            "columns": neurons // pixel,
            "phi": self.population.phi,
            "vmax": self.vmax,
            "constant_row": 0,
            "bits_pixel": pixel // 8,
            "payloads_pixel": pixel * self.spikes.itemsize,
            "threshold_pixel": 4 * pixel,
            "bias_pixel": 4 * pixel,
        }
        numbers = [number for name in kernel.operands for number in places[name].numbers]
        return np.array([*numbers, *(scalars[name] for name in kernel.scalars)], np.int64)


@dataclass(frozen=True, eq=False)
class _Place:
    """An operand: an array, and its axes of images and of steps."""

    array: Array
    image: int | None = None
    step: int | None = None

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        image, step = (
            0 if axis is None else int(self.array.strides[axis]) for axis in (self.image, self.step)
        )
        return (int(self.array.ctypes.data), image, 0, step)


def _dividing(count: int, most: int) -> int:
    """The largest power of two that divides a number and is not above a limit."""
    return next(n for n in (32, 16, 8, 4, 2, 1) if n <= most and count % n == 0)


def _magnitude(array: Array) -> int:
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))
