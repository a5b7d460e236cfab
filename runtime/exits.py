"""Early exits: images leave as soon as the program's exit rule finds their answer clear.

A backend that can start a session goes on step by step and drops the images that leave, so that
nothing is computed for them any more. Any other backend runs all T steps, of which only those up
to the exit count. Both give the same integers. A program with windows is always run whole: its
windowed populations hand their spikes on only after all T steps, so that what feeds them is spent
before the read-out sees anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from spikec.backends.base import Backend, BackendRun, ConnectionCounts, PopulationCounts
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.exit_rule import ExitRule
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program

WINDOWS_NOTE = (
    "windowed populations hand their spikes on only after all T steps: an image that leaves early "
    "saves the steps behind the last window, and of the latency of T steps per window at most T − 1"
)

BLOCKS = 4
"""Into how many blocks time is divided where images are dropped."""

if TYPE_CHECKING:
    from spikec.backends.simulator.session import Session as Steps


@runtime_checkable
class Stepping(Protocol):
    """A backend that advances a batch some steps at a time."""

    def start(self, program: Program, inputs: Array) -> Steps:
        """A session over a batch of quantised inputs."""
        ...


@dataclass(frozen=True)
class WholeRuns:
    """Populations that take all T steps whenever an image leaves; all others stop with it.

    Attributes:
        emitting: Names of those whose spikes a windowed population waits for.
        updated: These, and the windowed ones, which integrate for T steps.
    """

    emitting: frozenset[str]
    updated: frozenset[str]


def whole_runs(program: Program) -> WholeRuns:
    """What runs to the end in a program with windows; nothing in any other one."""
    emitting: set[str] = set()
    updated: set[str] = set()
    for population in reversed(program.populations):
        if any(c.sink in updated for c in program.out_of(population.name)):
            emitting.add(population.name)
            updated.add(population.name)
        if isinstance(population, AdaFire) and population.windowed:
            updated.add(population.name)
    return WholeRuns(frozenset(emitting), frozenset(updated))


def run_until_exit(
    backend: Backend,
    program: Program,
    inputs: Array,
    record: frozenset[str] = frozenset(),
) -> tuple[BackendRun, Int64]:
    """A batch of which every image stops where the program's exit rule lets it leave.

    Args:
        backend: Any.
        program: With an exit rule.
        inputs: Quantised inputs.
        record: Names of populations whose spikes and membranes are returned.

    Returns:
        Integers and counts, all 0 behind the exits, but for what windows spend; and the step after
        which each image left, int64 (images,).
    """
    rule = program.exit_rule
    assert rule is not None
    if isinstance(backend, Stepping) and not record and not whole_runs(program).updated:
        return _blockwise(backend, program, rule, inputs)
    run = backend.run(program, inputs, record=record)
    potentials = _by_class(run.readout[:, :-1])
    exits = rule.exits(potentials, _scale(program))
    return cut(program, run, exits), exits


def held(by_step: Float32, exits: Int64) -> Float32:
    """Outputs after every step, (images, T, …), with that of the exit behind it."""
    steps = np.minimum(np.arange(by_step.shape[1]), exits[:, None] - 1)
    return by_step[np.arange(len(by_step))[:, None], steps]


def cut(program: Program, run: BackendRun, exits: Int64) -> BackendRun:
    """What images spend of a whole run if they leave after these steps, (images,)."""
    there = np.arange(run.readout.shape[1]) < exits[:, None]
    whole = whole_runs(program)

    def kept(values: Array, *, all_steps: bool = False) -> Array:
        axes = (1,) * (values.ndim - 2)
        return values if all_steps else np.where(there.reshape(*there.shape, *axes), values, 0)

    populations = {
        name: PopulationCounts(
            counts.neurons,
            kept(counts.events, all_steps=name in whole.emitting),
            kept(counts.spikes, all_steps=name in whole.emitting),
            kept(counts.saturations, all_steps=name in whole.updated),
        )
        for name, counts in run.populations.items()
    }
    connections = tuple(
        counts
        if connection.sink in whole.updated
        else ConnectionCounts(*map(kept, _fields(counts)))
        for connection, counts in zip(program.connections, run.connections, strict=True)
    )
    spikes = {n: kept(v, all_steps=n in whole.emitting) for n, v in run.spikes.items()}
    membranes = {n: kept(v, all_steps=n in whole.emitting) for n, v in run.membranes.items()}
    return BackendRun(kept(run.readout), populations, connections, spikes, membranes)


def _blockwise(
    backend: Stepping, program: Program, rule: ExitRule, inputs: Array
) -> tuple[BackendRun, Int64]:
    session = backend.start(program, inputs)
    left = np.arange(len(inputs))
    exits = np.full(len(inputs), program.timesteps, np.int64)
    total: BackendRun | None = None
    for stop in _stops(rule, program.timesteps):
        first = session.done
        piece = session.advance(stop - first)
        total = total or _blank(piece, len(inputs), program.timesteps)
        for whole, part in zip(_arrays(total), _arrays(piece), strict=True):
            whole[left, first:stop] = part
        early = min(stop, program.timesteps - 1)
        potentials = _by_class(piece.readout[:, : early - first])
        exits[left] = np.minimum(exits[left], rule.exits(potentials, _scale(program), first))
        stay = exits[left] > early
        exits[left[stay]] = program.timesteps
        session.keep(np.flatnonzero(stay))
        left = left[stay]
        if not len(left):
            break
    assert total is not None
    return cut(program, total, exits), exits


def _stops(rule: ExitRule, timesteps: int) -> Iterator[int]:
    """Where time stops to let images leave: from the first step that may let any leave, in blocks.

    A block costs less than its steps one by one, and an image that is done early waits in it.
    """
    stop = rule.steps[0] if rule.steps else timesteps
    while stop < timesteps:
        yield stop
        stop += max(1, timesteps // BLOCKS)
    yield timesteps


def _by_class(readout: Int64) -> Int64:
    """(images, steps, *shape) → (images, steps, classes), of any number of steps."""
    return readout.reshape(*readout.shape[:2], math.prod(readout.shape[2:]))


def _scale(program: Program) -> float:
    return float(program.readout.scale.item())


def _fields(counts: ConnectionCounts) -> tuple[Int64, ...]:
    return counts.events, counts.spikes, counts.zero_events, counts.zero_spikes


def _arrays(run: BackendRun) -> Iterator[Array]:
    yield run.readout
    for name in sorted(run.populations):
        counts = run.populations[name]
        yield from (counts.events, counts.spikes, counts.saturations)
    for connection in run.connections:
        yield from _fields(connection)


def _blank(piece: BackendRun, images: int, timesteps: int) -> BackendRun:
    """A run of so many images and steps in which nothing happens."""

    def zeros(values: Array) -> Array:
        return np.zeros((images, timesteps, *values.shape[2:]), values.dtype)

    return BackendRun(
        zeros(piece.readout),
        {
            name: replace(
                counts,
                events=zeros(counts.events),
                spikes=zeros(counts.spikes),
                saturations=zeros(counts.saturations),
            )
            for name, counts in piece.populations.items()
        },
        tuple(ConnectionCounts(*map(zeros, _fields(counts))) for counts in piece.connections),
        {},
        {},
    )
