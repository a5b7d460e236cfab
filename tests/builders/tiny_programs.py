"""One small valid program, and how to change parts of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spikec.compiler.connections import Connection, Conv, Dense, GlobalSum
from spikec.compiler.populations import AdaFire, Fire, Input, MaxPool, Population, Readout
from spikec.compiler.program import Program

ONE = np.ones((1, 1, 1))
INPUT = Input("image", (1, 4, 4), 8, ONE, ONE, ONE * 0)
HIDDEN = AdaFire(
    "hidden",
    (2, 4, 4),
    np.array([50, 60]).reshape(2, 1, 1),
    np.array([1, -1]).reshape(2, 1, 1),
    np.array([25, 30]).reshape(2, 1, 1),
    3,
    Fire.PLAIN,
    False,
    ONE,
)
POOL = MaxPool("pool", (2, 2, 2), (2, 4, 4), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), ONE)
SCORES = Readout("scores", (3,), np.array([1, 2, 3]), np.ones(1))
POPULATIONS: tuple[Population, ...] = (INPUT, HIDDEN, POOL, SCORES)

KERNEL = np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3)
CONV = Conv(KERNEL, (1, 1), (1, 1, 1, 1), (1, 1))
TOP = Dense(np.array([[1, -2], [3, 4], [0, 6]], np.int8))
CONNECTIONS = (
    Connection("image", "hidden", (CONV,)),
    Connection("hidden", "pool", ()),
    Connection("pool", "scores", (GlobalSum(), TOP), 1),
)


def tiny_program(**changes: Any) -> Program:
    """image → hidden → pool → scores, with other fields."""
    parts = {"populations": POPULATIONS, "connections": CONNECTIONS, "timesteps": 4}
    return Program(**(parts | changes))


def with_population(name: str, /, **changes: Any) -> Program:
    """The tiny program with fields of one population changed."""
    changed = tuple(replace(p, **changes) if p.name == name else p for p in POPULATIONS)
    return tiny_program(populations=changed)


def with_connection(name: str, /, **changes: Any) -> Program:
    """The tiny program with fields of one connection changed."""
    changed = tuple(replace(c, **changes) if c.name == name else c for c in CONNECTIONS)
    return tiny_program(connections=changed)
