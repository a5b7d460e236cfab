"""A program as text and named arrays: what is stored, and what its digest is taken of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.connections import (
    Connection,
    Conv,
    ConvTranspose,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
)
from spikec.compiler.populations import AdaFire, Input, MaxPool, Population, Readout
from spikec.compiler.structure import Structure

FORMAT = 2
"""Newest version of the file format; a reader refuses newer ones. 2 adds exit rules."""

POPULATIONS = {"input": Input, "adafire": AdaFire, "max_pool": MaxPool, "readout": Readout}
FACTORS = {
    "dense": Dense,
    "conv": Conv,
    "conv_transpose": ConvTranspose,
    "identity": Identity,
    "sum_pool": SumPool,
    "global_sum": GlobalSum,
    "gather": Gather,
}

Plain = None | bool | int | float | str | Sequence["Plain"] | Mapping[str, "Plain"]
"""What JSON can say."""


@dataclass(frozen=True, eq=False)
class Description:
    """A program without its provenance.

    Attributes:
        values: Everything but arrays.
        arrays: By name: population/field, or connections/index/factor/field.
    """

    values: Mapping[str, Plain]
    arrays: Mapping[str, Array]

    @property
    def digest(self) -> str:
        """SHA-256 over values and arrays, 64 hexadecimal digits."""
        sha = hashlib.sha256(canonical(self.values).encode())
        for name, array in sorted(self.arrays.items()):
            sha.update(canonical([name, array.dtype.str, list(array.shape)]).encode())
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


def format_of(values: Mapping[str, Plain]) -> int:
    """The oldest version of the file format that can say this, so that old readers read it."""
    return 2 if "exit_rule" in values else 1


def canonical(value: Plain) -> str:
    """The one JSON text of a value: sorted, ASCII, without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def describe(program: Structure, settings: Mapping[str, object]) -> Description:
    """The description of populations, connections and whatever else is plain."""
    arrays: dict[str, Array] = {}
    populations = [_kind(p, POPULATIONS) | _fields(p, p.name, arrays) for p in program.populations]
    connections = [
        _connection(connection, f"connections/{index}", arrays)
        for index, connection in enumerate(program.connections)
    ]
    values = {name: plain(value) for name, value in settings.items()}
    parts: dict[str, Plain] = {"populations": populations, "connections": connections}
    return Description(values | parts, arrays)


def plain(value: object) -> Plain:
    """A value as JSON says it: records as objects, tuples as arrays."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return str(value)
        case tuple() | list():
            return [plain(item) for item in value]
        case _ if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _connection(connection: Connection, prefix: str, arrays: dict[str, Array]) -> Plain:
    factors = [
        _kind(factor, FACTORS) | _fields(factor, f"{prefix}/{index}", arrays)
        for index, factor in enumerate(connection.factors)
    ]
    return {
        "source": connection.source,
        "sink": connection.sink,
        "exponent": connection.exponent,
        "factors": factors,
    }


def _kind(item: Population | Factor, kinds: Mapping[str, type]) -> dict[str, Plain]:
    return {"kind": next(name for name, kind in kinds.items() if type(item) is kind)}


def _fields(item: Population | Factor, prefix: str, arrays: dict[str, Array]) -> dict[str, Plain]:
    """The plain fields; arrays go to ``arrays``."""
    values: dict[str, Plain] = {}
    for field in fields(item):
        value = getattr(item, field.name)
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}/{field.name}"] = value
        else:
            values[field.name] = plain(value)
    return values
