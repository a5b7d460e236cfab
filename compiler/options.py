"""CompileOptions: every choice that a user has, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from spikec.compiler.errors import OptionError
from spikec.compiler.exit_rule import ExitScore
from spikec.compiler.populations import Fire
from spikec.compiler.search_options import NO_SEARCH, SearchOptions

MEMORY_BYTES = (2**20, 2**50)
"""Least and most that ``memory_bytes`` may be."""

_RANGES = {
    "timesteps": (1, 4096),
    "phi": (1, 255),
    "weight_bits": (2, 8),
    "input_bits": (2, 16),
    "membrane_bits": (8, 32),
    "calibration_images": (1, 1_000_000),
    "bias_rounds": (0, 100),
    "threshold_images": (0, 2**40),
    "memory_bytes": MEMORY_BYTES,
    "seed": (0, 2**32 - 1),
}
"""Smallest and largest value of each numeric option. Payloads and weights are one byte on the
chips that the integer contract has in mind; a run of more than 4096 steps is no inference."""

MOST_EXTRA = 16
"""Most that ``extra_neurons`` may be: 17 times the neurons; more steps or payload come cheaper."""

WEIGHT_CALIBRATIONS = ("fit", "none", "gradient")
THRESHOLD_METHODS = ("mmse", "percentile", "maximum", "balancing")
DEFAULT_PERCENTILE = 99.9
THRESHOLD_SCOPES = ("channel", "layer")

FORMULA = "iat"
EXIT_RULES = (*ExitScore, FORMULA)
"""A score whose thresholds are searched, or the published formula for the entropy score."""


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
        threshold_method: What a threshold is: the one of least mean squared error ("mmse"), a
            percentile of the activations, their maximum, or the result of local threshold
            "balancing". After all but "mmse" only learning by gradients still moves it.
        threshold_percentile: Of the activations other than 0, in (0, 100], for "percentile".
        threshold_per: "channel", or one threshold for a whole "layer".
        threshold_images: Images that the statistics of the thresholds stream over, one batch at a
            time; 0: those that all other calibration has.
        potential_calibration: Whether every neuron gets an initial potential of its own; it ties
            the program to the size and position of the calibration images.
        reuse_silent: Whether channels that no image activates, because their weights decayed,
            carry copies of those whose rounding costs the output most.
        extra_neurons: How many neurons may be added, as a part of those that the network's
            populations have: they carry copies too, of channels of any layer.
        exit_loss: Points of accuracy that images may lose by leaving before step T, above 0 and
            up to 100; None: no image leaves early.
        exit_proven: Whether the loss has to be proven: its upper 95 % bound stays within
            ``exit_loss``, instead of the loss on the images that judge.
        exit_rule: What decides: "margin", "confidence" or "entropy" with searched thresholds, or
            "iat", the published formula.
        memory_bytes: Bound on the arrays that calibration holds at once.
        passes: The calibrating passes by name, in order, instead of those that follow from the
            other options; empty: those.
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
    threshold_method: str = "mmse"
    threshold_percentile: float = DEFAULT_PERCENTILE
    threshold_per: str = "channel"
    threshold_images: int = 0
    potential_calibration: bool = False
    reuse_silent: bool = False
    extra_neurons: float = 0.0
    exit_loss: float | None = None
    exit_proven: bool = False
    exit_rule: str = "margin"
    memory_bytes: int = 4 * 2**30
    search: SearchOptions = NO_SEARCH
    passes: tuple[str, ...] = ()

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
        _one_of("weight_calibration", self.weight_calibration, WEIGHT_CALIBRATIONS)
        _check_thresholds(self)
        self._check_exits()
        self._check_copies()
        if self.windowed and self.fire is Fire.RETRACT:
            raise OptionError(
                "windowed and retract contradict each other: a window fires once, at its end",
                hint="leave one of the two out",
            )

    def _check_copies(self) -> None:
        if not 0 <= self.extra_neurons <= MOST_EXTRA:
            raise OptionError(
                f"extra_neurons is {self.extra_neurons!r}",
                hint=f"give a part of the network's neurons from 0 to {MOST_EXTRA}; 0.25 is a "
                "quarter more",
            )
        given = "reuse_silent" if self.reuse_silent else "extra_neurons"
        if (self.reuse_silent or self.extra_neurons) and self.threshold_per == "layer":
            raise OptionError(
                f"{given} is given, and with one threshold per layer copies cannot differ",
                hint="leave one of the two out",
            )

    def _check_exits(self) -> None:
        loss = self.exit_loss
        if self.exit_rule not in EXIT_RULES:
            hint = f"give {', '.join(EXIT_RULES[:-1])} or {EXIT_RULES[-1]}"
            raise OptionError(f"exit_rule is {self.exit_rule!r}", hint=hint)
        if loss is None:
            return
        if isinstance(loss, bool) or not isinstance(loss, int | float) or not 0 < loss <= 100:
            hint = "give points of accuracy, above 0 and up to 100; 1.0 is one image of a hundred"
            raise OptionError(f"exit_loss is {loss!r}", hint=hint)
        if self.timesteps == 1:
            hint = "give more time steps, or leave exit_loss out"
            raise OptionError("exit_loss is given, and with T = 1 no step is early", hint=hint)


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionError(
            f"{name} is {value!r}", hint=f"give {', '.join(choices[:-1])} or {choices[-1]}"
        )


def _check_thresholds(options: CompileOptions) -> None:
    _one_of("threshold_method", options.threshold_method, THRESHOLD_METHODS)
    _one_of("threshold_per", options.threshold_per, THRESHOLD_SCOPES)
    percentile = options.threshold_percentile
    if isinstance(percentile, bool) or not isinstance(percentile, int | float):
        raise OptionError(f"threshold_percentile is {percentile!r}", hint="give a number")
    if not 0 < percentile <= 100:
        raise OptionError(
            f"threshold_percentile is {percentile!r}", hint="give a number above 0, at most 100"
        )
    if percentile != DEFAULT_PERCENTILE and options.threshold_method != "percentile":
        raise OptionError(
            f"threshold_percentile is {percentile!r}, and {options.threshold_method} reads none",
            hint="choose the method percentile, or leave the percentile out",
        )
    if options.threshold_images and options.threshold_method == "balancing":
        raise OptionError(
            "balancing needs all its images at once, threshold_images streams them",
            hint="leave threshold_images out, or choose mmse, percentile or maximum",
        )
    if not isinstance(options.potential_calibration, bool):
        raise OptionError(
            f"potential_calibration is {options.potential_calibration!r}",
            hint="give True or False",
        )


def firing_rule(fire: str) -> Fire:
    """The rule of that name; OptionError if a user cannot ask for it."""
    if fire in (Fire.PLAIN, Fire.RETRACT):
        return Fire(fire)
    raise OptionError(
        f"fire is {str(fire)!r}",
        hint="plain or retract; signed populations are placed where values may be negative",
    )
