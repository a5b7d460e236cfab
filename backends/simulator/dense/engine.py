"""DenseEngine: images over threads, each through the whole program by matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event

import numpy as np
from threadpoolctl import ThreadpoolController

from spikec.backends.base import BackendRun, Progress
from spikec.backends.counts import empty_run
from spikec.backends.simulator.dense.chunk import Chunk
from spikec.backends.simulator.dense.currents import Currents
from spikec.backends.simulator.dense.firing import BLOCK, Neurons
from spikec.backends.simulator.dense.linear import prepare
from spikec.backends.simulator.dense.payloads import payload_range, payload_type
from spikec.backends.simulator.dense.plan import Plan, make_plan
from spikec.backends.simulator.dense.pooling import Counters
from spikec.backends.simulator.dense.scratch import Scratch
from spikec.backends.simulator.threads import in_threads, slices
from spikec.compiler.arrays import Array
from spikec.compiler.connections import Connection
from spikec.compiler.populations import AdaFire, MaxPool, Population
from spikec.compiler.program import Program
from spikec.compiler.simulation import Fired


class DenseEngine:
    """Runs programs and single populations in NumPy; see Backend and Simulate.

    Args:
        threads: Images that run at the same time.
        memory_limit: Bytes that the arrays of a run may take besides its results.
    """

    def __init__(self, threads: int, memory_limit: int) -> None:
        self.threads = threads
        self.memory_limit = memory_limit
        self._libraries = ThreadpoolController()
        self._scratch = Scratch()
        self._plan: Plan | None = None

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
        plan = self._planned(program)
        types = {name: payload_type(*span) for name, span in plan.ranges.items()}
        batch = (len(inputs), program.timesteps)
        result = empty_run(program, batch, record, types, membranes=membranes)
        threads = max(1, min(self.threads, self.memory_limit // plan.image_bytes, len(inputs)))
        size = plan.chunk(len(inputs), threads, self.memory_limit)
        stop = Event()

        def run_chunk(images: slice) -> int:
            return Chunk(plan, result, images).run(inputs[images], stop)

        with self._one_thread_each():
            for done in in_threads(threads, run_chunk, slices(len(inputs), size), stop):
                if progress is not None:
                    progress(done)
        return result

    def currents(
        self, sink: Population, connections: Sequence[Connection], spikes: Mapping[str, Array]
    ) -> Array:
        """Input current of one population; see Simulate.currents."""
        payloads = [spikes[connection.source] for connection in connections]
        prepared = [
            prepare(connection, source.shape[2:], payload_range(source), self._scratch)
            for connection, source in zip(connections, payloads, strict=True)
        ]
        target = sink.counters if isinstance(sink, MaxPool) else sink.shape
        steps, images = max(map(len, payloads)), payloads[0].shape[1]
        result = np.empty((steps, images, *target), np.int32)

        def add_up(part: slice) -> None:
            currents = Currents(
                target, prepared, [source[:, part] for source in payloads], self._scratch
            )
            result[:, part] = currents.block(slice(0, steps))

        self._over_images(add_up, images, int(np.prod(target)))
        return result

    def fire(
        self, population: AdaFire | MaxPool, current: Array, timesteps: int, vmax: int
    ) -> Fired:
        """Spikes of one population under a current; see Simulate.fire."""
        images, shape = current.shape[1], population.shape
        saturations = np.zeros((timesteps, images), np.int64)
        low, high = _emitted_range(population, current)
        spikes = np.empty((timesteps, images, *shape), payload_type(low, high))
        membrane = np.empty((images, *shape), np.int32) if isinstance(population, AdaFire) else None

        def advance(part: slice) -> None:
            if isinstance(population, MaxPool):
                counters = Counters(population, len(current[0, part]))
                counters.advance(current[:, part], spikes[:, part])
                return
            neurons = Neurons(population, len(current[0, part]), vmax)
            emitted = np.empty((timesteps, *neurons.membrane.shape), spikes.dtype)
            flat = current[:, part].reshape(len(current), *neurons.membrane.shape)
            windowed = population.windowed
            neurons.advance(flat, None if windowed else emitted, saturations[:, part], None)
            if windowed:
                neurons.release(emitted, None)
            spikes[:, part] = emitted.reshape(timesteps, -1, *shape)
            if membrane is not None:
                membrane[part] = neurons.membrane.reshape(-1, *shape)

        self._over_images(advance, images, int(np.prod(shape)))
        return Fired(spikes, membrane, saturations.T)

    def _planned(self, program: Program) -> Plan:
        """The plan of a program; that of the last one is kept."""
        if self._plan is None or self._plan.program is not program:
            self._plan = make_plan(program)
        return self._plan

    def _over_images(self, work: Callable[[slice], None], images: int, neurons: int) -> None:
        size = max(1, min(BLOCK // max(1, neurons), -(-images // self.threads)))
        with self._one_thread_each():
            for _ in in_threads(self.threads, work, slices(images, size), Event()):
                pass

    @contextmanager
    def _one_thread_each(self) -> Iterator[None]:
        """Matrix products keep to the thread that asks for them."""
        with self._libraries.limit(limits=1, user_api="blas"):
            yield


def _emitted_range(population: AdaFire | MaxPool, current: Array) -> tuple[int, int]:
    if isinstance(population, AdaFire):
        return -population.phi, population.phi
    return (min(0, int(current.min())), max(0, int(current.max())))
