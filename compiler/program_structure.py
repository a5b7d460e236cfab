"""What every program must satisfy: ranges of its numbers, shapes, and the graph that it forms.

Each check raises ProgramError at the name of the population or connection that breaks the rule.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.connections import Connection, Gather, Weighted
from spikec.compiler.errors import ProgramError, Where
from spikec.compiler.geometry import connection_shape, pool_shape
from spikec.compiler.populations import AdaFire, Fire, Input, MaxPool, Population, Readout, Shape
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.structure import Structure

LARGEST_PAYLOAD = 255
LARGEST_TIMESTEPS = 65_535
LARGEST_EXPONENT = 24
INPUT_BITS = range(2, 17)
MEMBRANE_BITS = range(8, 33)
LAYOUTS = ("chw", "hwc", "hw", "")


def check_structure(program: Structure) -> None:
    """ProgramError unless the program keeps the integer contract; currents are proved elsewhere."""
    _within("timesteps", program.timesteps, 1, LARGEST_TIMESTEPS)
    _within("membrane_bits", program.membrane_bits, MEMBRANE_BITS[0], MEMBRANE_BITS[-1])
    _check_names(program)
    for population in program.populations:
        _check_population(population, 2 ** (program.membrane_bits - 1) - 1)
    _check_ends(program)
    for connection in program.connections:
        _check_connection(connection, program)
    _check_reachable(program)


def _within(subject: str, value: int, low: int, high: int, where: Where | None = None) -> None:
    if not (type(value) is int and low <= value <= high):
        raise ProgramError(f"{subject} is {value!r}, the range is {low}…{high}", where)


def _check_names(program: Structure) -> None:
    for population in program.populations:
        if not isinstance(population, Population):
            raise ProgramError(f"{population!r} is no population")
    counts = Counter(population.name for population in program.populations)
    for name, count in counts.items():
        if count > 1:
            raise ProgramError(f"{count} populations have this name", Where(name))
        if not name or not name.isprintable():  # unpaired surrogates are not printable either
            raise ProgramError("a name is one or more printable characters", Where(name))
    kinds = [type(population) for population in program.populations]
    if kinds.count(Input) != 1 or kinds[0] is not Input:
        found = kinds.count(Input)
        raise ProgramError(f"the first population, and no other, is an input; there are {found}")
    if kinds.count(Readout) != 1:
        raise ProgramError(f"a program has one read-out, not {kinds.count(Readout)}")


def _check_population(population: Population, vmax: int) -> None:
    where = Where(population.name)
    _check_shape("shape", population.shape, where)
    _check_real(population, "scale", where)
    if not bool((population.scale > 0).all()):
        raise ProgramError(f"scale holds {population.scale.min()}, it must be positive", where)
    match population:
        case Input():
            _within("bits", population.bits, INPUT_BITS[0], INPUT_BITS[-1], where)
            _check_real(population, "gain", where)
            _check_real(population, "offset", where)
        case AdaFire():
            _check_adafire(population, vmax, where)
        case MaxPool():
            _check_shape("counters", population.counters, where)
            if (shape := pool_shape(population)) != population.shape:
                problem = f"windows over {population.counters} give {shape}, not {population.shape}"
                raise ProgramError(problem, where)
        case Readout():
            _check_parameter("bias", population.bias, population.shape, where)


def _check_adafire(population: AdaFire, vmax: int, where: Where) -> None:
    _within("phi", population.phi, 1, LARGEST_PAYLOAD, where)
    for field in ("threshold", "bias", "initial"):
        _check_parameter(field, getattr(population, field), population.shape, where)
    low, high = int(population.threshold.min()), int(population.threshold.max())
    if low < 1 or high > vmax:
        raise ProgramError(f"thresholds run from {low} to {high}, the range is 1…{vmax}", where)
    low, high = int(population.initial.min()), int(population.initial.max())
    if low < -vmax or high > vmax:
        raise ProgramError(f"initial runs from {low} to {high}, the range is ±{vmax}", where)
    if population.windowed and population.fire is Fire.RETRACT:
        problem = "a windowed population has nothing to retract"
        raise ProgramError(problem, where, "use the plain or the signed rule")


def _check_shape(subject: str, shape: Shape, where: Where) -> None:
    if not isinstance(shape, tuple) or not shape or min(shape) < 1:
        raise ProgramError(f"{subject} {shape} is not one or more sizes ≥ 1", where)
    if math.prod(shape) >= 2**31:
        raise ProgramError(f"{subject} {shape} has more cells than 32 bits can count", where)


def _check_parameter(field: str, array: Array, shape: Shape, where: Where) -> None:
    fits = array.ndim == len(shape) and all(
        size in (1, whole) for size, whole in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise ProgramError(f"{field} of shape {array.shape} does not fit {shape}", where)


def _check_real(population: Population, field: str, where: Where) -> None:
    values = getattr(population, field)
    _check_parameter(field, values, population.shape, where)
    if not bool(np.isfinite(values).all()):
        raise ProgramError(f"{field} holds values that are not finite", where)


def _check_ends(program: Structure) -> None:
    """Every connection leads from an earlier population to a later one that may receive."""
    places = {population.name: index for index, population in enumerate(program.populations)}
    kinds = {population.name: type(population) for population in program.populations}
    for connection in program.connections:
        where = Where(connection.name)
        for end in (connection.source, connection.sink):
            if end not in places:
                raise ProgramError(f"there is no population '{end}'", where)
        if kinds[connection.sink] is Input:
            raise ProgramError("nothing connects into an input", where)
        if kinds[connection.source] is Readout:
            raise ProgramError("a read-out emits nothing", where)
        if places[connection.source] >= places[connection.sink]:
            raise ProgramError("the source must stand before the sink", where)


def _check_connection(connection: Connection, program: Structure) -> None:
    where = Where(connection.name)
    _within("exponent", connection.exponent, 0, LARGEST_EXPONENT, where)
    for factor in connection.factors:
        if isinstance(factor, Weighted) and factor.weights.size and factor.weights.min() < -127:
            raise ProgramError("weights hold −128, the range is ±127", where)
    ends = {population.name: population for population in program.populations}
    source, sink = ends[connection.source], ends[connection.sink]
    target = sink.counters if isinstance(sink, MaxPool) else sink.shape
    if (shape := connection_shape(connection, source.shape)) != target:
        raise ProgramError(f"it delivers shape {shape}, the sink takes {target}", where)
    if isinstance(sink, MaxPool) and (
        connection.exponent or not all(isinstance(f, Gather) for f in connection.factors)
    ):
        problem = "a max_pool counts payloads as they are: only index maps may lead to it"
        raise ProgramError(problem, where)


def _check_reachable(program: Structure) -> None:
    """Every population but the input receives, and leads to the read-out."""
    sinks = {connection.sink for connection in program.connections}
    needed = {p.name for p in program.populations if isinstance(p, Readout)}
    for population in reversed(program.populations):
        if population.name in {c.source for c in program.connections if c.sink in needed}:
            needed.add(population.name)
    for population in program.populations:
        if population.name not in sinks and not isinstance(population, Input):
            raise ProgramError("no connection leads to it", Where(population.name))
    for population in program.populations:
        if population.name not in needed:
            raise ProgramError("no path leads from it to the read-out", Where(population.name))


def check_preprocessing(preprocessing: Preprocessing | None) -> None:
    """ProgramError unless sizes are whole, factors finite and divisors not zero."""
    if preprocessing is None:
        return
    where = Where("preprocessing")
    sizes = (preprocessing.resize, preprocessing.crop)
    for size in sizes:
        numbers = (size,) if isinstance(size, int) else size or ()
        if not all(type(number) is int and number > 0 for number in numbers):
            raise ProgramError(f"sizes {sizes} are not whole numbers ≥ 1", where)
    reals = (preprocessing.scale, *preprocessing.mean, *preprocessing.std)
    if not all(isinstance(real, int | float) and math.isfinite(real) for real in reals):
        raise ProgramError("scale, mean and std must be finite numbers", where)
    if 0 in preprocessing.std:
        raise ProgramError("std holds 0 and divides", where)
    if preprocessing.layout not in LAYOUTS:
        problem = f"layout is {preprocessing.layout!r}, not one of {', '.join(LAYOUTS)}"
        raise ProgramError(problem, where)
