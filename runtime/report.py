"""Report: what an evaluation found, as plain values and JSON-safe dictionaries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spikec.runtime.counts import LayerCounts, mean_firing_rate
from spikec.runtime.energy import EnergyProfile, Estimate

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found.

    Attributes:
        images: Number of images.
        timesteps: T.
        digest: Of the program: equal digests mean equal runs.
        backend: Name of the backend.
        accuracy: Share of images whose highest score is their label's, after T steps or where
            they leave; None without labels.
        top5: Share whose label is among the five highest; None for fewer than 6 classes.
        ann_accuracy: Accuracy of the ANN on the same inputs; None without ANN or labels.
        agreement: Share of images on which program and ANN predict the same class.
        accuracy_by_step: Accuracy after steps 1…T; empty without labels.
        layers: Counts per layer, summed over images.
        energy: Estimates by each cost table.
        exit_histogram: Images that left after steps 1…T; empty if none may leave early.
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
    exit_histogram: tuple[int, ...] = ()

    @property
    def mean_timesteps(self) -> float:
        """Mean step after which images left; T if none may leave early."""
        if not self.exit_histogram:
            return float(self.timesteps)
        return sum(t * left for t, left in enumerate(self.exit_histogram, 1)) / self.images

    @property
    def accuracy_error(self) -> float | None:
        """Standard error of the accuracy: √(p(1 − p)/n)."""
        if self.accuracy is None:
            return None
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.images)

    @property
    def firing_rate(self) -> float:
        """Spikes per neuron and step over all populations that fire."""
        return mean_firing_rate(self.layers)

    def to_dict(self) -> dict[str, Json]:
        """Everything as plain values that JSON can hold."""
        return {
            "images": self.images,
            "timesteps": self.timesteps,
            "mean_timesteps": self.mean_timesteps,
            "exit_histogram": list(self.exit_histogram),
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
