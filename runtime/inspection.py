"""What stands in a program, as plain values: populations, connections, provenance."""

from __future__ import annotations

import json
import math

from spikec.compiler.arrays import Array
from spikec.compiler.connections import Connection
from spikec.compiler.exit_rule import ExitRule
from spikec.compiler.macs import NETWORK_MACS, connection_macs, network_macs
from spikec.compiler.populations import AdaFire, Input, MaxPool, Population, Readout
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.runtime.copied_channels import copy_rows
from spikec.runtime.counts import kind_of
from spikec.runtime.operations import activation_bits
from spikec.runtime.report import Json
from spikec.runtime.tables import Row, quantity

POPULATION_HEADER: Row = ("population", "kind", "fire", "shape", "neurons", "φ", "bits")
PARAMETER_HEADER: Row = ("population", "θ", "b", "v0", "scale")
CONNECTION_HEADER: Row = ("connection", "factors", "weights", "zero", "e", "MACs")
EXITS_SHOWN = 8
LEGEND = (
    "bits: of an ANN's activation with as many levels as a population has spike counts; θ "
    "threshold, b bias, v0 initial membrane, from the smallest to the largest; scale: real value "
    "of one spike, or of one unit of the read-out; e: currents are shifted left by e bits"
)


def program_dict(program: Program) -> dict[str, Json]:
    """Everything but the arrays, JSON-safe; ranges are [smallest, largest]."""
    return {
        "digest": program.digest,
        "timesteps": program.timesteps,
        "membrane_bits": program.membrane_bits,
        "target": program.target,
        "tail": [op.op for op in program.tail],
        "preprocessing": _preprocessing(program),
        "exit_rule": _exit_rule(program.exit_rule),
        "provenance": dict(program.provenance),
        "populations": [_population(program, p) for p in program.populations],
        "connections": [_connection(program, c) for c in program.connections],
        "macs": _network_macs(program),
    }


_IN_WORDS = ("search", "copies", "added_neurons", NETWORK_MACS)
"""Parts of the provenance that have lines of their own."""


def head_rows(program: Program) -> list[Row]:
    """(what, value) lines about the whole program."""
    neurons = sum(math.prod(p.shape) for p in program.populations)
    macs = _network_macs(program)
    rows: list[Row] = [
        ("digest", program.digest),
        ("time steps T", str(program.timesteps)),
        ("membrane", f"{program.membrane_bits} bits"),
        ("target", program.target or "none"),
        ("neurons", f"{neurons:,}"),
        ("MACs of the ANN", quantity(macs)),
        ("tail", ", ".join(op.op for op in program.tail) or "none"),
        ("preprocessing", _steps(program.preprocessing)),
        ("exit rule", exit_text(program.exit_rule)),
    ]
    rows += [
        (name.replace("_", " "), _plain(value))
        for name, value in program.provenance.items()
        if name not in _IN_WORDS
    ]
    return rows + copy_rows(program) + search_rows(program)


def search_rows(program: Program) -> list[Row]:
    """(what, value) lines about every search that made a program."""
    rows: list[Row] = []
    for found in json.loads(program.provenance.get("search", "[]")):
        first, *others = found["lines"]
        layers = ", ".join(f"{name} {_chosen(choice)}" for name, choice in found["layers"].items())
        rows += [(f"{found['search']} search", first), *(("", line) for line in others)]
        rows.append(("", layers))
    return rows


def _chosen(choice: dict[str, float | str]) -> str:
    mode = "" if choice["mode"] == "plain" else f" {choice['mode']}"
    return f"φ={choice['phi']}{mode}" + (
        f" ρ={choice['compression']:g}" if choice["compression"] != 1 else ""
    )


def exit_text(rule: ExitRule | None) -> str:
    """A rule in words: its score, and its thresholds from the first step to the last."""
    if rule is None:
        return "none"
    if not rule.steps:
        return f"{rule.score}, at no step"
    found = {t: rule.thresholds[t - 1] for t in rule.steps}
    thresholds = [
        f"{alpha:,} at {t}" if isinstance(alpha, int) else f"1 − {math.exp(-alpha):.3g} at {t}"
        for t, alpha in found.items()
    ]
    shown = thresholds if len(thresholds) <= EXITS_SHOWN else [thresholds[0], "…", thresholds[-1]]
    return f"{rule.score} above {', '.join(shown)}"


def _exit_rule(rule: ExitRule | None) -> Json:
    if rule is None:
        return None
    return {"score": str(rule.score), "thresholds": list(rule.thresholds)}


