"""Connections between populations, as processes of ours or of Lava."""

from __future__ import annotations

from kernels.link import Link
from lava.magma.core.process.process import AbstractProcess
from processes.connections import Link as LinkProcess
from stock import StockConv, StockMatrix


def join(
    source: AbstractProcess,
    sink: AbstractProcess,
    link: Link | StockMatrix | StockConv,
    *,
    name: str,
    error_file: str | None = None,
) -> AbstractProcess:
    """Put a connection between two populations; its process.

    Args:
        source: Has an out-port ``s_out``.
        sink: Has an in-port ``a_in``.
        link: What the connection computes.
        name: Of the process.
        error_file: Where a failing process of ours says why.
    """
    if isinstance(link, Link):
        process = LinkProcess(link, name=name, error_file=error_file)
        source.s_out.connect(process.s_in)
        process.a_out.connect(sink.a_in)
    else:
        process = link.process(name)
        link.join(source.s_out, process, sink.a_in)
    return process
