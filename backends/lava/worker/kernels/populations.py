"""What populations do at each step: integrate, saturate, fire, and start again at each sample."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from kernels.clock import Clock
from kernels.recorder import Recorder
from kernels.windows import Array, Shape, Windows

_BELOW_ALL = -(2**62)

Files = Mapping[str, str]


class Source:
    """The input: the same payloads at every step of a sample, or a frame per step.

    Args:
        shape: Of the payloads.
        samples: Path of an .npy file: (samples, *shape), or (samples, T, *shape) of frames.
        clock: Of depth 0.
        files: Recorded: "spikes".
    """

    def __init__(
        self, shape: Shape, samples: str, clock: Clock, files: Files | None = None
    ) -> None:
        self.shape, self.clock = shape, clock
        self._samples = np.load(samples, mmap_mode="r", allow_pickle=False)
        self._frames = self._samples.ndim == len(shape) + 2
        self._recorder = Recorder(files)

    def step(self, time_step: int) -> Array:
        """The payloads; int32."""
        local = self.clock.local(time_step)
        if not self.clock.runs(local):
            return np.zeros(self.shape, np.int32)
        sample = self._samples[local // self.clock.timesteps]
        payloads = np.array(sample[local % self.clock.timesteps] if self._frames else sample)
        self._recorder.write("spikes", local, payloads)
        return payloads.astype(np.int32)


class AdaFire:
    """Neurons that integrate their current and fire up to φ spikes per step.

    A windowed neuron integrates the T steps of a sample and fires its charge in the T steps after
    them, while it integrates the next sample.

    Args:
        shape: Of the population.
        threshold: θ, broadcastable to the shape.
        bias: b, added at every step of a sample.
        initial: v0, the potential at the start of a sample.
        phi: φ, largest payload.
        fire: "plain", "retract" or "signed".
        windowed: Fire after the integration.
        vmax: Potentials saturate at ±vmax.
        clock: When samples start.
        files: Recorded: "spikes", "membranes" after each firing, "saturations" per step.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        threshold: Array,
        bias: Array,
        initial: Array,
        phi: int,
        fire: str,
        windowed: bool,
        vmax: int,
        clock: Clock,
        files: Files | None = None,
    ) -> None:
        self.shape, self.clock = shape, clock
        self._threshold, self._bias = threshold.astype(np.int64), bias.astype(np.int64)
        self._initial = np.broadcast_to(initial.astype(np.int64), shape)
        self._most, self._least = phi, 0 if fire == "plain" else -phi
        self._retracts, self._windowed = fire == "retract", windowed
        self._vmax, self._recorder = vmax, Recorder(files)
        self._v: Array = np.zeros(shape, np.int64)
        self._charge: Array = np.zeros(shape, np.int64)  # of the finished sample, if windowed
        self._sent = np.zeros(shape, np.int64)

    def step(self, time_step: int, current: Array) -> Array:
        """The payloads; int32."""
        local = self.clock.local(time_step)
        if self.clock.resets(local):
            self._charge, self._v = self._v, self._initial
            self._sent = np.zeros(self.shape, np.int64)
        if self.clock.runs(local):
            self._integrate(local, current)
        row = local - self.clock.timesteps if self._windowed else local
        if not self.clock.runs(row):
            return np.zeros(self.shape, np.int32)
        payloads = self._fire_charge() if self._windowed else self._fire()
        self._recorder.write("spikes", row, payloads)
        self._recorder.write("membranes", row, self._charge if self._windowed else self._v)
        return payloads.astype(np.int32)

    def _integrate(self, local: int, current: Array) -> None:
        potential = self._v + current + self._bias
        excess = int(np.count_nonzero(np.abs(potential) > self._vmax))
        self._recorder.write("saturations", local, excess)
        self._v = np.clip(potential, -self._vmax, self._vmax)

    def _fire(self) -> Array:
        payloads = self._quotient(self._v)
        if self._retracts:
            payloads = np.maximum(payloads, -self._sent)
            self._sent = self._sent + payloads
        self._v = self._v - payloads * self._threshold
        return payloads

    def _quotient(self, potential: Array) -> Array:
        whole: Array = potential // self._threshold  # rounded down, also below zero
        return np.clip(whole, self._least, self._most)

    def _fire_charge(self) -> Array:
        payloads = self._quotient(self._charge)
        self._charge = self._charge - payloads * self._threshold
        return payloads


class MaxPool:
    """Emits by how much the largest count of each window has grown, or fallen.

    Args:
        shape: (C, *spatial) of the output.
        counters: (C, *spatial) of the counts.
        windows: Positions of the windows; a padded cell never counts.
        clock: When samples start.
        files: Recorded: "spikes".
    """

    def __init__(
        self,
        shape: Shape,
        counters: Shape,
        windows: Windows,
        clock: Clock,
        files: Files | None = None,
    ) -> None:
        self.shape, self.counters, self.clock = shape, counters, clock
        self._windows, self._recorder = windows, Recorder(files)
        self._counts = np.zeros(counters, np.int64)
        self._largest = np.zeros(shape, np.int64)

    def step(self, time_step: int, current: Array) -> Array:
        """The payloads; int32."""
        local = self.clock.local(time_step)
        if self.clock.resets(local):
            self._counts, self._largest = np.zeros_like(self._counts), np.zeros_like(self._largest)
        if not self.clock.runs(local):
            return np.zeros(self.shape, np.int32)
        self._counts = self._counts + current
        taps = tuple(range(len(self.shape), 2 * len(self.shape) - 1))
        largest: Array = self._windows.over(self._counts, _BELOW_ALL).max(axis=taps)
        payloads, self._largest = largest - self._largest, largest
        self._recorder.write("spikes", local, payloads)
        return payloads.astype(np.int32)


class Readout:
    """Sums its current and bias over the steps of a sample.

    Args:
        shape: Of the potentials.
        bias: Broadcastable.
        clock: When samples start.
        files: Recorded: "potentials" after each step.
    """

    def __init__(self, shape: Shape, bias: Array, clock: Clock, files: Files | None = None) -> None:
        self.shape, self.clock, self._bias = shape, clock, bias.astype(np.int64)
        self._v, self._recorder = np.zeros(shape, np.int64), Recorder(files)

    def step(self, time_step: int, current: Array) -> None:
        """Integrate."""
        local = self.clock.local(time_step)
        if self.clock.resets(local):
            self._v = np.zeros_like(self._v)
        if self.clock.runs(local):
            self._v = self._v + current + self._bias
            self._recorder.write("potentials", local, self._v)
