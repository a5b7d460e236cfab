"""The searches of one compilation: their images, their passes, and what they found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spikec.compiler.arrays import Float32
from spikec.compiler.calibration import Calibration
from spikec.compiler.errors import CalibrationError, OptionError
from spikec.compiler.ir import Graph
from spikec.compiler.neuron_search import Freedom
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.assign_firing import assign_firing
from spikec.compiler.passes.base import Pass
from spikec.compiler.passes.calibrate_bias import calibrate_bias
from spikec.compiler.passes.compress_spikes import compress_spikes
from spikec.compiler.search.bench import Bench
from spikec.compiler.search.found import Found, found_json
from spikec.compiler.search.prices import Prices
from spikec.compiler.search.study import Study
from spikec.compiler.simulation import Simulate

_BIAS_ROUNDS = 3
"""Within a search: a try, and one with the biases corrected by what it missed."""
_LEAST_IMAGES = 3

Told = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Searching:
    """What the passes of a compilation search with.

    Attributes:
        study: Measures; None if nothing is searched.
        found: What was found so far, in order.
    """

    study: Study | None
    found: list[Found] = field(default_factory=list)

    def assign_firing(self, progress: Told) -> Pass:
        """The pass that assigns φ and modes; OptionError if none are searched."""
        return assign_firing(self._study("assign-firing"), self.found.append, progress)

    def compress_spikes(self, progress: Told) -> Pass:
        """The pass that compresses spikes; OptionError if nothing is searched."""
        return compress_spikes(self._study("compress-spikes"), self.found.append, progress)

    def _study(self, name: str) -> Study:
        if self.study is None:
            raise OptionError(
                f"passes has {name}, and the options do not say what to search",
                hint="choose what is searched: φ, modes or compression",
            )
        return self.study

    def provenance(self) -> dict[str, str]:
        """What was found, for the program file."""
        return {"search": found_json(self.found)} if self.found else {}


def split(images: Float32, options: CompileOptions) -> tuple[Float32, Float32]:
    """Images to calibrate on, and those held out for a search; none if nothing is searched.

    Raises:
        CalibrationError: A search has fewer than 3 images.
    """
    if not options.search.active:
        return images, images[:0]
    if len(images) < _LEAST_IMAGES:
        raise CalibrationError(
            f"a search needs images to measure on and others to judge by; there are {len(images)}",
            hint=f"give {_LEAST_IMAGES} calibration inputs or more, best some hundreds",
        )
    further = len(images) > options.calibration_images
    cut = options.calibration_images if further else len(images) - len(images) // 3
    return images[:cut], images[cut:]


def searching(
    reference: Graph,
    calibration: Calibration,
    held_out: Float32,
    simulate: Simulate,
    *,
    options: CompileOptions,
    prices: Prices,
) -> Searching:
    """What the passes search with.

    Args:
        reference: The network before any pass changed what it computes.
        calibration: Images to measure on.
        held_out: Images to judge by.
        simulate: Runs programs.
        options: With what is searched.
        prices: Of operations.
    """
    if not options.search.active:
        return Searching(None)
    images = calibration.first(options.search.images)
    others = Calibration(held_out, calibration.ann)
    light = replace(options, bias_rounds=_BIAS_ROUNDS, weight_calibration="none")
    rebias = calibrate_bias(images, simulate, light, freedom=Freedom.BIAS).apply
    exchange = calibrate_bias(calibration, simulate, options, freedom=Freedom.EXCHANGE).apply
    bench = Bench(reference, images, simulate, options, prices)
    judge = Bench(reference, others, simulate, options, prices)
    return Searching(Study(bench, judge, rebias, exchange, prices.name))
