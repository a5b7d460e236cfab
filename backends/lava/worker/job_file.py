"""A job folder as the host has written it, read into the objects that compute.

job.json says what there is, .npy files hold the arrays; nothing is unpickled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kernels.clock import Clock
from kernels.factors import (
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from kernels.link import Link
from kernels.populations import AdaFire, MaxPool, Readout, Source
from kernels.windows import Array, Windows
from stock import StockConv, StockMatrix

PROTOCOL = 1
"""Version of the job folder and of the events."""

_FACTORS = {
    "dense": Dense,
    "conv": Conv,
    "conv_transpose": ConvTranspose,
    "identity": Identity,
    "sum_pool": SumPool,
    "global_sum": GlobalSum,
    "gather": Gather,
}
_ARRAYS = ("weights", "indices", "threshold", "bias", "initial")

Fields = dict[str, Any]


class ProtocolError(Exception):
    """The job was written for another version of the worker."""


@dataclass(frozen=True)
class Population:
    """A population and its name."""

    name: str
    steps: Source | AdaFire | MaxPool | Readout


@dataclass(frozen=True)
class Connection:
    """A connection between two populations, by their places in the job."""

    name: str
    source: int
    sink: int
    link: Link | StockMatrix | StockConv


@dataclass(frozen=True)
class Job:
    """What is to be run.

    Attributes:
        granularity: "layer" or "network".
        steps: Time steps of the whole run.
        populations: Every source before its sinks; the input first.
        connections: Between them.
    """

    granularity: str
    steps: int
    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]


def read_job(folder: Path) -> Job:
    """The job of a folder.

    Raises:
        ProtocolError: It was written for another version.
        OSError, ValueError, KeyError: It cannot be read.
    """
    with open(folder / "job.json", encoding="utf-8") as file:
        content = json.load(file)
    if content["protocol"] != PROTOCOL:
        raise ProtocolError(f"the job has protocol {content['protocol']}, not {PROTOCOL}")
    reader = _Reader(folder, content)
    return Job(
        content["granularity"],
        content["steps"],
        tuple(reader.population(fields) for fields in content["populations"]),
        tuple(reader.connection(fields) for fields in content["connections"]),
    )


class _Reader:
    """Makes objects from descriptions."""

    def __init__(self, folder: Path, content: Fields) -> None:
        self._folder = folder
        self._content = content

    def population(self, fields: Fields) -> Population:
        clock = Clock(self._content["timesteps"], self._content["samples"], fields["depth"])
        files = {what: str(self._folder / file) for what, file in fields["record"].items()}
        shape = tuple(fields["shape"])
        values = self._values(fields["values"])
        steps: Source | AdaFire | MaxPool | Readout
        if fields["kind"] == "input":
            steps = Source(shape, str(self._folder / values["samples"]), clock, files)
        elif fields["kind"] == "adafire":
            steps = AdaFire(shape, **values, vmax=self._content["vmax"], clock=clock, files=files)
        elif fields["kind"] == "max_pool":
            counters = values.pop("counters")
            steps = MaxPool(shape, counters, Windows(**values), clock, files)
        else:
            steps = Readout(shape, values["bias"], clock, files)
        return Population(fields["name"], steps)

    def connection(self, fields: Fields) -> Connection:
        ends = (tuple(fields["source_shape"]), tuple(fields["sink_shape"]))
        link: Link | StockMatrix | StockConv
        if fields["process"] in ("dense", "sparse"):
            weights = self._values(fields["factors"][0]["values"])["weights"]
            sparse = fields["process"] == "sparse"
            link = StockMatrix(weights, fields["exponent"], ends[1], sparse)
        elif fields["process"] == "conv":
            values = self._values(fields["factors"][0]["values"])
            pads = values.pop("pads")
            link = StockConv(source=ends[0], pads=pads[: len(pads) // 2], **values)
        else:
            factors = tuple(self._factor(factor) for factor in fields["factors"])
            link = Link(*ends, factors, exponent=fields["exponent"], delay=fields["delay"])
        return Connection(fields["name"], fields["source"], fields["sink"], link)

    def _factor(self, fields: Fields) -> Factor:
        factor: Factor = _FACTORS[fields["kind"]](**self._values(fields["values"]))
        return factor

    def _values(self, fields: Fields) -> Fields:
        return {name: self._value(name, value) for name, value in fields.items()}

    def _value(self, name: str, value: object) -> object:
        if name in _ARRAYS:
            return self._array(str(value))
        return tuple(value) if isinstance(value, list) else value

    def _array(self, file: str) -> Array:
        array: Array = np.load(self._folder / file, allow_pickle=False)
        return array
