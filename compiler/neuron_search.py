"""Search for one population's threshold, delay and bias in the integer program.

Everything is chosen per channel by the squared error between the program's time mean and the ANN's
activation, on the population's true integer current: rounding, saturation, uneven arrival and the
errors of the layers before it are all in it. So is what has been sent half-way, for neurons behind
answer what has come until then: what comes too early or too late makes them fire wrongly.

A delay of d thresholds starts the membrane d·θ lower and returns the charge evenly over the T
steps. The total is the same, but a neuron waits for evidence before it fires, so that fewer spikes
come too early to be taken back; a large d leaves too little time to drain, and makes all that is
read before step T worse. Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.count_errors import count_errors
from spikec.compiler.ir import Neuron, Node, Quantized
from spikec.compiler.mmse import reads_tail
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import AdaFire, Fire
from spikec.compiler.quantization import Setting, settled, with_setting

_STEP = 0.7
"""η: damps a correction whose slope is only estimated."""
_LEAST_SLOPE = 0.1
"""Bounds the correction of channels in which almost nothing can move."""
_DELAYS = (-1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Delays that are tried, in thresholds; below 0 a neuron starts higher and pays back, which is left
out where images may leave early: what it says too much of in the first steps keeps them there."""
_FACTORS = (0.88, 1.14, 0.77, 1.3, 1.14, 1.14)
"""Factors on the threshold that are tried, each on top of the best so far."""
_HALF_WAY = {Fire.PLAIN: 0.04, Fire.SIGNED: 0.04, Fire.RETRACT: 0.01}
"""Weight of the squared error of what has been sent after half of the steps, beside that of all,
for each population behind that it misleads. Without it the first layers wait for themselves alone,
and what they send late misleads the deep ones; less so where they can take back what they sent:
docs/accuracy.md, "What has been sent half-way"."""
_TRIAL_UPDATES = 2**22
"""Neuron updates that one trial may cost; large maps have samples enough in fewer images."""
_TRIAL_IMAGES = 16
_CHANNELS_PER_IMAGE = 8
_TRIAL_SAMPLES = 2**14
"""A trial runs on at least so many images, or on as many as give so many samples per channel. Wide
layers tell many classes apart, and few images activate any one of their channels: one image for so
many channels."""

FireOn = Callable[[AdaFire, int], Array]
"""(population, images) → its payloads on so many calibration images, (T, images, *shape), or, for
a windowed one, their sum, (1, images, *shape)."""


class Freedom(IntEnum):
    """What a search may change; each includes those before it."""

    BIAS = 0
    EXCHANGE = 1
    """Thresholds too, each spike at the price at which the layer as a whole stays as it is."""
    ALL = 2
    """Thresholds and delays, whatever they cost."""


