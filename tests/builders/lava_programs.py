"""A small program with a population of every kind."""

from __future__ import annotations

import numpy as np

from spikec.compiler.connections import Connection, Identity
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, MaxPool, Population, Readout
from spikec.compiler.program import Program


def every_rule(coding: Coding) -> Program:
    """Populations of every rule, windowed ones too, and paths of different lengths; T = 3."""
    shape, one = (1, 4), np.ones((1, 1))

    def neurons(name: str, fire: Fire, *, windowed: bool = False) -> AdaFire:
        return AdaFire(name, shape, one * 5, one, one * 2, 2, fire, windowed, one)

    pool = MaxPool("pool", (1, 2), shape, (2,), (2,), (0, 0), (1,), one)
    populations: tuple[Population, ...] = (
        Input("in", shape, 5, one, one, one * 0, coding),
        neurons("plain", Fire.PLAIN),
        neurons("retract", Fire.RETRACT),
        neurons("windowed", Fire.SIGNED, windowed=True),
        neurons("signed", Fire.SIGNED),
        pool,
        Readout("out", (1, 2), one * 0, one),
    )
    joined = "in plain, in retract, plain retract, retract windowed, in signed, windowed signed"
    turned = (Identity(np.array([-1], np.int8)),)
    connections = [Connection(*ends.split(), ()) for ends in joined.split(", ")]
    connections += [Connection("in", "signed", turned, 1), Connection("signed", "pool", ())]
    return Program(populations, (*connections, Connection("pool", "out", ())), timesteps=3)
