"""Connections as Lava processes, and a whole network as one.

A connection first sends what is due, then receives: as Lava's own Dense and Conv do, each adds at
least one time step, so nothing waits for itself.
"""

from __future__ import annotations

import numpy as np
from kernels.link import Link as LinkQueue
from kernels.network import Network as NetworkSteps
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from processes.guarded import Guarded


class Link(AbstractProcess):
    """Sends on ``a_out`` the currents of what came on ``s_in`` some steps ago."""

    def __init__(self, link: LinkQueue, name: str, **parameters: object) -> None:
        super().__init__(link=link, name=name, **parameters)
        self.s_in = InPort(shape=link.source)
        self.a_out = OutPort(shape=link.sink)


class Network(AbstractProcess):
    """All populations between input and read-out, and all connections."""

    def __init__(self, network: NetworkSteps, name: str, **parameters: object) -> None:
        super().__init__(network=network, name=name, **parameters)
        self.s_in = InPort(shape=network.source)
        self.a_out = OutPort(shape=network.sink)


@implements(proc=Link, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LinkModel(Guarded):
    """Link in integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Send, then receive."""
        link = self.proc_params["link"]
        self.a_out.send(link.due())
        link.take(self.s_in.recv())


@implements(proc=Network, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class NetworkModel(Guarded):
    """Network in integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Receive, step all populations in order, send."""
        payloads = self.s_in.recv()
        self.a_out.send(self.proc_params["network"].step(self.time_step, payloads))
