"""Multiply-accumulates of the dense network that a program stands for."""

from __future__ import annotations

import json

from spikec.compiler.connections import Connection, Conv, ConvTranspose, Dense
from spikec.compiler.fan_outs import fan_out
from spikec.compiler.geometry import shapes_along
from spikec.compiler.program import Program

NETWORK_MACS = "network_macs"
"""Of a program's provenance, where its channels are copied; see ``network_macs``."""


def connection_macs(program: Program, connection: Connection) -> int:
    """Multiply-accumulates of a connection in the dense network, per image.

    Each weighted factor counts Σ fan-out over its own input, with real borders, strides and
    groups, weights of zero included. Sums of windows and residual additions are additions and
    count as none. Factor by factor: a pool in front of a convolution does not multiply its work,
    as it would if paths through both were counted.
    """
    shapes = shapes_along(connection, program.population(connection.source).shape)
    return sum(
        int(fan_out(Connection(connection.source, connection.sink, (factor,)), shape).sum())
        for factor, shape in zip(connection.factors, shapes, strict=False)
        if isinstance(factor, Dense | Conv | ConvTranspose)
    )


def network_macs(program: Program) -> dict[str, dict[str, int]]:
    """Multiply-accumulates of the ANN per image, by population and the one that it reads.

    Copies of channels multiply more than the ANN does, so a program that has any tells the ANN's.
    """
    told = json.loads(program.provenance.get(NETWORK_MACS, "{}"))
    if told:
        return {sink: dict(into) for sink, into in told.items()}
    found: dict[str, dict[str, int]] = {}
    for connection in program.connections:
        into = found.setdefault(connection.sink, {})
        number = connection_macs(program, connection)
        into[connection.source] = into.get(connection.source, 0) + number
    return found
