"""Lava emits the integers of the golden model, on programs of every kind."""

from __future__ import annotations

import os

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from lava_programs import every_rule
from lava_runs import Task, assert_same, golden, run_in_lava
from random_programs import Case, ample_cases, cases

from spikec.backends.lava.job import LavaResults
from spikec.compiler.populations import Coding

FULL = os.environ.get("SPIKEC_FULL") == "1"
PACKED = 7
"""Programs per worker: starting one takes seconds."""


def check(drawn: list[Case], processes: str) -> None:
    """Each case as a process per layer, and as one process."""
    tasks = [
        Task(case.program, case.inputs, granularity, processes)
        for case in drawn
        for granularity in ("layer", "network")
    ]
    for task, results in zip(tasks, run_in_lava(tasks), strict=True):
        assert_same(results, golden(task), task)


@examples(3, fresh=FULL)
@given(st.lists(cases(), min_size=PACKED, max_size=PACKED))
def test_every_population_of_a_random_program_equals_the_reference(drawn: list[Case]) -> None:
    check(drawn, "own")


@pytest.mark.slow
@examples(30, fresh=FULL)
@given(st.lists(st.one_of(cases(), ample_cases()), min_size=PACKED, max_size=PACKED))
def test_hundreds_of_random_programs_equal_the_reference(drawn: list[Case]) -> None:
    check(drawn, "own")


@examples(1 if not FULL else 12, fresh=FULL)
@given(st.lists(cases(), min_size=PACKED, max_size=PACKED))
def test_random_programs_on_stock_processes_equal_the_reference(drawn: list[Case]) -> None:
    check(drawn, "stock")


def sample(results: LavaResults, number: int) -> list[np.ndarray]:
    """All integers of one sample."""
    kinds = (results.spikes, results.membranes, results.saturated)
    return [results.outputs[:, number], *(v[:, number] for kind in kinds for v in kind.values())]


@pytest.mark.parametrize(
    "coding", [Coding.DIRECT, pytest.param(Coding.FRAMES, marks=pytest.mark.slow)]
)
def test_twenty_samples_in_one_run_are_twenty_runs(coding: Coding) -> None:
    program = every_rule(coding)
    shape = (20, 3, 1, 4) if coding is Coding.FRAMES else (20, 1, 4)
    inputs = np.random.default_rng(0).integers(-15, 16, shape)
    whole = [Task(program, inputs, granularity) for granularity in ("layer", "network")]
    single = [Task(program, inputs[n : n + 1], "network") for n in range(20)]
    found = run_in_lava([*whole, *single])
    for task, results in zip(whole, found, strict=False):
        assert_same(results, golden(task), task)
        for number, one in enumerate(found[2:]):
            for ours, theirs in zip(sample(results, number), sample(one, 0), strict=True):
                np.testing.assert_array_equal(ours, theirs)
