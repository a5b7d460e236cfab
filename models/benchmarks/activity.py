"""What a run of the simulator counted, in the units of the tables."""

from __future__ import annotations

from typing import Literal

from spikec import Report
from spikec.backends.base import BackendRun
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program


def density(program: Program, run: BackendRun) -> float:
    """Events per neuron and step over all AdaFire populations."""
    counts = [run.populations[p.name] for p in program.populations if isinstance(p, AdaFire)]
    events = sum(int(c.events.sum()) for c in counts)
    return events / (sum(c.neurons for c in counts) * len(run.readout) * program.timesteps)


def synops(program: Program, run: BackendRun) -> float:
    """Synaptic operations on spikes per image and step, one per event and synapse."""
    total = sum(
        int(counts.events.sum())
        for connection, counts in zip(program.connections, run.connections, strict=True)
        if connection.source != program.input.name
    )
    return total / (len(run.readout) * program.timesteps)


def per_image(report: Report, counted: Literal["spikes", "events", "graded", "unary"]) -> float:
    """One of the counts of an evaluation, over all layers but the input."""
    layers = (layer for layer in report.layers if layer.kind != "input")
    return float(sum(getattr(layer, counted).sum() for layer in layers)) / report.images
