"""SimulatorBackend: event-driven machine code, or matrix products where there can be none."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np

from spikec.backends.base import (
    BackendRun,
    Progress,
    checked_inputs,
    choice_named,
    totals_of,
    trains_of,
)
from spikec.backends.simulator.dense.engine import DenseEngine
from spikec.backends.simulator.events.engine import EventEngine
from spikec.backends.simulator.events.machine import Level, MachineCodeError
from spikec.backends.simulator.session import CheckedSession, Session, SlicedSession
from spikec.backends.simulator.threads import processors
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.connections import Connection
from spikec.compiler.errors import OptionError
from spikec.compiler.populations import AdaFire, MaxPool, Population
from spikec.compiler.program import Program
from spikec.compiler.simulation import Fired, Totals


class Engine(StrEnum):
    """How the simulator computes; the integers are the same."""

    AUTO = "auto"
    """Events where machine code can be made, with a warning and DENSE where it cannot."""
    EVENTS = "events"
    """Machine code that follows every event."""
    DENSE = "dense"
    """Matrix products over whole batches, in NumPy."""


class SimulatorBackend:
    """The fast exact backend; also the Simulate that calibrating passes ask.

    Args:
        threads: Images that run at the same time; by default one per available processor.
        memory_limit: Bytes that the arrays of a run may take besides its results; never less
            than one image needs.
        engine: How to compute.
        level: Use no instructions beyond these; by default all that there are, or what the
            environment variable SPIKEC_SIMULATOR_CPU says.

    Raises:
        OptionError: Fewer than one thread or one byte, an unknown engine, or a level that this
            machine lacks.
        MachineCodeError: Events were asked for and no machine code can be made.
    """

    name = "simulator"

    def __init__(
        self,
        threads: int | None = None,
        *,
        memory_limit: int = 2**30,
        engine: Engine = Engine.AUTO,
        level: Level | None = None,
    ) -> None:
        self.threads = processors() if threads is None else threads
        self.memory_limit = memory_limit
        if self.threads < 1 or memory_limit < 1:
            problem = f"{self.threads} threads and {memory_limit} bytes of memory; the least is 1"
            raise OptionError(problem)
        self.engine = choice_named(Engine, engine, "engine")
        self._refused: Program | None = None
        self._dense = DenseEngine(self.threads, memory_limit)
        self._events = None if self.engine is Engine.DENSE else self._event_engine(level)

    def run(
        self,
        program: Program,
        inputs: Array,
        *,
        record: frozenset[str] = frozenset(),
        progress: Progress | None = None,
    ) -> BackendRun:
        """All T steps for a batch; see Backend.run."""
        inputs = checked_inputs(program, inputs, record)
        engine = self._prepared(program, record) or self._dense
        return engine.run(program, inputs, record=record, progress=progress)

    def start(self, program: Program, inputs: Array) -> Session:
        """A session: time goes on in pieces, and images can be dropped on the way.

        All images are held in memory at once.
        """
        inputs = checked_inputs(program, inputs, frozenset())
        session: Session
        events = self._prepared(program, frozenset())
        if events is not None:
            session = events.start(program, inputs)
        else:
            session = SlicedSession(self._dense.run(program, inputs))
        return CheckedSession(session, program)

    def readouts(self, program: Program, inputs: Array) -> Int64:
        """Read-out potentials of a whole run; see Simulate.readouts."""
        return np.moveaxis(self.run(program, inputs).readout, 1, 0)

    def currents(
        self, sink: Population, connections: Sequence[Connection], spikes: Mapping[str, Array]
    ) -> Array:
        """Input current of one population; see Simulate.currents."""
        return self._dense.currents(sink, connections, spikes)

    def fire(
        self, population: AdaFire | MaxPool, current: Array, timesteps: int, vmax: int
    ) -> Fired:
        """Spikes of one population under a current; see Simulate.fire."""
        if self._events is not None and isinstance(population, AdaFire):
            try:
                if self._events.fires(population):
                    return self._events.fire(population, current, timesteps, vmax)
            except MachineCodeError as error:
                self._tell(error)
                self._events = None
        return self._dense.fire(population, current, timesteps, vmax)

    def totals(self, program: Program, inputs: Array) -> Totals:
        """A whole run of a program; see Simulate.totals."""
        return totals_of(program, self.run(program, inputs))

    def recorded(
        self, program: Program, inputs: Array, names: Sequence[str]
    ) -> tuple[Totals, dict[str, Array]]:
        """A whole run, and payloads of some populations; see Simulate.recorded."""
        record = frozenset(names)
        inputs = checked_inputs(program, inputs, record)
        engine = self._prepared(program, frozenset()) or self._dense
        run = engine.run(program, inputs, record=record, membranes=False)
        return totals_of(program, run), trains_of(run)

    def _prepared(self, program: Program, record: frozenset[str]) -> EventEngine | None:
        """The event engine, with machine code for a program; None if there can be none."""
        if self._events is None or program is self._refused:
            return None
        try:
            self._events.prepare(program, record)
        except MachineCodeError as error:
            self._tell(error)
            self._refused = program
            return None
        return self._events

    def _event_engine(self, level: Level | None) -> EventEngine | None:
        try:
            return EventEngine(self.threads, self.memory_limit, level)
        except MachineCodeError as error:
            self._tell(error)
            return None

    def _tell(self, error: MachineCodeError) -> None:
        """Warn that matrix products take over; raise where events were asked for."""
        if self.engine is Engine.EVENTS:
            raise error
        text = f"no machine code for this program or machine, matrix products instead: {error}"
        warnings.warn(text, RuntimeWarning, stacklevel=4)
