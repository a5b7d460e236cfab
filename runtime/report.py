"""Report: what an evaluation found, as plain values, rows of text and JSON-safe dictionaries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikec.runtime.counts import LayerCounts
from spikec.runtime.energy import EnergyProfile, Estimate

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Row = tuple[str, ...]

NO_FIGURE = "no figure"


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found.

    Attributes:
        images: Number of images.
        timesteps: T.
        digest: Of the program: equal digests mean equal runs.
        backend: Name of the backend.
        accuracy: Share of images whose highest score is their label's, after T steps; None
            without labels.
        top5: Share whose label is among the five highest; None for fewer than 6 classes.
        ann_accuracy: Accuracy of the ANN on the same inputs; None without ANN or labels.
        agreement: Share of images on which program and ANN predict the same class.
        accuracy_by_step: Accuracy after steps 1…T; empty without labels.
        layers: Counts per layer, summed over images.
        energy: Estimates by each cost table.
    """

    images: int
    timesteps: int
    digest: str
    backend: str
    accuracy: float | None
    top5: float | None
    ann_accuracy: float | None
    agreement: float | None
    accuracy_by_step: tuple[float, ...]
    layers: tuple[LayerCounts, ...]
    energy: tuple[EnergyProfile, ...]

    @property
    def accuracy_error(self) -> float | None:
        """Standard error of the accuracy: √(p(1 − p)/n)."""
        if self.accuracy is None:
            return None
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.images)

    @property
    def firing_rate(self) -> float:
        """Spikes per neuron and step over all populations that fire."""
        firing = [layer for layer in self.layers if layer.kind in FIRING]
        updates = sum(layer.neuron_updates for layer in firing)
        return sum(int(layer.spikes.sum()) for layer in firing) / updates if updates else 0.0

    def to_dict(self) -> dict[str, Json]:
        """Everything as plain values that JSON can hold."""
        return {
            "images": self.images,
            "timesteps": self.timesteps,
            "digest": self.digest,
            "backend": self.backend,
            "accuracy": self.accuracy,
            "accuracy_error": self.accuracy_error,
            "top5": self.top5,
            "ann_accuracy": self.ann_accuracy,
            "agreement": self.agreement,
            "firing_rate": self.firing_rate,
            "accuracy_by_step": list(self.accuracy_by_step),
            "layers": [layer_dict(layer) for layer in self.layers],
            "energy": {profile.table.name: energy_dict(profile) for profile in self.energy},
        }


def layer_dict(layer: LayerCounts) -> dict[str, Json]:
    """Counts of a layer, totals over images and steps."""
    return {
        "name": layer.name,
        "kind": layer.kind,
        "neurons": layer.neurons,
        "images": layer.images,
        "firing_rate": layer.firing_rate,
        "events": int(layer.events.sum()),
        "spikes": int(layer.spikes.sum()),
        "synops_graded": int(layer.graded.sum()),
        "synops_unary": int(layer.unary.sum()),
        "synops_graded_zero": int(layer.graded_zero.sum()),
        "synops_unary_zero": int(layer.unary_zero.sum()),
        "synops_analog": int(layer.analog.sum()),
        "synops_analog_zero": int(layer.analog_zero.sum()),
        "neuron_updates": layer.neuron_updates,
        "saturations": int(layer.saturations.sum()),
    }


def energy_dict(profile: EnergyProfile) -> dict[str, Json]:
    """Estimates by one table, per image, with the source of every figure."""
    table = profile.table
    return {
        "title": table.title,
        "process": table.process,
        "status": "estimate",
        "per": "image",
        "left_out": list(table.left_out),
        "figures": {
            name: {
                "picojoules": figure.picojoules,
                "picojoules_per_activation_bit": figure.picojoules_per_bit,
                "kind": figure.kind,
                "source": figure.source,
                "note": figure.note,
            }
            for name, figure in table.figures.items()
        },
        "estimates": [_estimate_dict(estimate) for estimate in profile.estimates],
        "ratios": [
            {"snn": snn.name, "ann": ann.name, "snn_over_ann": ratio}
            for snn, ann, ratio in profile.ratios()
        ],
    }


