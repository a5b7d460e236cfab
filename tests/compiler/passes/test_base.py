from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.errors import InvariantError, UnsupportedOpError
from spikec.compiler.ir import Graph
from spikec.compiler.passes.base import Pass, run_passes


def zeros(graph: Graph) -> np.ndarray:
    return np.zeros((1, 2), np.float32)


def graph() -> Graph:
    return Sketch(3, 4, 4).conv("a", 2).graph()


def test_passes_run_in_order_and_are_recorded() -> None:
    seen: list[str] = []

    def noting(name: str) -> Callable[[Graph], Graph]:
        def apply(graph: Graph) -> Graph:
            seen.append(name)
            return graph

        return apply

    steps = (Pass("one", noting("one")), Pass("two", noting("two")))
    _, records = run_passes(graph(), steps, zeros)
    assert seen == ["one", "two"]
    assert [(record.name, record.nodes_before) for record in records] == [("one", 2), ("two", 2)]


def test_a_condition_that_does_not_hold_stops_before_the_pass() -> None:
    def fails(graph: Graph) -> None:
        raise InvariantError("no", graph["a"].where)

    def never(graph: Graph) -> Graph:
        raise AssertionError("the pass ran")

    with pytest.raises(InvariantError) as caught:
        run_passes(graph(), (Pass("p", never, requires=(fails,)),), zeros)
    assert caught.value.where.node == "a"


def test_a_promise_that_is_not_kept_is_an_error() -> None:
    def fails(graph: Graph) -> None:
        raise InvariantError("broken", graph["a"].where)

    with pytest.raises(InvariantError):
        run_passes(graph(), (Pass("p", lambda g: g, ensures=(fails,)),), zeros)


def test_an_exact_pass_that_moves_the_outputs_is_an_error_that_names_it() -> None:
    outputs = iter([np.ones((1, 2), np.float32), np.full((1, 2), 1.001, np.float32)])
    with pytest.raises(InvariantError) as caught:
        run_passes(graph(), (Pass("drift", lambda g: g, exact=True),), lambda g: next(outputs))
    assert "drift" in caught.value.problem


def test_an_output_that_is_not_a_number_counts_as_moved() -> None:
    outputs = iter([np.ones((1, 2), np.float32), np.full((1, 2), np.nan, np.float32)])
    with pytest.raises(InvariantError):
        run_passes(graph(), (Pass("p", lambda g: g, exact=True),), lambda g: next(outputs))


def test_a_pass_that_changes_its_argument_is_an_error() -> None:
    def spoils(graph: Graph) -> Graph:
        graph._digraph.nodes["a"]["payload"] = graph["x"]
        return graph

    with pytest.raises(InvariantError):
        run_passes(graph(), (Pass("spoils", spoils),), zeros)


def test_an_error_names_the_pass_it_came_from() -> None:
    def refuses(graph: Graph) -> Graph:
        raise UnsupportedOpError("no", graph["a"].where, "do otherwise")

    with pytest.raises(UnsupportedOpError) as caught:
        run_passes(graph(), (Pass("refuses", refuses),), zeros)
    assert "in pass 'refuses'" in str(caught.value)
    assert caught.value.where.node == "a"