class NeuronSearch:
    """The search for one population; settings are judged by the images they are measured on.

    A channel has three numbers to choose and thousands of samples to choose them by, so that
    nothing is gained by holding images back. ``misled`` is how many populations behind this one
    fire on what it has sent half-way, as ``frontier.misled_behind`` counts them; ``timesteps``, for
    how many steps ``fire`` runs, if not for T.
    """

    def __init__(
        self,
        node: Node,
        quantized: Quantized,
        target: Array,
        fire: FireOn,
        options: CompileOptions,
        *,
        freedom: Freedom = Freedom.ALL,
        misled: int = 0,
        timesteps: int | None = None,
    ) -> None:
        assert node.neuron is not None
        self._node, self._quantized, self._options = node, quantized, options
        self._target, self._fire, self._freedom = target, fire, freedom
        self._images, self._misled = len(target), misled
        self._timesteps = timesteps or options.timesteps
        self._best = Setting.neutral(node.known_shape()[0], node.neuron.delay)
        self._error = np.full(node.known_shape()[0], np.inf)
        self._price = 0.0

    def run(self) -> Quantized:
        """The integers with the best setting of every channel."""
        rounds = self._options.bias_rounds
        if not rounds:
            return self._quantized
        if self._freedom > Freedom.BIAS:
            self._images = self._trial_images()
            self._try(self._best, rounds)
        for delay in self._delays():
            self._try(replace(self._best, delay=np.full_like(self._error, delay)), 2)
        if self._freedom is Freedom.EXCHANGE:
            self._set_price()
        for factor in _FACTORS if self._moves() else ():
            trial = replace(self._best, factor=self._best.factor * factor)
            if self._options.threshold_per == "layer":
                self._try_together(trial)
            else:
                self._try(trial, 2)
        self._images = len(self._target)
        self._error = np.full_like(self._error, np.inf)
        self._try(self._best, (rounds + 1) // 2)
        return with_setting(self._node, self._quantized, self._best, self._options)

    def _set_price(self) -> None:
        """A spike is worth the error that thresholds a little higher everywhere add per spike less.

        At that price the layer as a whole gains nothing by sending more or fewer; channels that
        gain more than that by a spike send more, others fewer.
        """
        higher = replace(self._best, factor=self._best.factor * _FACTORS[1])
        error, spikes, _ = self._measured(self._best)
        more_error, fewer_spikes, _ = self._measured(higher)
        added, saved = (more_error - error).sum(), (spikes - fewer_spikes).sum()
        self._price = float(added / saved) if added > 0 and saved > 0 else 0.0
        self._error = error + self._price * spikes

    @property
    def neuron(self) -> Neuron:
        """The neuron with the best thresholds and delays."""
        assert self._node.neuron is not None
        return settled(self._node.neuron, self._best)

    def _trial_images(self) -> int:
        """Images of a trial; where neither threshold nor delay is tried, for a first bias alone."""
        channels, *spatial = self._node.known_shape()
        positions = int(np.prod(spatial, dtype=int))
        updates = self._options.timesteps * channels * positions
        wide = channels // _CHANNELS_PER_IMAGE if self._moves() or self._delays() else 0
        least = min(max(_TRIAL_IMAGES, wide), -(-_TRIAL_SAMPLES // positions))
        return min(len(self._target), max(least, _TRIAL_UPDATES // updates))

    def _delays(self) -> tuple[float, ...]:
        """A window waits anyway; a signed neuron would take the missing charge for a value."""
        population = self._quantized.population
        assert isinstance(population, AdaFire)
        waits = population.fire is not Fire.SIGNED and not population.windowed
        waits = waits and self._freedom is Freedom.ALL and self._options.timesteps > 1
        leaves = self._options.exit_loss is not None
        return tuple(d for d in _DELAYS if waits and not (leaves and d < 0))

    def _moves(self) -> bool:
        """Whether thresholds are tried.

        Not those of another method, nor those chosen for more than the images have shown.
        """
        population, options = self._quantized.population, self._options
        assert isinstance(population, AdaFire)
        free = self._freedom > Freedom.BIAS and options.threshold_method == "mmse"
        return free and not reads_tail(population.windowed, population.phi, options)

    def _try(self, setting: Setting, rounds: int) -> None:
        """Correct the bias of a setting in rounds; each channel keeps its best."""
        for _ in range(rounds):
            error, spikes, correction = self._measured(setting)
            error = error + self._price * spikes
            wins = error < self._error
            self._best = self._best.where(wins, setting)
            self._error = np.where(wins, error, self._error)
            setting = replace(setting, correction=correction)

    def _try_together(self, setting: Setting) -> None:
        """Correct the bias of a setting; all channels take it or none, for they share θ."""
        best, error = self._best, self._error
        self._error = np.full_like(error, np.inf)
        self._try(setting, 2)
        if not self._error.sum() < error.sum():
            self._best, self._error = best, error

    def _measured(self, setting: Setting) -> tuple[Float64, Float64, Float64]:
        """Squared error and spikes per neuron, by channel, and the bias correction to try next."""
        quantized = with_setting(self._node, self._quantized, setting, self._options)
        population, neuron = quantized.population, self._node.neuron
        assert isinstance(population, AdaFire)
        assert neuron is not None
        weight = self._half_way(population)
        found = count_errors(
            self._fire(population, self._images),
            self._target[: self._images],
            population,
            self._timesteps,
            copy_of=neuron.copy_of,
            half_way=weight > 0,
        )
        slope = np.maximum(found.moving, _LEAST_SLOPE)
        correction = setting.correction - _STEP * found.mean / slope
        return found.squares + weight * found.early, found.sent, correction

    def _half_way(self, population: AdaFire) -> float:
        """What the squared error half-way counts; a window says nothing before its end.

        Where images may leave early their answer is the time mean until then, which counts as
        much as that after T; else the sum, whose part in that after T is smaller.
        """
        half = self._timesteps // 2
        if population.windowed or half == 0:
            return 0.0
        if self._options.exit_loss is not None:
            return 1.0
        return _HALF_WAY[population.fire] * self._misled * (half / self._timesteps) ** 2
