"""What a run counted, per layer: a layer is a population with all connections into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from spikec.backends.base import BackendRun, ConnectionCounts
from spikec.compiler.arrays import Int64
from spikec.compiler.populations import AdaFire, Input, MaxPool, Population, Readout
from spikec.compiler.program import Program
from spikec.runtime.exits import whole_runs

FIRING = ("adafire", "max_pool")
"""Kinds of population that emit spikes; the input emits pixels, the read-out nothing."""


@dataclass(frozen=True, eq=False)
class LayerCounts:
    """Counts of one layer; arrays are int64, (images, T) from a run, (1, T) once summed.

    Synaptic operations are those of the connections into the layer. "graded" counts one
    multiply-accumulate of weight × payload per event, "unary" |payload| accumulates. Operations
    on the payloads of the input population stand apart as ``analog``: they multiply real pixels.

    Attributes:
        name: Name of the population.
        kind: "input", "adafire", "max_pool" or "readout".
        neurons: Neurons of the population.
        images: Images counted.
        events: Payloads other than 0.
        spikes: Σ|n|.
        saturations: Updates that hit ±vmax.
        graded: Synaptic operations on spikes, one per event and synapse.
        unary: Synaptic operations on spikes, |n| per event and synapse.
        graded_zero: The part of ``graded`` on zero weights.
        unary_zero: The part of ``unary`` on zero weights.
        analog: Synaptic operations on input payloads, one per event and synapse.
        analog_zero: The part of ``analog`` on zero weights.
        image_steps: Steps that were run, summed over images; None: T for each.
    """

    name: str
    kind: str
    neurons: int
    images: int
    events: Int64
    spikes: Int64
    saturations: Int64
    graded: Int64
    unary: Int64
    graded_zero: Int64
    unary_zero: Int64
    analog: Int64
    analog_zero: Int64
    image_steps: int | None = None

    @property
    def steps_run(self) -> int:
        """Steps summed over images: T for each, or fewer where images left early."""
        return self.timesteps * self.images if self.image_steps is None else self.image_steps

    @property
    def timesteps(self) -> int:
        """T."""
        return int(self.events.shape[-1])

    @property
    def neuron_updates(self) -> int:
        """Neurons × steps, summed over images; 0 for the input population, which holds no state."""
        return 0 if self.kind == "input" else self.neurons * self.steps_run

    @property
    def firing_rate(self) -> float:
        """Spikes per neuron and step."""
        return float(self.spikes.sum()) / (self.neurons * self.steps_run)

    def summed(self) -> LayerCounts:
        """Summed over images: arrays (1, T)."""
        sums: dict[str, Any] = {
            name: getattr(self, name).sum(axis=0, keepdims=True) for name in _ARRAYS
        }
        return replace(self, **sums)

    def followed_by(self, others: Sequence[LayerCounts]) -> LayerCounts:
        """These images, then those of ``others``."""
        parts = (self, *others)
        rows: dict[str, Any] = {
            name: np.concatenate([getattr(p, name) for p in parts]) for name in _ARRAYS
        }
        return replace(self, **_sizes(parts), **rows)

    def plus(self, other: LayerCounts) -> LayerCounts:
        """The sum with counts of the same layer over other images; both summed already."""
        sums: dict[str, Any] = {
            name: getattr(self, name) + getattr(other, name) for name in _ARRAYS
        }
        return replace(self, **_sizes((self, other)), **sums)


def _sizes(parts: Sequence[LayerCounts]) -> dict[str, Any]:
    early = any(part.image_steps is not None for part in parts)
    return {
        "images": sum(part.images for part in parts),
        "image_steps": sum(part.steps_run for part in parts) if early else None,
    }


def mean_firing_rate(layers: Sequence[LayerCounts]) -> float:
    """Spikes per neuron and step over all layers that fire; 0 if there are none."""
    firing = [layer for layer in layers if layer.kind in FIRING]
    updates = sum(layer.neuron_updates for layer in firing)
    return sum(int(layer.spikes.sum()) for layer in firing) / updates if updates else 0.0


_ARRAYS = tuple(field.name for field in fields(LayerCounts) if field.type == "Int64")


def layer_counts(
    program: Program, run: BackendRun, exits: Int64 | None = None
) -> tuple[LayerCounts, ...]:
    """Counts of every layer of a backend's run, in the program's order of populations.

    Args:
        program: What was run.
        run: What the backend counted, nothing behind the exits.
        exits: The step after which each image left, (images,); None: T.
    """
    shape = run.readout.shape[:2]
    whole = whole_runs(program).updated
    steps = None if exits is None else int(exits.sum())
    source = program.input.name
    into: dict[str, list[tuple[bool, ConnectionCounts]]] = {}
    for connection, counts in zip(program.connections, run.connections, strict=True):
        into.setdefault(connection.sink, []).append((connection.source == source, counts))
    layers = (_layer(p, run, into.get(p.name, []), shape) for p in program.populations)
    return tuple(
        layer if layer.name in whole else replace(layer, image_steps=steps) for layer in layers
    )


def _layer(
    population: Population,
    run: BackendRun,
    into: Sequence[tuple[bool, ConnectionCounts]],
    shape: tuple[int, ...],
) -> LayerCounts:
    zero = np.zeros(shape, np.int64)
    spiking = [counts for analog, counts in into if not analog]
    analog = [counts for from_input, counts in into if from_input]
    own = run.populations.get(population.name)
    return LayerCounts(
        name=population.name,
        kind=kind_of(population),
        neurons=int(np.prod(population.shape)),
        images=shape[0],
        events=own.events if own else zero,
        spikes=own.spikes if own else zero,
        saturations=own.saturations if own else zero,
        graded=sum((c.events for c in spiking), zero),
        unary=sum((c.spikes for c in spiking), zero),
        graded_zero=sum((c.zero_events for c in spiking), zero),
        unary_zero=sum((c.zero_spikes for c in spiking), zero),
        analog=sum((c.events for c in analog), zero),
        analog_zero=sum((c.zero_events for c in analog), zero),
    )


def kind_of(population: Population) -> str:
    """The contract's word for this kind of population."""
    match population:
        case Input():
            return "input"
        case AdaFire():
            return "adafire"
        case MaxPool():
            return "max_pool"
        case Readout():
            return "readout"
