from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch

from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.invariants import neurons_placed
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.paths import current_paths
from spikec.compiler.populations import Fire

POOL = {
    "kernel_shape": (2, 2),
    "strides": (2, 2),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "ceil_mode": 0,
}


def placed(graph: Graph, **options: object) -> Graph:
    result = place_neurons(CompileOptions(**options)).apply(graph)  # type: ignore[arg-type]
    neurons_placed(result)
    return result


def kinds(graph: Graph) -> dict[str, str]:
    return {node.name: node.neuron.kind for node in graph if node.neuron is not None}


def rules(graph: Graph) -> dict[str, Fire]:
    return {
        node.name: node.neuron.fire
        for node in graph
        if node.neuron is not None and node.neuron.kind == "adafire"
    }


def test_a_relu_is_a_population_of_the_rule_asked_for() -> None:
    graph = placed(
        Sketch(3, 8, 8).conv("c", 4).add("r", "Relu").conv("d", 2).graph(), phi=3, fire="retract"
    )
    assert kinds(graph) == {"x": "input", "r": "adafire", "d": "readout"}
    neuron = graph["r"].neuron
    assert neuron is not None
    assert (neuron.phi, neuron.fire, neuron.windowed) == (3, Fire.RETRACT, False)


def test_a_clip_bounds_its_threshold() -> None:
    sketch = Sketch(3, 8, 8).conv("c", 4).add("r", "Clip", params={1: 0.0, 2: 6.0})
    neuron = placed(sketch.conv("d", 2).graph())["r"].neuron
    assert neuron is not None
    assert neuron.ceiling == 6.0


def test_scales_and_shifts_at_the_input_belong_to_its_encoding() -> None:
    sketch = Sketch(3, 8, 8).add("mean", "Sub", params={1: 0.5}).add("std", "Div", params={1: 0.2})
    graph = placed(sketch.conv("c", 4).graph())
    assert kinds(graph) == {"std": "input", "c": "readout"}


def test_a_layer_behind_a_layer_gets_a_signed_population_between() -> None:
    graph = placed(Sketch(3, 8, 8).conv("a", 4).conv("b", 5).conv("c", 2).graph())
    assert rules(graph) == {"a": Fire.SIGNED, "b": Fire.SIGNED}


def test_an_index_map_behind_a_linear_bottleneck_stays_an_index_map() -> None:
    sketch = Sketch(3, 4, 4).conv("a", 4).add("f", "Flatten", shape=(64,), axis=1).gemm("g", 5)
    assert rules(placed(sketch.graph())) == {"a": Fire.SIGNED}


def test_a_current_that_two_nodes_read_gets_a_signed_population() -> None:
    sketch = Sketch(3, 8, 8).conv("stem", 4).add("r", "Relu").conv("b1", 4)
    sketch.conv("wide", 8, kernel=1).add("r2", "Relu").conv("b2", 4, kernel=1)
    sketch.add("sum", "Add", ["b1", "b2"]).conv("head", 2)
    assert rules(placed(sketch.graph())) == {
        "r": Fire.PLAIN,
        "b1": Fire.SIGNED,
        "r2": Fire.PLAIN,
        "sum": Fire.SIGNED,
    }


def test_a_residual_block_has_one_population_behind_its_add() -> None:
    sketch = Sketch(3, 8, 8).conv("stem", 4).add("r", "Relu").conv("a", 4).add("ra", "Relu")
    sketch.conv("b", 4).add("sum", "Add", ["b", "r"]).add("out", "Relu").conv("head", 2)
    graph = placed(sketch.graph())
    assert rules(graph) == dict.fromkeys(("r", "ra", "out"), Fire.PLAIN)
    assert {path.source for path in current_paths(graph, "out")} == {"ra", "r"}


def test_a_max_pool_reads_payloads_directly() -> None:
    sketch = Sketch(3, 8, 8).conv("a", 4).add("r", "Relu")
    sketch.add("m", "MaxPool", shape=(4, 4, 4), **POOL).conv("b", 2)
    assert kinds(placed(sketch.graph())) == {
        "x": "input",
        "r": "adafire",
        "m": "max_pool",
        "b": "readout",
    }


def test_a_max_pool_over_a_current_gets_a_signed_population_before_it() -> None:
    sketch = Sketch(3, 8, 8).conv("a", 4).add("m", "MaxPool", shape=(4, 4, 4), **POOL).conv("b", 2)
    assert rules(placed(sketch.graph())) == {"a": Fire.SIGNED}


def test_a_population_at_the_output_gets_a_read_out_of_its_own() -> None:
    graph = placed(Sketch(3, 8, 8).conv("a", 4).add("r", "Relu").graph())
    assert kinds(graph) == {"x": "input", "r": "adafire", "r_readout": "readout"}
    assert graph.output == "r_readout"


def test_the_read_out_stands_in_front_of_the_tail() -> None:
    sketch = Sketch(8).gemm("a", 6).add("r", "Relu").gemm("b", 5)
    sketch.add("s", "Softmax", axis=1).add("m", "ArgMax", shape=(1,), axis=1, keepdims=1)
    graph = placed(sketch.graph())
    assert kinds(graph)["b"] == "readout"
    assert "s" not in kinds(graph)


def test_a_population_in_front_of_the_tail_gets_a_read_out_between() -> None:
    graph = placed(Sketch(8).gemm("a", 6).add("r", "Relu").add("s", "Softmax", axis=1).graph())
    assert kinds(graph)["r_readout"] == "readout"
    assert graph.sources("s") == ("r_readout",)


def test_a_softmax_inside_the_network_is_refused_by_name() -> None:
    sketch = Sketch(8).gemm("a", 6).add("s", "Softmax", axis=1).gemm("b", 5)
    with pytest.raises(UnsupportedOpError) as caught:
        placed(sketch.graph())
    assert caught.value.where.node == "s"


def test_channels_that_a_reshape_mixes_share_one_threshold() -> None:
    sketch = Sketch(4, 6, 6).conv("a", 4).add("r", "Relu")
    sketch.add("t", "Transpose", shape=(6, 4, 6), perm=(0, 2, 1, 3)).conv("b", 3)
    neuron = placed(sketch.graph())["r"].neuron
    assert neuron is not None
    assert not neuron.per_channel


def test_channels_that_only_a_dense_layer_reads_keep_their_thresholds() -> None:
    sketch = Sketch(4, 6, 6).conv("a", 4).add("r", "Relu")
    sketch.add("f", "Flatten", shape=(144,), axis=1).gemm("b", 3)
    neuron = placed(sketch.graph())["r"].neuron
    assert neuron is not None
    assert neuron.per_channel


def test_a_normalisation_that_differs_within_a_channel_of_the_next_layer_is_refused() -> None:
    sketch = Sketch(4, 6, 6).conv("a", 4).add("r", "Relu")
    sketch.add("m", "Mul", params={1: np.arange(1.0, 7.0)}).conv("b", 3)
    with pytest.raises(UnsupportedOpError) as caught:
        placed(sketch.graph())
    assert caught.value.where.node == "m"
