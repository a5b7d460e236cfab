"""A report as rows of text for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spikec.runtime.counts import FIRING, LayerCounts, mean_firing_rate
from spikec.runtime.energy import EnergyProfile, Estimate
from spikec.runtime.report import Report

Row = tuple[str, ...]

NO_FIGURE = "no figure"

STEPS_IN_A_ROW = 8
STEPS_SHOWN = 64
"""Of a longer run every second, third… step is shown; a report as a dictionary holds all."""

LAYER_HEADER: Row = (
    "layer",
    "neurons",
    "firing\nrate",
    "spikes",
    "synops\ngraded",
    "synops\nunary",
    "synops\non input",
)
LAYER_DETAILS_HEADER: Row = (*LAYER_HEADER, "on zero\nweights", "satu-\nrations")
LAYER_LEGEND = (
    "firing rate: spikes per neuron and time step; synops: synaptic operations into the layer, "
    "one per event and synapse (graded) or one per spike and synapse (unary); on input: on pixels"
)
TERM_HEADER: Row = ("estimate", "term", "operations", "energy")


def summary_rows(report: Report) -> list[Row]:
    """(what, value) lines of the head of a report."""
    rows: list[Row] = [("images", f"{report.images:,}"), ("time steps T", str(report.timesteps))]
    if report.exit_histogram:
        saved = 1 - report.mean_timesteps / report.timesteps
        rows.append(("mean time steps", f"{report.mean_timesteps:.2f}, {_percent(saved)} fewer"))
    if report.accuracy is not None:
        error = f"± {100 * (report.accuracy_error or 0.0):.2f} (one standard error)"
        rows.append(("accuracy", f"{_percent(report.accuracy)} {error}"))
    for name, share in (
        ("top-5", report.top5),
        ("accuracy of the ANN", report.ann_accuracy),
        ("agreement with the ANN", report.agreement),
    ):
        if share is not None:
            rows.append((name, _percent(share)))
    saturations = sum(int(layer.saturations.sum()) for layer in report.layers)
    rows += [
        ("firing rate", f"{report.firing_rate:.4f} spikes per neuron and time step"),
        ("saturated updates", f"{saturations:,}"),
        ("backend", report.backend),
        ("program", report.digest[:16]),
    ]
    return rows


def step_rows(report: Report) -> list[Row]:
    """(steps, accuracy in percent after each of them), eight steps in a row."""
    steps = _steps_shown(report.timesteps)
    return _in_rows(steps, [f"{100 * report.accuracy_by_step[t - 1]:.2f}" for t in steps])


def exit_rows(report: Report) -> list[Row]:
    """(steps, images that left after each of them), eight steps in a row.

    Where not every step is shown, images stand at the first shown step that is not before theirs.
    """
    steps = _steps_shown(report.timesteps)
    left = report.exit_histogram
    spans = zip([0, *steps], steps, strict=False)
    return _in_rows(steps, [f"{sum(left[before:step]):,}" for before, step in spans])


def _steps_shown(timesteps: int) -> list[int]:
    stride = math.ceil(timesteps / STEPS_SHOWN)
    # Counted from the last step, which is the result.
    return [t for t in range(1, timesteps + 1) if (timesteps - t) % stride == 0]


def _in_rows(steps: Sequence[int], cells: Sequence[str]) -> list[Row]:
    width = min(len(steps), STEPS_IN_A_ROW)
    rows = []
    for first in range(0, len(steps), STEPS_IN_A_ROW):
        row = steps[first : first + STEPS_IN_A_ROW]
        name = f"t = {row[0]}" if len(row) == 1 else f"t = {row[0]} … {row[-1]}"
        blank = [""] * (width - len(row))
        rows.append((name, *cells[first : first + STEPS_IN_A_ROW], *blank))
    return rows


def layer_rows(layers: Sequence[LayerCounts], *, details: bool = False) -> list[Row]:
    """Counts per layer and image, and their total, under LAYER_HEADER or LAYER_DETAILS_HEADER."""
    rows = [
        (layer.name, f"{layer.neurons:,}", *_firing([layer]), *_operations([layer]))
        for layer in layers
    ]
    neurons = sum(layer.neurons for layer in layers)
    rows.append(("total", f"{neurons:,}", *_firing(layers), *_operations(layers)))
    return rows if details else [row[: len(LAYER_HEADER)] for row in rows]


def _firing(layers: Sequence[LayerCounts]) -> Row:
    firing = [layer for layer in layers if layer.kind in FIRING]
    if not firing:
        return ("–", "–")
    spikes = sum(layer.spikes.sum() / layer.images for layer in firing)
    return (f"{mean_firing_rate(firing):.4f}", quantity(spikes))


def _operations(layers: Sequence[LayerCounts]) -> Row:
    per_image = (
        *(layer_sum(layers, name) for name in ("graded", "unary", "analog")),
        layer_sum(layers, "graded_zero") + layer_sum(layers, "analog_zero"),
    )
    saturations = sum(int(layer.saturations.sum()) for layer in layers)
    return (*map(quantity, per_image), f"{saturations:,}")


def layer_sum(layers: Sequence[LayerCounts], field: str) -> float:
    """A count per image, summed over layers and steps."""
    return float(sum(getattr(layer, field).sum() / layer.images for layer in layers))


def estimate_header(profile: EnergyProfile) -> Row:
    """Columns of ``estimate_rows``: one per ANN to compare with."""
    return ("way of counting", "energy", *(f"÷ {ann.name}" for ann in _yardsticks(profile)))


def estimate_rows(profile: EnergyProfile) -> list[Row]:
    """Per estimate its energy per image, and for an SNN its ratio to every ANN of the table."""
    ratios = {(snn.name, ann.name): f"{ratio:.3g}" for snn, ann, ratio in profile.ratios()}
    return [
        (
            estimate.name,
            f"{joules(estimate.total_pj)}{'' if estimate.complete else ' +'}",
            *(ratios.get((estimate.name, ann.name), "") for ann in _yardsticks(profile)),
        )
        for estimate in profile.estimates
    ]


def left_out(profile: EnergyProfile) -> list[str]:
    """What the estimates do not hold: terms without a figure, then what nobody counted."""
    missing = {
        f"{term.term.name} ({term.term.missing})": None
        for estimate in profile.estimates
        for term in estimate.terms
        if term.picojoules is None
    }
    notes = [f"+ without {'; '.join(missing)}"] if missing else []
    return [*notes, f"left out: {'; '.join(profile.table.left_out)}"]


def _yardsticks(profile: EnergyProfile) -> list[Estimate]:
    return list({ann.name: ann for _, ann, _ in profile.ratios()}.values())


def term_rows(profile: EnergyProfile) -> list[Row]:
    """Terms and total of every estimate, per image, under TERM_HEADER."""
    rows: list[Row] = []
    for estimate in profile.estimates:
        for index, term in enumerate(estimate.terms):
            name = estimate.name if index == 0 else ""
            operations = "" if term.operations is None else quantity(term.operations)
            energy = NO_FIGURE if term.picojoules is None else joules(term.picojoules)
            rows.append((name, term.term.name, operations, energy))
        total = f"{joules(estimate.total_pj)}{'' if estimate.complete else ' +'}"
        rows.append(("", "total (estimate)", "", total))
    return rows


def layer_energy_rows(profile: EnergyProfile) -> list[Row]:
    """Energy per image of each layer, one column per estimate, total last."""
    columns = [[joules(pj) for _, pj in e.layers] for e in profile.estimates]
    names = [name for name, _ in profile.estimates[0].layers]
    rows = [tuple(row) for row in zip(names, *columns, strict=True)]
    totals = (joules(e.total_pj) for e in profile.estimates)
    return [*rows, ("total (estimate)", *totals)]


def quantity(number: float) -> str:
    """A count with three digits or more and a unit prefix: 12.3 M."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if prefix == 'k' else size):.3g} {prefix}"
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def joules(picojoules: float) -> str:
    """An energy with a fitting unit: 1.23 µJ."""
    for size, unit in ((1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if abs(picojoules) >= size:
            return f"{picojoules / size:.3g} {unit}"
    return f"{picojoules:.3g} pJ"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
