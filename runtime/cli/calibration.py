"""Options of `spikec compile` that say what is calibrated, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spikec.compiler.errors import OptionError
from spikec.compiler.options import MEMORY_BYTES

_PANEL = "Calibration"
_EXITS = "Early exit"

Pipeline = Annotated[
    str, typer.Option(rich_help_panel=_PANEL, help="none, light, advanced, adaptive or best.")
]
Passes = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        rich_help_panel=_PANEL,
        help="The calibrating passes instead, in order: calibrate-thresholds,quantize-weights,…",
    ),
]
WeightCalibration = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_PANEL,
        help="none, fit (layer by layer) or gradient (all at once, needs torch).",
    ),
]
Thresholds = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PANEL, help="mmse, percentile, maximum or balancing."),
]
ThresholdPercentile = Annotated[
    float | None,
    typer.Option(
        metavar="P", rich_help_panel=_PANEL, help="Of the activations, for percentile (99.9)."
    ),
]
ThresholdPer = Annotated[
    str | None, typer.Option(rich_help_panel=_PANEL, help="channel, or layer: one θ for all.")
]
ThresholdImages = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=_PANEL,
        help="Measure thresholds on so many images, streamed.",
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        metavar="GIB",
        rich_help_panel=_PANEL,
        help="GiB that calibration may hold at once (4); what bounds images of large networks.",
    ),
]
CalibratePotentials = Annotated[
    bool | None,
    typer.Option(
        "--calibrate-potentials",
        rich_help_panel=_PANEL,
        help="An initial potential for every neuron.",
    ),
]
ReuseSilent = Annotated[
    bool | None,
    typer.Option(
        "--reuse-silent/--no-reuse-silent",
        rich_help_panel=_PANEL,
        help="Channels that never fire carry copies of those whose rounding costs most.",
    ),
]
ExtraNeurons = Annotated[
    float | None,
    typer.Option(
        metavar="PART",
        rich_help_panel=_PANEL,
        help="Add neurons that carry such copies in any layer: 0.25 adds a quarter.",
    ),
]
ExitLoss = Annotated[
    float | None,
    typer.Option(
        metavar="POINTS",
        rich_help_panel=_EXITS,
        help="Accuracy that images may lose by leaving early.",
    ),
]
ExitProven = Annotated[
    bool | None,
    typer.Option(
        "--exit-proven",
        rich_help_panel=_EXITS,
        help="The 95 % bound of the loss, too, stays within it: fewer leave, it takes more images.",
    ),
]
ExitRuleName = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        rich_help_panel=_EXITS,
        help="margin (the default), confidence, entropy or iat.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="FILE[:ARRAY]",
        rich_help_panel=_EXITS,
        help="Classes of the calibration inputs, for --exit-loss.",
    ),
]

_NAMES = {
    "thresholds": "threshold_method",
    "calibrate_potentials": "potential_calibration",
    "one_mode": "uniform_mode",
}
"""Where the command line says it shorter."""
_LISTS = ("passes", "modes")
_OPTIONS = (
    *("passes", "weight_calibration", "thresholds", "threshold_percentile", "threshold_per"),
    *("threshold_images", "calibrate_potentials", "reuse_silent", "extra_neurons"),
    *("exit_loss", "exit_rule", "exit_proven"),
    *("search_phi", "phi_min", "modes", "one_mode", "latency", "compress", "compression_ratio"),
    *("energy_ratio", "energy_budget", "accuracy_loss", "profile"),
)


def given_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the compiler among a command's parameters, those that were given, by name.

    Raises:
        OptionError: --memory is out of range.
    """
    memory = parameters["memory"]
    bound = {} if memory is None else {"memory_bytes": _bytes(memory)}
    return bound | {
        _NAMES.get(name, name): _words(parameters[name]) if name in _LISTS else parameters[name]
        for name in _OPTIONS
        if parameters[name] is not None
    }


def _bytes(gibibytes: float) -> int:
    low, high = (bound / 2**30 for bound in MEMORY_BYTES)
    if not low <= gibibytes <= high:
        raise OptionError(
            f"--memory is {gibibytes:g}", hint=f"give GiB from {low:.3f} to {high:g}: --memory 8"
        )
    return round(gibibytes * 2**30)


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
