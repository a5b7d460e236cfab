"""The job folder: what the worker reads and writes.

``job.json`` describes the run, ``.npy`` files hold arrays, weights and one file per recorded
quantity; nothing is pickled. Recorded quantities have one row per step, sample after sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from spikec.backends.base import choice_named
from spikec.backends.lava.lowering import (
    Lowered,
    LoweredConnection,
    LoweredPopulation,
    Processes,
    lower,
)
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import (
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.populations import AdaFire, Coding, Input, MaxPool, Population, Readout
from spikec.compiler.program import Program

PROTOCOL = 1
"""Version of the job folder and of the worker's events."""

_KINDS = {
    Input: "input",
    AdaFire: "adafire",
    MaxPool: "max_pool",
    Readout: "readout",
    Dense: "dense",
    Conv: "conv",
    ConvTranspose: "conv_transpose",
    Identity: "identity",
    SumPool: "sum_pool",
    GlobalSum: "global_sum",
    Gather: "gather",
}
_INPUTS = "inputs.npy"
_NOT_COMPUTED = ("name", "shape", "scale")
"""Fields that stand elsewhere, or that only the host needs."""

Json = str | int | bool | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Job:
    """A run that is laid out in a folder.

    Attributes:
        granularity: "layer": a process per population and connection; "network": one for all.
        timesteps: T.
        samples: S, run one after the other without a gap.
        steps: Time steps of Lava in all: S·T and the latency.
        probes: Populations whose spikes and membranes are recorded.
        folder: Where it is.
    """

    granularity: str
    timesteps: int
    samples: int
    steps: int
    probes: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, eq=False)
class LavaResults:
    """What a run gave; T steps, S samples.

    Attributes:
        outputs: v of the read-out after each step, int64, (T, S, *shape).
        spikes: Payloads by name of a probed population that fires, int32, (T, S, *shape).
        membranes: v after each local step, by name of a probed adafire population, int32,
            (T, S, *shape); of a windowed one after each firing step.
        saturations: Saturated updates by name of adafire population, over all samples.
        saturated: The same per step, int64, (T, S).
    """

    outputs: Int64
    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]
    saturations: Mapping[str, int]
    saturated: Mapping[str, Int64]


def write_job(
    program: Program,
    inputs: Array,
    folder: Path,
    *,
    granularity: str,
    probes: tuple[str, ...],
    processes: str = "auto",
) -> Job:
    """Lay out a run in an existing empty folder.

    Args:
        program: What is run.
        inputs: Quantised q: (S, *input shape), or (T, S, *input shape) of frames.
        folder: Holds the job, and later its results.
        granularity: "layer" or "network".
        probes: Names of populations whose spikes and membranes are recorded.
        processes: "own", "stock" or "auto", as in Processes.

    Raises:
        OptionError: Other processes.
    """
    frames = program.input.coding is Coding.FRAMES
    by_sample = np.swapaxes(inputs, 0, 1) if frames else inputs
    chosen = choice_named(Processes, processes, "processes")
    if granularity != "layer":
        chosen = Processes.OWN
    lowered, samples = lower(program, chosen), len(by_sample)
    steps = lowered.steps(samples, probes)
    job = Job(granularity, program.timesteps, samples, steps, probes, folder)
    writer = _Writer(job)
    np.save(folder / _INPUTS, by_sample.astype(np.int32), allow_pickle=False)
    text = json.dumps(writer.description(lowered), indent=1, ensure_ascii=False)
    (folder / "job.json").write_text(text, encoding="utf-8")
    return job


def read_results(job: Job, program: Program) -> LavaResults:
    """What the worker has recorded; call it when the run has succeeded."""
    found: dict[str, dict[str, Array]] = {"spikes": {}, "membranes": {}, "saturations": {}}
    outputs = np.empty(0, np.int64)
    for place, population in enumerate(program.populations):
        for quantity in recorded(population, job.probes):
            rows = np.load(job.folder / _file(place, quantity), allow_pickle=False)
            values = rows.reshape(job.samples, job.timesteps, *rows.shape[1:]).swapaxes(0, 1)
            if quantity == "potentials":
                outputs = values
            else:
                found[quantity][population.name] = values
    saturated = found["saturations"]
    totals = {name: int(counts.sum()) for name, counts in saturated.items()}
    return LavaResults(outputs, found["spikes"], found["membranes"], totals, saturated)


def recorded(population: Population, probes: tuple[str, ...]) -> dict[str, type[np.signedinteger]]:
    """Quantities that a population records, and their types."""
    probed = population.name in probes
    match population:
        case AdaFire():
            traces = {"spikes": np.int32, "membranes": np.int32} if probed else {}
            return {**traces, "saturations": np.int64}
        case Readout():
            return {"potentials": np.int64}
    return {"spikes": np.int32} if probed else {}


def _file(place: int, quantity: str) -> str:
    return f"population{place}_{quantity}.npy"


class _Writer:
    """Describes a lowered program, and stores its arrays on the way."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def description(self, lowered: Lowered) -> Json:
        """The content of job.json."""
        places = {p.population.name: place for place, p in enumerate(lowered.populations)}
        return {
            "protocol": PROTOCOL,
            "granularity": self._job.granularity,
            "timesteps": self._job.timesteps,
            "samples": self._job.samples,
            "steps": self._job.steps,
            "vmax": lowered.program.vmax,
            "populations": [
                self._population(place, p) for place, p in enumerate(lowered.populations)
            ],
            "connections": [
                self._connection(place, c, places) for place, c in enumerate(lowered.connections)
            ],
        }

    def _population(self, place: int, lowered: LoweredPopulation) -> Json:
        population = lowered.population
        quantities = recorded(population, self._job.probes)
        rows = (self._job.samples * self._job.timesteps,)
        for quantity, dtype in quantities.items():
            shape = () if quantity == "saturations" else population.shape
            path = self._job.folder / _file(place, quantity)
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(*rows, *shape)).flush()
        return {
            "kind": _KINDS[type(population)],
            "name": population.name,
            "shape": list(population.shape),
            "depth": lowered.depth,
            "record": {quantity: _file(place, quantity) for quantity in quantities},
            "values": self._values(population, f"population{place}"),
        }

    def _connection(self, place: int, lowered: LoweredConnection, places: dict[str, int]) -> Json:
        connection = lowered.connection
        return {
            "name": connection.name,
            "source": places[connection.source],
            "sink": places[connection.sink],
            "source_shape": list(lowered.source_shape),
            "sink_shape": list(lowered.sink_shape),
            "process": lowered.process,
            "exponent": connection.exponent,
            "delay": lowered.delay,
            "factors": [
                {
                    "kind": _KINDS[type(factor)],
                    "values": self._values(factor, f"connection{place}_factor{number}"),
                }
                for number, factor in enumerate(connection.factors)
            ],
        }

    def _values(self, part: Population | Factor, prefix: str) -> Json:
        """The fields that say what it computes; arrays go to files."""
        if isinstance(part, Input):
            return {"samples": _INPUTS}
        values: dict[str, Json] = {}
        for name in (field.name for field in fields(part) if field.name not in _NOT_COMPUTED):
            value = getattr(part, name)
            if isinstance(value, np.ndarray):
                np.save(self._job.folder / f"{prefix}_{name}.npy", value, allow_pickle=False)
                values[name] = f"{prefix}_{name}.npy"
            else:
                values[name] = list(value) if isinstance(value, tuple) else value
        return values
