"""Options of `spikec compile` that let it choose per layer."""

from __future__ import annotations

from typing import Annotated

import typer

_PANEL = "Search per layer"

SearchPhi = Annotated[
    bool | None,
    typer.Option("--search-phi", rich_help_panel=_PANEL, help="Choose φ per layer, up to --phi."),
]
PhiMin = Annotated[
    int | None, typer.Option(rich_help_panel=_PANEL, help="Smallest φ that is tried.")
]
Modes = Annotated[
    str | None,
    typer.Option(
        metavar="MODES",
        rich_help_panel=_PANEL,
        help="Choose among these per layer: plain,retract,windowed.",
    ),
]
Latency = Annotated[
    int | None,
    typer.Option(
        metavar="STEPS", rich_help_panel=_PANEL, help="Most steps of a run, windows included."
    ),
]
Compress = Annotated[
    bool | None,
    typer.Option(
        "--compress", rich_help_panel=_PANEL, help="Let a spike replace several, per layer."
    ),
]
CompressionRatio = Annotated[
    float | None,
    typer.Option(
        metavar="R",
        rich_help_panel=_PANEL,
        help="Budget of --compress: summed loss, 1 = without compression.",
    ),
]
OneMode = Annotated[
    bool | None,
    typer.Option("--one-mode", rich_help_panel=_PANEL, help="All layers fire in the same mode."),
]
EnergyRatio = Annotated[
    float | None,
    typer.Option(
        metavar="R", rich_help_panel=_PANEL, help="Budget: energy, 1 = --phi in every layer."
    ),
]
EnergyBudget = Annotated[
    float | None,
    typer.Option(metavar="J", rich_help_panel=_PANEL, help="Budget: energy per image in joules."),
]
AccuracyLoss = Annotated[
    float | None,
    typer.Option(
        metavar="POINTS",
        rich_help_panel=_PANEL,
        help="Budget: agreement with the ANN lost on held-out calibration images.",
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE", rich_help_panel=_PANEL, help="Cost table, or TABLE: WAY OF COUNTING."
    ),
]
