"""A program tells in words which channels carry copies of others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch

from spikec import compile as compile_model
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.program import Program
from spikec.runtime.copied_channels import added_neurons, copy_rows
from spikec.runtime.inspection import head_rows, program_dict

IMAGES = np.random.default_rng(0).normal(0, 1, (32, 2, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def program() -> Program:
    sketch = Sketch(2, 8, 8).conv("stem", 4).add("r", "Relu").conv("a", 4).add("ra", "Relu")
    model = from_graph(
        sketch.add("flat", "Flatten", shape=(256,)).gemm("scores", 3).graph(), ["scores"]
    )
    return compile_model(model, IMAGES, timesteps=4, phi=1, extra_neurons=0.5, simplify=False)


def test_inspecting_tells_how_many_channels_and_neurons(program: Program) -> None:
    copies = json.loads(program.provenance["copies"])
    rows = dict(head_rows(program))
    number = sum(len(copy_of) - 4 for copy_of in copies.values())
    assert added_neurons(program) == 64 * number
    assert rows["copies of channels"].startswith(f"{number} in ")
    assert rows["copies of channels"].endswith(f", {64 * number:,} neurons more")
    assert not {"copies", "added neurons", "network macs"} & set(rows)


def test_the_anns_work_is_that_of_the_network(program: Program) -> None:
    """3×3 taps inside 8×8 pixels: 22² of them per pair of channels."""
    macs = 22**2 * (2 * 4 + 4 * 4) + 256 * 3
    assert program_dict(program)["macs"] == macs


def test_a_program_without_copies_has_no_such_line(program: Program) -> None:
    plain = replace(program, provenance={})
    assert copy_rows(plain) == []
    assert "copies of channels" not in dict(head_rows(plain))
