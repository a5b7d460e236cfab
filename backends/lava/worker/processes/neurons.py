"""Populations as Lava processes: within a time step they receive, update and send.

The first argument of each process is the object that computes its steps. It travels to the
process model by fork.
"""

from __future__ import annotations

import numpy as np
from kernels import populations
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from processes.guarded import Guarded


class HoldSource(AbstractProcess):
    """Sends each sample for T steps, or frame after frame."""

    def __init__(self, population: populations.Source, name: str, **parameters: object) -> None:
        super().__init__(population=population, name=name, **parameters)
        self.s_out = OutPort(shape=population.shape)


class AdaFire(AbstractProcess):
    """Integrates ``a_in``, sends up to φ spikes per step on ``s_out``."""

    def __init__(self, population: populations.AdaFire, name: str, **parameters: object) -> None:
        super().__init__(population=population, name=name, **parameters)
        self.a_in = InPort(shape=population.shape)
        self.s_out = OutPort(shape=population.shape)


class MaxPool(AbstractProcess):
    """Counts ``a_in``, sends the growth of the largest count of each window on ``s_out``."""

    def __init__(self, population: populations.MaxPool, name: str, **parameters: object) -> None:
        super().__init__(population=population, name=name, **parameters)
        self.a_in = InPort(shape=population.counters)
        self.s_out = OutPort(shape=population.shape)


class Readout(AbstractProcess):
    """Sums ``a_in``; its potentials leave through a file."""

    def __init__(self, population: populations.Readout, name: str, **parameters: object) -> None:
        super().__init__(population=population, name=name, **parameters)
        self.a_in = InPort(shape=population.shape)


@implements(proc=HoldSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class HoldSourceModel(Guarded):
    """HoldSource in integers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Send."""
        self.s_out.send(self.proc_params["population"].step(self.time_step))


@implements(proc=AdaFire, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class AdaFireModel(Guarded):
    """AdaFire in integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Receive, integrate, fire, send."""
        current = self.a_in.recv()
        self.s_out.send(self.proc_params["population"].step(self.time_step, current))


@implements(proc=MaxPool, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class MaxPoolModel(Guarded):
    """MaxPool in integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Receive, count, send."""
        current = self.a_in.recv()
        self.s_out.send(self.proc_params["population"].step(self.time_step, current))


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutModel(Guarded):
    """Readout in integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def step(self) -> None:
        """Receive and integrate."""
        self.proc_params["population"].step(self.time_step, self.a_in.recv())
