from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from equal_runs import assert_equal, names
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_programs import Case, cases
from tiny_programs import tiny_program, with_population

from spikec.backends.base import Backend, BackendRun
from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.backends.simulator.backend import Engine
from spikec.compiler.arrays import Array
from spikec.compiler.exit_rule import NEVER, ExitRule, ExitScore
from spikec.compiler.populations import Coding
from spikec.compiler.program import Program
from spikec.runtime.encode import quantise
from spikec.runtime.evaluate import evaluate
from spikec.runtime.exits import run_until_exit, whole_runs
from spikec.runtime.operations import Operation, layer_operations
from spikec.runtime.session import Session, run
from spikec.runtime.tables import exit_rows, summary_rows

IMAGES = np.random.default_rng(0).integers(-100, 100, (19, 1, 4, 4)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, 19)
RULE = ExitRule(ExitScore.MARGIN, (50, NEVER, 100, 110, 130))
PROGRAM = tiny_program(timesteps=6, exit_rule=RULE)
LONG = tiny_program(
    timesteps=14,
    exit_rule=ExitRule(ExitScore.MARGIN, (*[NEVER] * 3, *range(160, 340, 20), 400)),
)
BACKENDS: tuple[Backend, ...] = (
    ReferenceBackend(),
    SimulatorBackend(1),
    SimulatorBackend(3, engine=Engine.DENSE),
)


def exits_by_hand(program: Program, inputs: Array) -> list[int]:
    """The step after which each image leaves, from all T steps of the golden model."""
    rule = program.exit_rule
    assert rule is not None
    found = []
    for v in ReferenceBackend().run(program, inputs).readout:
        rows = v.reshape(len(v), -1).tolist()
        margins = [sorted(row)[-1] - sorted(row)[-2] for row in rows]
        steps = range(1, program.timesteps)
        above = [t for t in steps if margins[t - 1] > rule.thresholds[t - 1]]
        found.append(above[0] if above else program.timesteps)
    return found


