"""A program with copies tells what its ANN multiplies, which is less than its own layers would."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Sketch

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.macs import connection_macs, network_macs
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.program import Program

IMAGES = np.random.default_rng(0).normal(0, 1, (32, 3, 8, 8)).astype(np.float32)


def networks() -> dict[str, Sketch]:
    stem = lambda: Sketch(3, 8, 8).conv("stem", 8).add("r", "Relu")  # noqa: E731
    pool = {"kernel_shape": (2, 2), "strides": (2, 2)}
    return {
        "a residual sum": stem().conv("a", 8).add("sum", "Add", ["a", "r"]).add("q", "Relu"),
        "each channel by itself": stem().conv("d", 8, groups=8).add("q", "Relu").conv("p", 5),
        "strides and groups": stem().conv("d", 6, stride=2, groups=2).add("q", "Relu").conv("p", 5),
        "a mean in front": stem()
        .add("m", "AveragePool", shape=(8, 4, 4), **pool)
        .conv("p", 5)
        .add("q", "Relu"),
    }


def compiled(sketch: Sketch, extra: float) -> Program:
    model = from_graph(sketch.graph(), [sketch.graph().output])
    options = CompileOptions(timesteps=4, phi=1, windowed=True, extra_neurons=extra)
    loaded = load_graph(model, simplified=False)
    return compile_graph(loaded, IMAGES, options, SimulatorBackend()).program


@pytest.mark.parametrize("name", networks())
def test_copies_do_not_count_as_work_of_the_ann(name: str) -> None:
    plain, wider = (compiled(networks()[name], extra) for extra in (0.0, 1.0))
    assert "copies" in wider.provenance
    assert network_macs(wider) == network_macs(plain)

    def own(program: Program) -> int:
        return sum(connection_macs(program, connection) for connection in program.connections)

    assert own(plain) == sum(sum(into.values()) for into in network_macs(plain).values())
    assert own(wider) > own(plain)
