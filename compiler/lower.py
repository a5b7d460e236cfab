"""Annotated graph → Program."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.compiler.tail import tail_ops


def lower(
    graph: Graph,
    options: CompileOptions,
    preprocessing: Preprocessing | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Program:
    """The program of a graph whose populations have their integers.

    Raises:
        ProgramError: The integers break the contract.
        BoundError: A current cannot be proved to fit 32 bits.
    """
    quantized = [node.quantized for node in graph if node.quantized is not None]
    return Program(
        populations=tuple(part.population for part in quantized),
        connections=tuple(c for part in quantized for c in part.connections),
        timesteps=options.timesteps,
        membrane_bits=options.membrane_bits,
        tail=tail_ops(graph),
        preprocessing=preprocessing,
        provenance=provenance or {},
    )


def currents_proved(options: CompileOptions) -> Callable[[Graph], None]:
    """The invariant that the graph lowers to a valid program, every current within 32 bits."""

    def check(graph: Graph) -> None:
        lower(graph, options)

    return check