def totals(found: BackendRun, image: int) -> list[int]:
    """Everything that a run counted for one image, over all steps."""
    of_populations = [
        int(counts[image].sum())
        for name in sorted(found.populations)
        for counts in (
            found.populations[name].events,
            found.populations[name].spikes,
            found.populations[name].saturations,
        )
    ]
    return of_populations + [
        int(counts[image].sum())
        for c in found.connections
        for counts in (c.events, c.spikes, c.zero_events, c.zero_spikes)
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", [PROGRAM, LONG])
def test_an_image_spends_what_a_program_of_so_many_steps_spends(
    program: Program, backend: Backend
) -> None:
    inputs = quantise(program, IMAGES)
    found, exits = run_until_exit(backend, program, inputs)
    assert exits.tolist() == exits_by_hand(program, inputs)
    assert len({*exits.tolist()}) >= 4
    for i, t in enumerate(exits.tolist()):
        short = replace(program, timesteps=t, exit_rule=None)
        alone = ReferenceBackend().run(short, inputs[i : i + 1])
        assert totals(found, i) == totals(alone, 0)
        assert np.array_equal(found.readout[i, :t], alone.readout[0])
        assert not found.readout[i, t:].any()


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(cases(), st.integers(0, 2**32 - 1))
def test_stepping_and_cutting_give_the_same_integers(case: Case, seed: int) -> None:
    program = case.program
    assume(program.readout.shape == (3,))
    assume(program.timesteps > 1)
    v = np.sort(ReferenceBackend().run(program, case.inputs).readout, axis=-1)
    margins = (v[..., -1] - v[..., -2]).reshape(-1)
    drawn = np.random.default_rng(seed).choice(margins, program.timesteps - 1)
    program = replace(program, exit_rule=ExitRule(ExitScore.MARGIN, tuple(drawn.tolist())))
    found, exits = run_until_exit(SimulatorBackend(2), program, case.inputs)
    expected, others = run_until_exit(ReferenceBackend(), program, case.inputs)
    assert exits.tolist() == others.tolist() == exits_by_hand(program, case.inputs)
    assert_equal(found, expected)
    if program.input.coding is Coding.DIRECT and not whole_runs(program).updated:
        short = replace(program, timesteps=int(exits[0]), exit_rule=None)
        alone = ReferenceBackend().run(short, case.inputs[:1])
        assert totals(found, 0) == totals(alone, 0)


@pytest.mark.parametrize("score", [ExitScore.CONFIDENCE, ExitScore.ENTROPY])
def test_real_scores_give_the_same_exits_on_every_backend(score: ExitScore) -> None:
    populations = with_population("scores", scale=np.array([0.01])).populations
    entropies = (0.05, 0.2, 0.1, 0.35, 0.5)
    alphas = entropies if score is ExitScore.ENTROPY else (0.7, 0.9, 1.2, 0.9, 1.2)
    rule = ExitRule(score, alphas)
    program = tiny_program(timesteps=6, populations=populations, exit_rule=rule)
    runs = [run(program, IMAGES, backend) for backend in BACKENDS]
    assert all(found.exits is not None for found in runs)
    lists = [found.exits.tolist() for found in runs if found.exits is not None]
    assert lists[0] == lists[1] == lists[2]
    assert len({*lists[0]}) > 1


def test_a_window_is_spent_whole_and_what_comes_behind_it_is_not() -> None:
    populations = with_population("hidden", windowed=True).populations
    program = tiny_program(timesteps=6, populations=populations, exit_rule=RULE)
    assert whole_runs(program).emitting == {"image"}
    assert whole_runs(program).updated == {"image", "hidden"}
    whole = ReferenceBackend().run(program, quantise(program, IMAGES))
    result = run(program, IMAGES)
    exits = exits_by_hand(program, quantise(program, IMAGES))
    assert result.exits is not None
    assert result.exits.tolist() == exits
    assert min(exits) < 6
    counts = result.counts
    assert np.array_equal(counts["image"].events, whole.populations["image"].events)
    assert np.array_equal(counts["hidden"].analog, whole.connections[0].events)
    for i, t in enumerate(exits):
        spikes = whole.populations["hidden"].spikes[i]
        assert counts["hidden"].spikes[i].tolist() == [*spikes[:t], *[0] * (6 - t)]
    assert counts["hidden"].steps_run == 19 * 6
    assert counts["scores"].steps_run == sum(exits)


def test_outputs_are_means_up_to_the_exit_and_stay_as_they_are() -> None:
    result = run(PROGRAM, IMAGES)
    readout = ReferenceBackend().run(PROGRAM, quantise(PROGRAM, IMAGES)).readout
    assert result.exits is not None
    for i, t in enumerate(result.exits.tolist()):
        mean = (readout[i, t - 1] / t).astype(np.float32)
        assert np.array_equal(result.outputs[i], mean)
        assert (result.outputs_by_step[i, t - 1 :] == mean).all()
    assert result.predictions is not None
    assert result.predictions.tolist() == result.outputs.argmax(axis=1).tolist()


def test_recorded_spikes_and_counts_stop_at_the_exit() -> None:
    result = run(PROGRAM, IMAGES, record=["hidden"])
    plain = run(PROGRAM, IMAGES)
    everything = ReferenceBackend().run(PROGRAM, quantise(PROGRAM, IMAGES), record=names(PROGRAM))
    assert result.exits is not None
    for i, t in enumerate(result.exits.tolist()):
        assert np.array_equal(result.spikes["hidden"][i, :t], everything.spikes["hidden"][i, :t])
        assert not result.spikes["hidden"][i, t:].any()
    for name, layer in plain.counts.items():
        assert np.array_equal(layer.spikes, result.counts[name].spikes)
        assert layer.steps_run == result.counts[name].steps_run == result.exits.sum()


def test_exits_can_be_switched_off() -> None:
    plain = replace(PROGRAM, exit_rule=None)
    off, without = run(PROGRAM, IMAGES, exit=False), run(plain, IMAGES)
    assert off.exits is None
    assert np.array_equal(off.outputs_by_step, without.outputs_by_step)
    ours = evaluate(PROGRAM, IMAGES, LABELS, exit=False).to_dict() | {"digest": ""}
    assert ours == evaluate(plain, IMAGES, LABELS).to_dict() | {"digest": ""}
    assert ours["mean_timesteps"] == 6
    assert ours["exit_histogram"] == []


def test_batches_threads_and_backends_do_not_change_a_report() -> None:
    reports = [
        evaluate(PROGRAM, IMAGES, LABELS, backend=backend, batch_size=size)
        for backend, size in ((BACKENDS[0], 19), (BACKENDS[1], 4), (SimulatorBackend(3), 7))
    ]
    first, *others = ({**report.to_dict(), "backend": ""} for report in reports)
    assert all(other == first for other in others)


def test_a_report_counts_who_left_when_and_what_was_spent() -> None:
    exits = exits_by_hand(PROGRAM, quantise(PROGRAM, IMAGES))
    readout = ReferenceBackend().run(PROGRAM, quantise(PROGRAM, IMAGES)).readout
    report = evaluate(PROGRAM, IMAGES, LABELS)
    assert report.exit_histogram == tuple(exits.count(t) for t in range(1, 7))
    assert report.mean_timesteps == pytest.approx(sum(exits) / 19)
    right = [
        sum(int(readout[i, min(t, exits[i]) - 1].argmax()) == LABELS[i] for i in range(19)) / 19
        for t in range(1, 7)
    ]
    assert report.accuracy_by_step == pytest.approx(right)
    assert report.accuracy == pytest.approx(right[-1])
    hidden = report.layers[1]
    assert hidden.neuron_updates == 32 * sum(exits)
    assert hidden.firing_rate == hidden.spikes.sum() / (32 * sum(exits))
    _, first, _, _ = layer_operations(PROGRAM, report.layers)
    assert first.numbers[Operation.NEURON_UPDATES] == 32 * sum(exits) / 19
    once = first.numbers[Operation.FIRST_LAYER_MACS]
    every = first.numbers[Operation.FIRST_LAYER_MACS_EVERY_STEP]
    assert every == pytest.approx(once * sum(exits) / 19)
    snn = report.energy[1].estimates[0].total_pj
    assert snn < evaluate(PROGRAM, IMAGES, exit=False).energy[1].estimates[0].total_pj
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["exit_histogram"] == list(report.exit_histogram)
    assert content["mean_timesteps"] == report.mean_timesteps


def test_rows_show_how_many_left_after_each_step() -> None:
    report = evaluate(PROGRAM, IMAGES, LABELS)
    assert exit_rows(report) == [("t = 1 … 6", *map(str, report.exit_histogram))]
    assert "mean time steps" in dict(summary_rows(report))
    long = replace(report, timesteps=130, exit_histogram=tuple(range(130)))
    cells = [int(cell) for row in exit_rows(long) for cell in row[1:] if cell]
    assert sum(cells) == sum(range(130))
    assert cells[:2] == [0, 1 + 2 + 3]


def test_nothing_is_computed_for_images_that_have_left() -> None:
    class Watched(SimulatorBackend):
        """Notes how many images each piece of time has."""

        def start(self, program: Program, inputs: Array):  # type: ignore[no-untyped-def]
            session = super().start(program, inputs)
            advance = session.advance

            def noted(steps: int) -> BackendRun:
                pieces.append((steps, session.images))
                return advance(steps)

            session.advance = noted  # type: ignore[method-assign]
            return session

    pieces: list[tuple[int, int]] = []
    Session(PROGRAM, Watched(1)).run(IMAGES)
    exits = exits_by_hand(PROGRAM, quantise(PROGRAM, IMAGES))
    assert pieces == [(1, sum(t > stop for t in exits)) for stop in range(6)]
    pieces.clear()
    Session(LONG, Watched(1)).run(IMAGES)
    exits = exits_by_hand(LONG, quantise(LONG, IMAGES))
    stops = (0, 4, 7, 10, 13)
    assert pieces == [
        (steps, sum(t > stop for t in exits))
        for steps, stop in zip((4, 3, 3, 3, 1), stops, strict=True)
    ]
