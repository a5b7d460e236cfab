from __future__ import annotations

import math

import numpy as np
import pytest
from searches import quantized, two_branches

from spikec.compiler.options import CompileOptions
from spikec.compiler.search.leaving import leaving_step
from spikec.compiler.search_options import SearchOptions


@pytest.mark.parametrize("loss", [1.0, 10.0, 30.0])
def test_margins_that_grow_let_images_leave_at_the_mean_of_their_steps(loss: float) -> None:
    options = CompileOptions(timesteps=8, phi=4, search=SearchOptions(compression=True))
    graph, study = quantized(two_branches(1.0), options)
    potentials, scale = study.judge.readouts(graph)
    classes = study.judge.expected.argmax(axis=1)
    right = potentials.argmax(axis=-1) == classes
    step = leaving_step(graph, study.judge, loss)
    assert 1 <= step <= 8
    # No rule can let images leave before they are right for the first time and lose none of them.
    needed = np.where(right.any(axis=0), right.argmax(axis=0) + 1, 1)
    allowed = math.floor(loss / 100 * right.shape[1])
    assert step >= np.sort(needed)[: right.shape[1] - allowed].mean()
    assert scale > 0


def test_more_loss_lets_images_leave_no_later() -> None:
    options = CompileOptions(timesteps=8, phi=1, search=SearchOptions(compression=True))
    graph, study = quantized(two_branches(1.0), options)
    steps = [leaving_step(graph, study.judge, loss) for loss in (0.1, 5.0, 40.0)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < 8


def test_potentials_are_those_after_every_step() -> None:
    options = CompileOptions(timesteps=6, phi=2, search=SearchOptions(compression=True))
    graph, study = quantized(two_branches(1.0), options)
    potentials, _ = study.bench.readouts(graph)
    for step in (1, 4, 6):
        _, totals = study.bench.lasting(step).run(graph)
        assert np.array_equal(potentials[step - 1], totals.outputs)
