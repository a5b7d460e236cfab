"""Integer weights fitted to the spikes that a population really gets.

Spikes of the sources carry errors, and rounding weights one by one adds to them. Here the weights
of each output channel are chosen together, as the integers w that minimise over sampled positions

    E[(f(z/s) − f(w·x + rest + b))²] + λ·|w − w₀|²

with z the ANN's current, x what the weights read in the program, rest what other connections
bring, b a free bias, w₀ the rounded weights, s their step, and f the neuron's clipping to
[0, φθ/s]. The first round takes f for the identity; each later one puts the best attainable
current in the place of z where f is flat, which never raises the error. A round is a descent over
integers, one weight of all channels at a time. Some images are held back, and a channel keeps its
new weights only where they lower its error on those.

Sources: paper 1 (ICML 2021), section 4.4, for fitting a layer to the spikes before it; the
descent over integers instead of gradients is ours. Sums run over integers below 2^53 wherever a
library may split them between threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.connections import Connection, Conv, Dense
from spikec.compiler.fixed_point import largest
from spikec.compiler.ir import Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import AdaFire, Fire
from spikec.compiler.simulation import Simulate
from spikec.compiler.weight_inputs import (
    Places,
    at_places,
    has_matrix,
    inputs_of,
    matrix,
    places_of,
)

_SAMPLES = 2**15
_MULTIPLICATIONS = 2**33
"""Bound on what the products of all pairs of inputs may cost; above it, fewer samples are taken."""
_HELD_BACK = 8
"""One in so many images judges."""
_ROUNDS = 3
_RIDGE = 0.03
"""λ relative to the mean square of what the weights read."""
_SWEEPS = 4
_MOST_INPUTS = 1152
"""Weights per channel: time and memory grow with their square."""
_SAMPLES_PER_INPUT = 2
_EXACT_BITS = 19
"""Two factors of so many bits, 2^15 times: 2^53."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a population gets and what it should get.

    Attributes:
        drive: The ANN's current, (images, *shape), in units of the activation.
        current: The program's current without bias, (T or 1, images, *shape).
        spikes: Payloads of each source by name, (T or 1, images, *source shape).
    """

    drive: Array
    current: Array
    spikes: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class _Goal:
    """Currents per step at the sampled places, in units of the program's current.

    Attributes:
        wanted: The ANN's, (samples, C).
        got: The program's, (samples, C).
        top: Largest current that the neurons can tell, (C,); None if they are not rectified.
    """

    wanted: Float64
    got: Float64
    top: Float64 | None

    def at(self, chosen: Array) -> _Goal:
        """The same for some of the samples."""
        return _Goal(self.wanted[chosen], self.got[chosen], self.top)

    def missing(self, got: Float64) -> Float64:
        """What is to be added to a current; nothing where the neuron would not notice."""
        missing = self.wanted - got
        if self.top is None:
            return missing
        missing = np.where(self.wanted <= 0, np.minimum(-got, 0), missing)
        return np.where((self.wanted > self.top) & (got > self.top), 0, missing)

    def error(self, got: Float64) -> Float64:
        """Mean squared error per channel with the best bias, (C,)."""
        for _ in range(_ROUNDS):
            got = got + self.missing(got).mean(axis=0)
        error: Float64 = (self.missing(got) ** 2).mean(axis=0)
        return error


def fit_weights(
    quantized: Quantized, evidence: Evidence, simulate: Simulate, options: CompileOptions
) -> Quantized:
    """The same adafire population with fitted weights of its dense and ungrouped convolutions.

    It is returned as it is where it has none of them, too many inputs to them, or too few samples.

    Args:
        quantized: Population and connections.
        evidence: On the calibration images, which are in random order.
        simulate: Tells what the factors before the weights make of spikes.
        options: Widths and seed.
    """
    fitted = tuple(c for c in quantized.connections if has_matrix(c))
    inputs = sum(matrix(c).shape[1] for c in fitted)
    samples = min(_SAMPLES, _MULTIPLICATIONS // max(1, inputs) ** 2)
    places = places_of(evidence.drive, samples, options.seed)
    if not fitted or inputs > min(_MOST_INPUTS, len(places[0]) // _SAMPLES_PER_INPUT):
        return quantized
    read = np.concatenate(
        [inputs_of(c, evidence.spikes[c.source], places, simulate) for c in fitted], axis=1
    )
    goal = _goal(quantized, evidence, places)
    before = np.concatenate([matrix(c) for c in fitted], axis=1).T.astype(np.float64)
    judges = places[0] < len(evidence.drive) // _HELD_BACK
    room = largest(options.weight_bits) - np.array([before, -before])
    change = _fitted(read[~judges], goal.at(~judges), room)
    if judges.any():
        judge = goal.at(judges)
        better = judge.error(judge.got + read[judges] @ change) < judge.error(judge.got)
        change = np.where(better, change, 0)
    return replace(quantized, connections=_connections(quantized, fitted, before + change))


def _goal(quantized: Quantized, evidence: Evidence, places: Places) -> _Goal:
    population = quantized.population
    assert isinstance(population, AdaFire)
    maps = (len(evidence.drive), *population.shape)
    step = at_places(np.broadcast_to(quantized.step, maps), places)
    bias = at_places(np.broadcast_to(quantized.bias, maps), places) / step
    current = sum(at_places(one, places).astype(np.float64) for one in evidence.current)
    top: Float64 | None = None
    if population.fire is not Fire.SIGNED:
        cap: Float64 = population.phi * population.scale / quantized.step
        top = np.broadcast_to(cap.reshape(-1), population.shape[:1])
    return _Goal(
        at_places(evidence.drive, places) / step, current / len(evidence.current) + bias, top
    )


def _fitted(read: Float64, goal: _Goal, room: Float64) -> Float64:
    """The change of the weights, whole numbers (K, C); room (2, K, C) bounds it up and down."""
    columns, unit = _exact(read)
    squares = (columns.T @ columns) * (unit[:, None] * unit / len(read))
    change: Float64 = np.zeros_like(room[0])
    got = goal.got
    for linear in (True, *[False] * (_ROUNDS - 1)):
        missing = goal.wanted - got if linear else goal.missing(got)
        got = got + missing.mean(axis=0)
        grains, grain = _exact(missing)
        slope = (columns.T @ grains) * (unit[:, None] * grain / len(read))
        changed = _descended(squares, slope, change, room)
        got = got + columns @ ((changed - change) * unit[:, None])
        change = changed
    return change


def _exact(values: Float64) -> tuple[Float64, Float64]:
    """Columns without their means as integers of _EXACT_BITS, and the unit of each column."""
    centred = values - values.mean(axis=0)
    peak = np.abs(centred).max(axis=0, initial=0.0)
    unit: Float64 = np.exp2(np.ceil(np.log2(np.where(peak > 0, peak, 1.0))) - _EXACT_BITS)
    whole: Float64 = np.rint(centred / unit)
    return whole, unit


def _descended(squares: Float64, slope: Float64, start: Float64, room: Float64) -> Float64:
    """The change of integer weights (K, C) that lowers error and ridge, one weight at a time.

    Args:
        squares: Mean products of what the weights read, (K, K).
        slope: Half the fall of the error per unit of each weight at ``start``, (K, C).
        start: Where to begin.
        room: How far each weight may go up and down, (2, K, C).
    """
    own, slope, change = np.diagonal(squares), slope.copy(), start.copy()
    ridge = _RIDGE * own.mean()
    for _ in range(_SWEEPS if ridge > 0 else 0):
        moved = False
        for k in np.argsort(-own, kind="stable"):
            best = change[k] + (slope[k] - ridge * change[k]) / (own[k] + ridge)
            best = np.clip(np.rint(best), -room[1, k], room[0, k])
            step = best - change[k]
            if step.any():
                slope -= squares[:, k, None] * step
                change[k], moved = best, True
        if not moved:
            break
    return change


def _connections(
    quantized: Quantized, fitted: Sequence[Connection], rows: Float64
) -> tuple[Connection, ...]:
    """All connections, the fitted ones with their new weights (K, C)."""
    ends = np.cumsum([matrix(connection).shape[1] for connection in fitted])
    new = {id(c): part.T for c, part in zip(fitted, np.split(rows, ends[:-1]), strict=True)}
    return tuple(
        _with_weights(connection, new[id(connection)]) if id(connection) in new else connection
        for connection in quantized.connections
    )


def _with_weights(connection: Connection, rows: Float64) -> Connection:
    *before, factor = connection.factors
    assert isinstance(factor, Dense | Conv)
    weights = rows.reshape(factor.weights.shape).astype(np.int8)
    return replace(connection, factors=(*before, replace(factor, weights=weights)))