def _estimate_dict(estimate: Estimate) -> dict[str, Json]:
    return {
        "name": estimate.name,
        "network": estimate.network,
        "total_pj": estimate.total_pj,
        "complete": estimate.complete,
        "terms": [
            {
                "name": term.term.name,
                "operations": term.operations,
                "figure": term.term.figure.name if term.term.figure else None,
                "picojoules": term.picojoules,
                "missing": term.term.missing or None,
            }
            for term in estimate.terms
        ],
        "layers_pj": dict(estimate.layers),
    }


def summary_rows(report: Report) -> list[Row]:
    """(what, value) lines of the head of a report."""
    rows: list[Row] = [("images", f"{report.images:,}"), ("time steps T", str(report.timesteps))]
    if report.accuracy is not None:
        error = report.accuracy_error or 0.0
        rows.append(("accuracy", f"{_percent(report.accuracy)} ± {100 * error:.2f}"))
    for name, share in (
        ("top-5", report.top5),
        ("accuracy of the ANN", report.ann_accuracy),
        ("agreement with the ANN", report.agreement),
    ):
        if share is not None:
            rows.append((name, _percent(share)))
    rows.append(("spikes per neuron and step", f"{report.firing_rate:.4f}"))
    rows += [("backend", report.backend), ("program", report.digest[:16])]
    return rows


def step_rows(report: Report) -> list[Row]:
    """(t, accuracy) after every step."""
    return [(str(t), _percent(share)) for t, share in enumerate(report.accuracy_by_step, start=1)]


FIRING = ("adafire", "max_pool")
"""Kinds of population that emit spikes; the input emits pixels, the read-out nothing."""

LAYER_HEADER: Row = (
    "layer",
    "neurons",
    "spikes/neuron/step",
    "spikes/image",
    "synops graded",
    "synops unary",
    "on input",
    "zero weight",
    "saturations",
)


def layer_rows(layers: Sequence[LayerCounts]) -> list[Row]:
    """Counts per layer and image under LAYER_HEADER; synaptic operations into the layer."""
    return [
        (
            layer.name,
            f"{layer.neurons:,}",
            f"{layer.firing_rate:.4f}" if layer.kind in FIRING else "–",
            quantity(layer.spikes.sum() / layer.images) if layer.kind in FIRING else "–",
            quantity(layer.graded.sum() / layer.images),
            quantity(layer.unary.sum() / layer.images),
            quantity(layer.analog.sum() / layer.images),
            quantity((layer.graded_zero + layer.analog_zero).sum() / layer.images),
            f"{int(layer.saturations.sum()):,}",
        )
        for layer in layers
    ]


ENERGY_HEADER: Row = ("estimate", "term", "operations", "energy")


def energy_rows(profile: EnergyProfile) -> list[Row]:
    """Terms and total of every estimate, per image, under ENERGY_HEADER."""
    rows: list[Row] = []
    for estimate in profile.estimates:
        for index, term in enumerate(estimate.terms):
            name = estimate.name if index == 0 else ""
            operations = "" if term.operations is None else quantity(term.operations)
            energy = f"{NO_FIGURE}: {term.term.missing}"
            if term.picojoules is not None:
                energy = joules(term.picojoules)
            rows.append((name, term.term.name, operations, energy))
        more = "" if estimate.complete else ", without terms that have no figure"
        total = f"{joules(estimate.total_pj)} (estimate{more})"
        rows.append(("", "total", "", total))
    return rows


def layer_energy_rows(profile: EnergyProfile) -> list[Row]:
    """Energy per image of each layer, one column per estimate, total last."""
    columns = [[joules(pj) for _, pj in e.layers] for e in profile.estimates]
    names = [name for name, _ in profile.estimates[0].layers]
    rows = [tuple(row) for row in zip(names, *columns, strict=True)]
    totals = (f"{joules(e.total_pj)} (estimate)" for e in profile.estimates)
    return [*rows, ("total", *totals)]


def ratio_rows(profile: EnergyProfile) -> list[Row]:
    """(SNN, ANN, SNN energy / ANN energy) for every pair."""
    return [(snn.name, ann.name, f"{ratio:.3g}") for snn, ann, ratio in profile.ratios()]


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
