"""network.py of an export: a statement per population and connection, in Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields

import numpy as np

from spikec.backends.lava.lowering import Lowered, LoweredConnection, LoweredPopulation
from spikec.backends.lava.source_text import Call, Value, call, identifiers, quoted, text_of
from spikec.backends.lava.stock import Process
from spikec.compiler.arrays import Array
from spikec.compiler.connections import Conv, Factor
from spikec.compiler.populations import (
    AdaFire,
    Coding,
    Input,
    MaxPool,
    Population,
    Readout,
    Shape,
)
from spikec.compiler.program import Program

_IMPORTS = {
    "joining": ("join",),
    "kernels": ("populations",),
    "kernels.clock": ("Clock",),
    "kernels.factors": (
        *("Conv", "ConvTranspose", "Dense", "Gather", "GlobalSum", "Identity", "SumPool"),
    ),
    "kernels.link": ("Link",),
    "kernels.windows": ("Windows",),
    "processes.neurons": ("AdaFire", "HoldSource", "MaxPool", "Readout"),
    "standalone": ("Encoding", "Exported"),
    "stock": ("StockConv", "StockMatrix"),
}
"""Names that the source may use, by module."""

_HEADER = '''"""{title}"""

from pathlib import Path

import numpy as np
{imports}

FOLDER = Path(__file__).resolve().parent


def array(name):
    """An array of this folder."""
    return np.load(FOLDER / "arrays" / f"{{name}}.npy", allow_pickle=False)


def build(samples, inputs, outputs):
    """All processes, joined; returns the source.

    Args:
        samples: How many run, one after the other without a gap.
        inputs: Path of their payloads, an .npy file.
        outputs: Path of the file for the read-out's potentials, one row per step.
    """

    def clock(depth):
        return Clock(timesteps={timesteps}, samples=samples, depth=depth)

{statements}
    return {source}


NETWORK = {exported}
'''

Store = Callable[[str, Array], None]
"""Called with the name and the values of each array."""


def sample_shape(program: Program) -> Shape:
    """Shape of an input: of the input population, or (T, *shape of a frame)."""
    frames = program.input.coding is Coding.FRAMES
    return (program.timesteps, *program.input.shape) if frames else program.input.shape


class NetworkSource:
    """Writes network.py.

    Args:
        lowered: The program in time.
        store: Takes the arrays that the source reads.
    """

    def __init__(self, lowered: Lowered, store: Store) -> None:
        self._lowered = lowered
        self._store = store
        self._names = identifiers(p.population.name for p in lowered.populations)

    def text(self, title: str) -> str:
        """The whole module."""
        populations = [self._population(p) for p in self._lowered.populations]
        connections = [self._connection(n, c) for n, c in enumerate(self._lowered.connections)]
        statements = "\n".join([*populations, "", *connections])
        exported = text_of(self._exported(), 0, 10)
        return _HEADER.format(
            title=title,
            imports=_imports(statements + exported),
            timesteps=self._lowered.program.timesteps,
            statements=statements,
            source=self._names[self._lowered.program.input.name],
            exported=exported,
        )

    def _population(self, lowered: LoweredPopulation) -> str:
        population = lowered.population
        name = self._names[population.name]
        kind = "HoldSource" if isinstance(population, Input) else type(population).__name__
        steps = self._steps(population, f"clock({lowered.depth})")
        process = call(kind, steps, name=quoted(population.name))
        return f"    {name} = {text_of(process, 4, len(name) + 3)}"

    def _steps(self, population: Population, clock: str) -> Call:
        name, shape = self._names[population.name], repr(population.shape)
        match population:
            case Input():
                return call("populations.Source", shape, "inputs", clock)
            case AdaFire():
                neurons = self._adafire(population)
                return call("populations.AdaFire", shape, **neurons, clock=clock)
            case MaxPool():
                window = ("kernel", "strides", "pads", "dilations")
                windows = call(
                    "Windows", **{part: repr(getattr(population, part)) for part in window}
                )
                counters = repr(population.counters)
                return call("populations.MaxPool", shape, counters, windows, clock)
            case Readout():
                bias, files = (
                    self._array(f"{name}_bias", population.bias),
                    '{"potentials": outputs}',
                )
                return call("populations.Readout", shape, bias, clock, files)

    def _adafire(self, population: AdaFire) -> dict[str, Value]:
        name = self._names[population.name]
        arrays = {
            part: self._array(f"{name}_{part}", getattr(population, part))
            for part in ("threshold", "bias", "initial")
        }
        plain = {part: repr(getattr(population, part)) for part in ("phi", "windowed")}
        fire, vmax = quoted(population.fire), repr(self._lowered.program.vmax)
        return {**arrays, **plain, "fire": fire, "vmax": vmax}

    def _connection(self, number: int, lowered: LoweredConnection) -> str:
        connection = lowered.connection
        ends = [self._names[name] for name in (connection.source, connection.sink)]
        link = self._link(f"connection{number}", lowered)
        joined = call("join", *ends, link, name=quoted(connection.name))
        return f"    {text_of(joined, 4)}"

    def _link(self, prefix: str, lowered: LoweredConnection) -> Call:
        connection = lowered.connection
        ends = {"source": repr(lowered.source_shape), "sink": repr(lowered.sink_shape)}
        factors = tuple(
            self._factor(f"{prefix}_{number}", factor)
            for number, factor in enumerate(connection.factors)
        )
        match lowered.process:
            case Process.LINK:
                timing = {"exponent": repr(connection.exponent), "delay": repr(lowered.delay)}
                return call("Link", **ends, factors=factors or "()", **timing)
            case Process.CONV:
                conv = connection.factors[0]
                assert isinstance(conv, Conv)
                named = dict(factors[0].arguments)
                named["pads"] = repr(conv.pads[: len(conv.strides)])
                return call("StockConv", source=ends["source"], **named)
            case Process.DENSE | Process.SPARSE:
                weights = dict(factors[0].arguments)["weights"]
                sparse = repr(lowered.process is Process.SPARSE)
                shifted = {"weights": weights, "exponent": repr(connection.exponent)}
                return call("StockMatrix", **shifted, sink=ends["sink"], sparse=sparse)

    def _factor(self, prefix: str, factor: Factor) -> Call:
        values: dict[str, Value] = {}
        for name in (field.name for field in fields(factor)):
            value = getattr(factor, name)
            if isinstance(value, np.ndarray):
                values[name] = self._array(f"{prefix}_{name}", value)
            else:
                values[name] = repr(value)
        return call(type(factor).__name__, **values)

    def _exported(self) -> Call:
        program = self._lowered.program
        return call(
            "Exported",
            folder="FOLDER",
            build="build",
            encoding=self._encoding(),
            timesteps=repr(program.timesteps),
            latency=repr(self._lowered.steps(0, ())),
            readout=repr(program.readout.shape),
            scale=self._array("readout_scale", program.readout.scale),
        )

    def _encoding(self) -> Call:
        source = self._lowered.program.input
        arrays = {
            name: self._array(f"input_{name}", getattr(source, name))
            for name in ("gain", "offset", "scale")
        }
        shape = repr(sample_shape(self._lowered.program))
        return call("Encoding", shape=shape, **arrays, limit=repr(2 ** (source.bits - 1) - 1))

    def _array(self, name: str, values: Array) -> Value:
        self._store(name, values)
        return call("array", quoted(name))


def _imports(source: str) -> str:
    """Import statements for what the source uses."""
    lines = []
    for module, names in _IMPORTS.items():
        used = [name for name in names if re.search(rf"\b{name}[(.]", source)]
        if module == "kernels.clock" or used:
            lines.append(f"from {module} import {', '.join(used or names)}")
    return "\n".join(lines)
