from __future__ import annotations

from graphs import Sketch

from spikec.compiler.invariants import activations_close_regions
from spikec.compiler.ir import Graph
from spikec.compiler.passes.move_activations import MOVE_ACTIVATIONS

POOL = {
    "kernel_shape": (2, 2),
    "strides": (2, 2),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "ceil_mode": 0,
}


def moved(graph: Graph) -> Graph:
    result = MOVE_ACTIVATIONS.apply(graph)
    activations_close_regions(result)
    return result


def test_a_relu_behind_a_max_pool_moves_before_it() -> None:
    sketch = Sketch(3, 8, 8).conv("a", 4).add("m", "MaxPool", shape=(4, 4, 4), **POOL)
    graph = moved(sketch.add("r", "Relu").conv("b", 2).graph())
    assert [node.name for node in graph] == ["x", "a", "r", "m", "b"]
    assert graph["r"].shape == (4, 8, 8)
    assert graph["m"].shape == (4, 4, 4)


def test_a_relu_behind_several_index_maps_moves_before_all() -> None:
    sketch = Sketch(3, 4, 4).conv("a", 4).add("t", "Transpose", shape=(4, 4, 4), perm=(0, 2, 3, 1))
    graph = moved(sketch.add("f", "Flatten", shape=(64,), axis=1).add("r", "Relu").graph())
    assert [node.name for node in graph] == ["x", "a", "r", "t", "f"]
    assert graph.output == "f"


def test_a_map_that_others_read_too_stays_before_the_relu() -> None:
    sketch = Sketch(3, 4, 4).conv("a", 4).add("f", "Flatten", shape=(64,), axis=1)
    sketch.add("r", "Relu").add("sum", "Add", ["f", "r"])
    graph = moved(sketch.graph())
    assert graph.sources("r") == ("f",)


def test_the_lower_of_two_ceilings_stays() -> None:
    sketch = Sketch(3, 4, 4).conv("a", 4).add("r", "Relu")
    sketch.add("six", "Clip", params={1: 0.0, 2: 6.0}).add("four", "Clip", params={1: 0.0, 2: 4.0})
    graph = moved(sketch.add("last", "Relu").conv("b", 2).graph())
    assert [node.name for node in graph] == ["x", "a", "last", "b"]
    assert (graph["last"].op, float(graph["last"].params[2])) == ("Clip", 4.0)


def test_a_graph_without_such_pairs_stays_as_it_is() -> None:
    graph = Sketch(3, 4, 4).conv("a", 4).add("r", "Relu").conv("b", 2).graph()
    result = moved(graph)
    assert [node.name for node in result] == [node.name for node in graph]
    assert all(result[node.name] is node for node in graph)
