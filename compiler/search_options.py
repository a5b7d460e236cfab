"""SearchOptions: what a compiler may choose per layer, and within which budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spikec.compiler.errors import OptionError

MODES = ("plain", "retract", "windowed")
DEFAULT_PROFILE = "cmos45_int8"
SENSITIVITIES = ("distance", "divergence")

_WHOLE = {
    "phi_min": (1, 255),
    "phi_max": (1, 255),
    "images": (2, 1_000_000),
    "held_out_images": (1, 1_000_000),
    "latency": (1, 10**9),
}
_REAL = {
    "energy_ratio": (0.0, 1000.0),
    "energy_budget": (0.0, 1000.0),
    "accuracy_loss": (0.0, 100.0),
    "compression_ratio": (0.0, 1000.0),
}
BUDGETS = ("energy_ratio", "energy_budget", "accuracy_loss")


@dataclass(frozen=True)
class SearchOptions:
    """What is searched; by default nothing.

    Attributes:
        phi: Whether φ is chosen per layer, within the budget.
        phi_min: Smallest φ that is tried.
        phi_max: Largest φ that is tried; None: the φ of the other options.
        modes: Firing modes that are allowed, of "plain", "retract" and "windowed"; empty: the one
            of the other options.
        uniform_mode: Whether all layers fire in one mode.
        latency: Bound on the steps of a run, windows included; None: none.
        compression: Whether the spikes of each layer are compressed by its own ρ.
        compression_ratio: Bound on the summed loss of compression, in units of the summed loss
            without it; None: ``accuracy_loss``, or the budget in energy, or 1.
        energy_ratio: Budget: energy in units of the program with φ everywhere. Without any budget
            0.95 where φ is searched, and no bound where only modes are.
        energy_budget: Budget: energy in J per image.
        accuracy_loss: Budget: points of agreement with the ANN lost on held-out calibration images,
            against the program with φ everywhere; of several searches together.
        sensitivity: How far outputs are from the ANN's: "distance" of the scores, or symmetric
            "divergence" (Kullback-Leibler) behind their softmax.
        profile: Cost table that tells the energies, or "table: way of counting".
        images: Calibration images that losses are measured on, at most.
        held_out_images: Further images that agreement is measured on, at most; where there are no
            further ones, a third of the calibration images.
    """

    phi: bool = False
    phi_min: int = 1
    phi_max: int | None = None
    modes: tuple[str, ...] = ()
    uniform_mode: bool = False
    latency: int | None = None
    compression: bool = False
    compression_ratio: float | None = None
    energy_ratio: float | None = None
    energy_budget: float | None = None
    accuracy_loss: float | None = None
    sensitivity: str = "distance"
    profile: str = DEFAULT_PROFILE
    images: int = 64
    held_out_images: int = 512

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            _check_whole(name, getattr(self, name), low, high)
        for name, (least, most) in _REAL.items():
            _check_real(name, getattr(self, name), least, most)
        object.__setattr__(self, "modes", tuple(self.modes))
        for mode in self.modes:
            if mode not in MODES:
                raise OptionError(f"modes holds {mode!r}", hint=f"choose from {', '.join(MODES)}")
        if self.sensitivity not in SENSITIVITIES:
            hint = f"choose from {', '.join(SENSITIVITIES)}"
            raise OptionError(f"sensitivity is {self.sensitivity!r}", hint=hint)
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise OptionError(f"{' and '.join(given)} are two budgets", hint="give one of them")
        if self.phi_max is not None and self.phi_max < self.phi_min:
            raise OptionError(f"phi_max is {self.phi_max}, below phi_min, {self.phi_min}")
        if given and not (self.firing or self.compression):
            raise OptionError(
                f"{given[0]} is a budget of a search, and nothing is searched",
                hint="search φ, modes or compression too",
            )

    @property
    def firing(self) -> bool:
        """Whether φ or the firing mode is chosen."""
        return self.phi or bool(self.modes)

    @property
    def active(self) -> bool:
        """Whether anything is searched."""
        return self.firing or self.compression


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if value is None and name in ("phi_max", "latency"):
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionError(f"{name} is {value!r}", hint=f"give a whole number from {low} to {high}")


def _check_real(name: str, value: object, low: float, high: float) -> None:
    if value is None:
        return
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not math.isfinite(float(str(value))) or not low <= float(str(value)) <= high:
        raise OptionError(f"{name} is {value!r}", hint=f"give a number from {low:g} to {high:g}")


NO_SEARCH = SearchOptions()
"""Nothing is chosen per layer."""