def _steps(preprocessing: Preprocessing | None) -> str:
    """The steps that do something, in words."""
    if preprocessing is None:
        return "none"
    default = Preprocessing()
    steps = [
        f"{name} {_listed(getattr(preprocessing, name))}"
        for name in ("layout", "resize", "crop", "scale", "mean", "std")
        if getattr(preprocessing, name) != getattr(default, name)
    ]
    return ", ".join(steps) or "none"


def _listed(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(map(_listed, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: str) -> str:
    """JSON objects and lists as words between commas, anything else as it is."""
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    match parsed:
        case dict():
            return ", ".join(f"{name.replace('_', ' ')} {each}" for name, each in parsed.items())
        case list():
            return "; ".join(map(str, parsed)) or "none"
        case _:
            return value


def population_rows(program: Program) -> list[Row]:
    """One row per population under POPULATION_HEADER."""
    return [_population_row(program, population) for population in program.populations]


def parameter_rows(program: Program) -> list[Row]:
    """One row per population under PARAMETER_HEADER: from the smallest to the largest."""
    return [_parameter_row(population) for population in program.populations]


def connection_rows(program: Program) -> list[Row]:
    """One row per connection under CONNECTION_HEADER."""
    return [
        (
            connection.name,
            " · ".join(type(factor).__name__ for factor in connection.factors) or "as it is",
            f"{sum(weights.size for weights in _weights(connection)):,}",
            f"{sum(int((weights == 0).sum()) for weights in _weights(connection)):,}",
            str(connection.exponent),
            quantity(connection_macs(program, connection)),
        )
        for connection in program.connections
    ]


def _network_macs(program: Program) -> int:
    return sum(sum(into.values()) for into in network_macs(program).values())


def _population_row(program: Program, population: Population) -> Row:
    fire, phi, bits = "", "", ""
    if isinstance(population, AdaFire):
        fire = f"{population.fire}{', windowed' if population.windowed else ''}"
        phi = str(population.phi)
    if not isinstance(population, Readout):
        bits = str(activation_bits(program, population.name))
    return (
        population.name,
        kind_of(population),
        fire,
        "×".join(map(str, population.shape)),
        f"{math.prod(population.shape):,}",
        phi,
        bits,
    )


def _parameter_row(population: Population) -> Row:
    theta, bias, initial = "", "", ""
    match population:
        case AdaFire():
            theta, bias = _span(population.threshold), _span(population.bias)
            initial = _span(population.initial)
        case Readout():
            bias = _span(population.bias)
        case Input() | MaxPool():
            pass
    return (population.name, theta, bias, initial, _span(population.scale))


def _population(program: Program, population: Population) -> Json:
    common: dict[str, Json] = {
        "name": population.name,
        "kind": kind_of(population),
        "shape": list(population.shape),
        "neurons": math.prod(population.shape),
        "scale": _range(population.scale),
    }
    if not isinstance(population, Readout):
        common["bits"] = activation_bits(program, population.name)
    match population:
        case AdaFire():
            common |= {
                "fire": str(population.fire),
                "windowed": population.windowed,
                "phi": population.phi,
                "threshold": _range(population.threshold),
                "bias": _range(population.bias),
                "initial": _range(population.initial),
            }
        case Readout():
            common["bias"] = _range(population.bias)
        case MaxPool():
            common["kernel"] = list(population.kernel)
        case Input():
            common["coding"] = str(population.coding)
    return common


def _connection(program: Program, connection: Connection) -> Json:
    weights = _weights(connection)
    return {
        "source": connection.source,
        "sink": connection.sink,
        "factors": [type(factor).__name__ for factor in connection.factors],
        "exponent": connection.exponent,
        "weights": sum(array.size for array in weights),
        "zero_weights": sum(int((array == 0).sum()) for array in weights),
        "macs": connection_macs(program, connection),
    }


def _preprocessing(program: Program) -> Json:
    steps = program.preprocessing
    if steps is None:
        return None
    return {
        "resize": list(steps.resize) if isinstance(steps.resize, tuple) else steps.resize,
        "crop": list(steps.crop) if steps.crop else None,
        "scale": steps.scale,
        "mean": list(steps.mean),
        "std": list(steps.std),
        "layout": steps.layout,
    }


def _weights(connection: Connection) -> list[Array]:
    return [factor.weights for factor in connection.factors if hasattr(factor, "weights")]


def _range(array: Array) -> list[Json]:
    return [array.min().item(), array.max().item()]


def _span(array: Array) -> str:
    low, high = (f"{v:,}" if isinstance(v, int) else f"{v:.3g}" for v in _bounds(array))
    return low if low == high else f"{low} … {high}"


def _bounds(array: Array) -> tuple[int | float, int | float]:
    return array.min().item(), array.max().item()
