"""Pass: a named, pure step from graph to graph, with checked conditions before and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.arrays import Float32
from spikec.compiler.errors import CompileError, InvariantError
from spikec.compiler.ir import Graph

Invariant = Callable[[Graph], None]
"""Raises InvariantError naming the first node that breaks it."""

EXACT_TOLERANCE = 1e-4
"""Largest change of the ANN's outputs by an exact pass, relative to their largest magnitude:
float32 sums in another order differ by about 1e-6, a wrong rewrite by more than 1e-2."""


@dataclass(frozen=True)
class Pass:
    """One step of the compiler.

    Attributes:
        name: Kebab-case.
        apply: Graph → Graph; never changes its argument.
        requires: True before.
        ensures: True afterwards.
        exact: Whether the ANN's outputs must not move.
    """

    name: str
    apply: Callable[[Graph], Graph]
    requires: tuple[Invariant, ...] = ()
    ensures: tuple[Invariant, ...] = ()
    exact: bool = False


@dataclass(frozen=True)
class PassRecord:
    """What a pass did: nodes before and after, and seconds."""

    name: str
    nodes_before: int
    nodes_after: int
    seconds: float


def run_passes(
    graph: Graph,
    passes: Sequence[Pass],
    outputs: Callable[[Graph], Float32],
    started: Callable[[str], None] = lambda name: None,
) -> tuple[Graph, tuple[PassRecord, ...]]:
    """Run passes in order; every condition and promise is checked.

    Args:
        graph: Where to start.
        passes: In order.
        outputs: The ANN's outputs on one batch, asked before the first and after each pass if one
            of them is exact; an exact pass is compared with what stood before it.
        started: Told of each pass's name.

    Raises:
        InvariantError: A condition does not hold, or an exact pass moved the outputs.
        CompileError: As raised by a pass, with a note that names it.
    """
    expected = outputs(graph) if any(step.exact for step in passes) else None
    records = []
    for step in passes:
        started(step.name)
        begun = time.perf_counter()
        before = len(graph)
        try:
            graph = _run(graph, step)
        except CompileError as error:
            error.add_note(f"in pass '{step.name}'")
            raise
        if expected is not None:
            expected = _moved_outputs(step, expected, outputs(graph))
        records.append(PassRecord(step.name, before, len(graph), time.perf_counter() - begun))
    return graph, tuple(records)


def _run(graph: Graph, step: Pass) -> Graph:
    for invariant in step.requires:
        invariant(graph)
    payloads = {node.name: node for node in graph}
    result = step.apply(graph)
    changed = [name for name, node in payloads.items() if graph[name] is not node]
    if changed:
        raise InvariantError(f"pass '{step.name}' changed node '{changed[0]}' of its argument")
    for invariant in step.ensures:
        invariant(result)
    return result


def _moved_outputs(step: Pass, expected: Float32, actual: Float32) -> Float32:
    """What later passes are compared with: an exact pass must not move it, another one may."""
    if not step.exact:
        return actual
    size = max(float(np.abs(expected).max(initial=0.0)), 1e-30)
    moved = float(np.abs(expected - actual).max(initial=0.0)) / size
    if not moved <= EXACT_TOLERANCE:
        raise InvariantError(
            f"pass '{step.name}' moved the network's outputs by {moved:.2g} of their magnitude; "
            f"at most {EXACT_TOLERANCE:g} is rounding",
            hint="please report this model",
        )
    return expected
