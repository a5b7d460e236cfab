"""A job as Lava processes, joined: one per population and connection, or one for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from job_file import Connection, Job, Population
from joining import join
from kernels.link import Link
from kernels.network import Network as NetworkSteps
from kernels.network import Node
from kernels.populations import AdaFire, MaxPool, Readout, Source
from lava.magma.core.process.process import AbstractProcess
from processes.connections import Network
from processes.neurons import AdaFire as AdaFireProcess
from processes.neurons import HoldSource
from processes.neurons import MaxPool as MaxPoolProcess
from processes.neurons import Readout as ReadoutProcess


def assembled(job: Job, error_file: str | None) -> tuple[AbstractProcess, ...]:
    """All processes of a job, the source first; a failing one of ours reports in the file."""
    if job.granularity == "network":
        return _whole(job, error_file)
    return _by_layer(job, error_file)


def _by_layer(job: Job, error_file: str | None) -> tuple[AbstractProcess, ...]:
    populations = [_process(population, error_file) for population in job.populations]
    connections = [
        join(populations[c.source], populations[c.sink], c.link, name=c.name, error_file=error_file)
        for c in job.connections
    ]
    return (*populations, *connections)


def _process(population: Population, error_file: str | None) -> AbstractProcess:
    name = population.name
    match population.steps:
        case Source() as steps:
            return HoldSource(steps, name=name, error_file=error_file)
        case AdaFire() as steps:
            return AdaFireProcess(steps, name=name, error_file=error_file)
        case MaxPool() as steps:
            return MaxPoolProcess(steps, name=name, error_file=error_file)
        case Readout() as steps:
            return ReadoutProcess(steps, name=name, error_file=error_file)


def _whole(job: Job, error_file: str | None) -> tuple[AbstractProcess, ...]:
    source = _process(job.populations[0], error_file)
    network = Network(network_steps(job), name="network", error_file=error_file)
    readout = _process(job.populations[-1], error_file)
    source.s_out.connect(network.s_in)
    network.a_out.connect(readout.a_in)
    return source, network, readout


def network_steps(job: Job) -> NetworkSteps:
    """The populations between input and read-out, with all links."""
    places = range(len(job.populations))
    into = {place: _links(c for c in job.connections if c.sink == place) for place in places}
    out_of = {place: _links(c for c in job.connections if c.source == place) for place in places}
    nodes = [
        Node(population.steps, into[place], out_of[place])
        for place, population in enumerate(job.populations)
        if isinstance(population.steps, (AdaFire, MaxPool))
    ]
    return NetworkSteps(job.populations[0].steps.shape, out_of[0], nodes, into[places[-1]])


def _links(connections: Iterable[Connection]) -> tuple[Link, ...]:
    return tuple(c.link for c in connections if isinstance(c.link, Link))
