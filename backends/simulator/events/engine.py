"""EventEngine: runs programs by event-driven machine code, images over threads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from threading import Event, get_ident

from spikec.backends.base import BackendRun, Progress
from spikec.backends.counts import empty_run
from spikec.backends.simulator.events.images import Collector, Images
from spikec.backends.simulator.events.kernels import kernel_library
from spikec.backends.simulator.events.machine import Level, host_machine
from spikec.backends.simulator.events.neurons import LEAST, Neurons
from spikec.backends.simulator.events.plan import Plan, make_plan
from spikec.backends.simulator.events.session import EventSession
from spikec.backends.simulator.events.workspace import Workspace, workspace_bytes
from spikec.backends.simulator.threads import in_threads, slices
from spikec.compiler.arrays import Array, Int32
from spikec.compiler.populations import AdaFire, MaxPool
from spikec.compiler.program import Program
from spikec.compiler.simulation import Fired

CHUNK_BYTES = 8 * 2**20
"""Spikes and results of the images that a thread takes at a time: they stay in the caches."""

MOST_IMAGES = 32
"""Images that a thread takes at a time, so that progress is told and a run can be stopped."""


CALL_UPDATES = 2**27
"""Neuron updates between two chances to stop."""

KEPT = 2
"""Programs whose plans are kept: a search runs two by turns."""


@dataclass(eq=False)
class Ready:
    """A program that can run.

    Attributes:
        plan: Its kernels.
        record: Populations whose potentials they keep.
        workspaces: Memory of earlier runs.
    """

    plan: Plan
    record: frozenset[str]
    workspaces: list[Workspace] = field(default_factory=list)

    @property
    def bytes_held(self) -> int:
        """What its workspaces take."""
        return sum(workspace_bytes(self.plan, each.images) for each in self.workspaces)


class EventEngine:
    """Runs programs; keeps the plans and the memory of the last ones.

    Args:
        threads: Images that run at the same time.
        memory_limit: Bytes that the arrays of a run may take besides its results.
        level: Use no instructions beyond these.
        narrow: Whether sums of 16 bits may be used.

    Raises:
        MachineCodeError: No machine code can be made.
        OptionError: This machine does not reach the level.
    """

    def __init__(
        self,
        threads: int,
        memory_limit: int,
        level: Level | None = None,
        *,
        narrow: bool = True,
    ) -> None:
        self.threads = threads
        self.memory_limit = memory_limit
        self.narrow = narrow
        self.library = kernel_library(host_machine(level))
        self.kept: list[Ready] = []

    def prepare(self, program: Program, record: frozenset[str]) -> Plan:
        """The plan of a program; those of the last ones are kept.

        Raises:
            MachineCodeError: A kernel cannot be made.
        """
        return self._ready(program, record).plan

    def _ready(self, program: Program, record: frozenset[str]) -> Ready:
        alike = [r for r in self.kept if r.plan.program is program and r.record == record]
        others = [ready for ready in self.kept if ready not in alike]
        if not alike:
            plan = make_plan(program, self.library, record, narrow=self.narrow)
            alike = [Ready(plan, record)]
        self.kept = [*others, *alike][-KEPT:]
        return alike[0]

    def run(
        self,
        program: Program,
        inputs: Array,
        *,
        record: frozenset[str] = frozenset(),
        progress: Progress | None = None,
        membranes: bool = True,
    ) -> BackendRun:
        """All T steps for a batch; see Backend.run; ``membranes`` need not be kept."""
        ready = self._ready(program, record if membranes else frozenset())
        plan, batch = ready.plan, (len(inputs), program.timesteps)
        result = empty_run(program, batch, record, plan.payload_types, membranes=membranes)
        threads, size = self._chunks(plan, len(inputs))
        stop, steps = Event(), range(program.timesteps)
        free = iter(self._free(ready, threads, size))
        busy: dict[int, Images] = {}

        def run_chunk(part: slice) -> int:
            images = busy.get(get_ident())
            if images is None:
                workspace = next(free, None) or Workspace(plan, size)  # whoever is first takes it
                images = busy[get_ident()] = Images(workspace)
            collector = Collector(images.workspace, result, part, steps)
            images.start(inputs[part])
            images.advance(part.stop - part.start, steps, stop, collector.layer)
            collector.finish()
            return int(part.stop - part.start)

        for done in in_threads(threads, run_chunk, slices(len(inputs), size), stop):
            if progress is not None:
                progress(done)
        ready.workspaces = [images.workspace for images in busy.values()]
        return result

    def _free(self, ready: Ready, threads: int, size: int) -> list[Workspace]:
        """Memory of earlier runs that fits; what would exceed the limit beside it is given up."""
        free = [each for each in ready.workspaces if each.images >= size][:threads]
        ready.workspaces = []
        room = self.memory_limit - threads * workspace_bytes(ready.plan, size)
        for other in reversed(self.kept):
            room -= other.bytes_held
            if room < 0:
                other.workspaces = []
        return free

    def start(self, program: Program, inputs: Array) -> EventSession:
        """A batch whose time goes on in pieces; see Session."""
        plan = self.prepare(program, frozenset())
        return EventSession(plan, inputs, max(1, min(self.threads, len(inputs))))

    def fires(self, population: AdaFire | MaxPool) -> bool:
        """Whether ``fire`` takes such a population."""
        return isinstance(population, AdaFire) and math.prod(population.shape) % LEAST == 0

    def fire(self, population: AdaFire, current: Int32, timesteps: int, vmax: int) -> Fired:
        """Spikes of one population under a current; see Simulate.fire.

        Raises:
            MachineCodeError: A kernel cannot be made.
        """
        neurons = Neurons(self.library, population, current, timesteps, vmax)
        images = current.shape[1]
        updates = timesteps * math.prod(population.shape)
        size = max(1, min(-(-images // self.threads), CALL_UPDATES // updates))
        for _ in in_threads(self.threads, neurons.run, slices(images, size), Event()):
            pass
        return neurons.fired

    def _chunks(self, plan: Plan, images: int) -> tuple[int, int]:
        """Threads, and images that each takes at a time."""
        single = workspace_bytes(plan, 1)
        threads = max(1, min(self.threads, self.memory_limit // single, images))
        fixed = workspace_bytes(plan, 0)
        per_image = max(1, single - fixed)
        fitting = (self.memory_limit // threads - fixed) // per_image
        cached = max(1, CHUNK_BYTES // per_image)
        size = min(fitting, cached, MOST_IMAGES, math.ceil(images / threads))
        return threads, max(1, size)
