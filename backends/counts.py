"""Counts: what every payload counts for, and the arrays of a run that the sums go to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from spikec.backends.base import BackendRun, ConnectionCounts, PopulationCounts
from spikec.compiler.arrays import Int64
from spikec.compiler.connections import Connection, Weighted
from spikec.compiler.fan_outs import fan_out
from spikec.compiler.populations import AdaFire, Readout, Shape
from spikec.compiler.program import Program


def count_columns(shape: Shape, outgoing: Sequence[Connection]) -> list[Int64]:
    """Ones, then fan-out and the part of it on zero weights for each connection, each of shape."""
    columns = [np.ones(shape, np.int64)]
    for connection in outgoing:
        paths = fan_out(connection, shape)
        zeros = _has_zero_weights(connection)
        live = fan_out(connection, shape, nonzero=True) if zeros else paths
        columns += [paths, paths - live]
    return columns


def _has_zero_weights(connection: Connection) -> bool:
    return any(
        bool((factor.weights == 0).any())
        for factor in connection.factors
        if isinstance(factor, Weighted)
    )


def store_counts(
    run: BackendRun, program: Program, place: tuple[str, slice], events: Int64, spikes: Int64
) -> None:
    """Put the sums of one population's columns to their place in a run.

    Args:
        run: Receives them.
        program: That runs.
        place: Name of the population, and the images.
        events: Sums over events, (columns, images, steps); a single step stands for all.
        spikes: The same over |n|.
    """
    name, images = place
    counts = run.populations[name]
    counts.events[images], counts.spikes[images] = events[0], spikes[0]
    pairs = zip(run.connections, program.connections, strict=True)
    outgoing = [operations for operations, c in pairs if c.source == name]
    for column, operations in zip(range(1, len(events), 2), outgoing, strict=True):
        operations.events[images] = events[column]
        operations.spikes[images] = spikes[column]
        operations.zero_events[images] = events[column + 1]
        operations.zero_spikes[images] = spikes[column + 1]


def empty_run(
    program: Program,
    steps: tuple[int, int],
    record: frozenset[str],
    types: Mapping[str, np.dtype[np.generic]],
    *,
    membranes: bool = True,
) -> BackendRun:
    """Room for the results of a run.

    Args:
        program: That runs.
        steps: Images, and steps of each.
        record: Populations whose spikes and membranes are kept.
        types: Of their payloads, by name.
        membranes: Whether their membranes are kept.
    """

    def zeros() -> Int64:
        return np.zeros(steps, np.int64)

    recorded = [p for p in program.populations if p.name in record and not isinstance(p, Readout)]
    return BackendRun(
        readout=np.zeros((*steps, *program.readout.shape), np.int64),
        populations={
            p.name: PopulationCounts(math.prod(p.shape), zeros(), zeros(), zeros())
            for p in program.populations
        },
        connections=tuple(
            ConnectionCounts(zeros(), zeros(), zeros(), zeros()) for _ in program.connections
        ),
        spikes={p.name: np.zeros((*steps, *p.shape), types[p.name]) for p in recorded},
        membranes={
            p.name: np.zeros((*steps, *p.shape), np.int32)
            for p in recorded
            if isinstance(p, AdaFire) and membranes
        },
    )
