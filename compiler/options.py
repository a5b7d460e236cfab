"""CompileOptions: every choice that a user has, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from spikec.compiler.errors import OptionError
from spikec.compiler.populations import Fire
from spikec.compiler.search_options import NO_SEARCH, SearchOptions

_RANGES = {
    "timesteps": (1, 4096),
    "phi": (1, 255),
    "weight_bits": (2, 8),
    "input_bits": (2, 16),
    "membrane_bits": (8, 32),
    "calibration_images": (1, 1_000_000),
    "bias_rounds": (0, 100),
    "memory_bytes": (2**20, 2**50),
    "seed": (0, 2**32 - 1),
}
"""Smallest and largest value of each numeric option. Payloads and weights are one byte on the
chips that the integer contract has in mind; a run of more than 4096 steps is no inference."""

WEIGHT_CALIBRATIONS = ("fit", "none", "gradient")


@dataclass(frozen=True)
class CompileOptions:
    """What to compile for.

    Attributes:
        timesteps: T.
        phi: φ, largest payload of every population that fires.
        fire: Plain or retract: the rule of the populations that stand for a ReLU. Those at linear
            bottlenecks are always signed.
        windowed: Integrate T steps, then fire T steps.
        weight_bits: Width of a weight, sign included.
        input_bits: Width of an input payload, sign included; 9 bits hold every byte of an
            image that is not scaled.
        membrane_bits: Width of a membrane potential, sign included.
        calibration_images: Images taken from the calibration inputs, at random.
        seed: Of that choice and of every other random choice.
        weight_calibration: What is done for the weights: "fit" fits the integers of each layer to
            the spikes that they read, "none" rounds them, "gradient" first lets all layers learn
            at once, with torch.
        bias_rounds: Rounds of bias calibration per population; 0 leaves the biases alone.
        memory_bytes: Bound on the arrays that calibration holds at once.
        search: What is chosen per layer, and within which budget.
    """

    timesteps: int = 8
    phi: int = 4
    fire: Fire = Fire.PLAIN
    windowed: bool = False
    weight_bits: int = 8
    input_bits: int = 8
    membrane_bits: int = 24
    calibration_images: int = 256
    seed: int = 0
    weight_calibration: str = "none"
    bias_rounds: int = 6
    memory_bytes: int = 2 * 2**30
    search: SearchOptions = NO_SEARCH

    @property
    def drawn_images(self) -> int:
        """Images taken from the calibration inputs, those that a search holds out included."""
        held_out = self.search.held_out_images if self.search.active else 0
        return self.calibration_images + held_out

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise OptionError(
                    f"{name} is {value!r}",
                    hint=f"give a whole number from {low} to {high}",
                )
        object.__setattr__(self, "fire", firing_rule(self.fire))
        if self.weight_calibration not in WEIGHT_CALIBRATIONS:
            raise OptionError(
                f"weight_calibration is {self.weight_calibration!r}",
                hint=f"give {', '.join(WEIGHT_CALIBRATIONS[:-1])} or {WEIGHT_CALIBRATIONS[-1]}",
            )
        if self.windowed and self.fire is Fire.RETRACT:
            raise OptionError(
                "windowed and retract contradict each other: a window fires once, at its end",
                hint="leave one of the two out",
            )


def firing_rule(fire: str) -> Fire:
    """The rule of that name; OptionError if a user cannot ask for it."""
    if fire in (Fire.PLAIN, Fire.RETRACT):
        return Fire(fire)
    raise OptionError(
        f"fire is {str(fire)!r}",
        hint="plain or retract; signed populations are placed where values may be negative",
    )
