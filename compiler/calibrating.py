"""The passes that choose numbers on calibration images, made by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spikec.compiler.calibration import Calibration
from spikec.compiler.neuron_search import Freedom
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.passes.calibrate_bias import calibrate_bias
from spikec.compiler.passes.calibrate_potential import calibrate_potential
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.calibrate_weights import calibrate_weights
from spikec.compiler.passes.quantize_weights import quantize_weights
from spikec.compiler.searching import Searching
from spikec.compiler.simulation import Simulate

Progress = Callable[[str, int, int], None]
"""Told of (stage, steps done, steps in all)."""


@dataclass(frozen=True, eq=False)
class Means:
    """What the passes measure with.

    Attributes:
        calibration: Images and ANN.
        simulate: Tells integer spikes.
        options: All choices.
        searches: What assign-firing and compress-spikes search with.
        progress: Told of what is done.
        warn: Told what the user should know, a sentence each.
    """

    calibration: Calibration
    simulate: Simulate
    options: CompileOptions
    searches: Searching
    progress: Progress
    warn: Callable[[str], None]

    def told(self, stage: str) -> Callable[[int, int], None]:
        """Progress of one stage."""
        return lambda done, total: self.progress(stage, done, total)


def calibration_passes(names: Sequence[str], means: Means) -> tuple[Pass, ...]:
    """The passes of these names, in order."""
    made = []
    for position, name in enumerate(names):
        if name == "calibrate-bias":
            made.append(_bias(means, names[:position]))
        else:
            made.append(_MAKERS[name](means))
    return tuple(made)


def _bias(means: Means, before: Sequence[str]) -> Pass:
    """Where spikes have been compressed, thresholds move among channels only: free, all go back."""
    freedom = Freedom.EXCHANGE if "compress-spikes" in before else Freedom.ALL
    told = means.told("calibrate-bias")
    return calibrate_bias(means.calibration, means.simulate, means.options, told, freedom=freedom)


def _potential(means: Means) -> Pass:
    told = means.told("calibrate-potential")
    return calibrate_potential(means.calibration, means.simulate, means.options, told)


_MAKERS: Mapping[str, Callable[[Means], Pass]] = {
    "calibrate-thresholds": lambda m: calibrate_thresholds(
        m.calibration, m.options, m.told("calibrate-thresholds"), m.warn
    ),
    "calibrate-weights": lambda m: calibrate_weights(
        m.calibration, m.options, m.told("calibrate-weights")
    ),
    "quantize-weights": lambda m: quantize_weights(m.calibration, m.options),
    "assign-firing": lambda m: m.searches.assign_firing(m.told("assign-firing")),
    "compress-spikes": lambda m: m.searches.compress_spikes(m.told("compress-spikes")),
    "calibrate-potential": _potential,
}
