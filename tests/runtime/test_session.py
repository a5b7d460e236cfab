from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spikec.backends.base import Backend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.arrays import Array
from spikec.compiler.errors import InputError, OptionError
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program, TailOp
from spikec.runtime import session as sessions
from spikec.runtime.encode import quantise
from spikec.runtime.session import Session, backend_named, batch_size_for, run


def test_a_run_decodes_the_read_out_of_its_backend(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    raw = plain_loops.run(program, quantise(program, images))
    result = run(program, images, plain_loops)
    assert result.outputs.dtype == np.float32
    np.testing.assert_allclose(result.outputs, raw.readout[:, -1] * 0.25 / 4)
    np.testing.assert_allclose(result.outputs_by_step[:, 0], raw.readout[:, 0] * 0.25)
    assert result.predictions is not None
    np.testing.assert_array_equal(result.predictions, raw.readout[:, -1].argmax(axis=1))


def test_counts_are_per_layer_image_and_step(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    raw = plain_loops.run(program, quantise(program, images))
    counts = run(program, images, plain_loops).counts
    assert list(counts) == ["pixels", "hidden", "scores"]
    hidden, scores = counts["hidden"], counts["scores"]
    np.testing.assert_array_equal(hidden.spikes, raw.populations["hidden"].spikes)
    np.testing.assert_array_equal(hidden.analog, raw.connections[0].events)
    np.testing.assert_array_equal(scores.unary, raw.connections[1].spikes)
    np.testing.assert_array_equal(scores.graded_zero, raw.connections[1].zero_events)
    assert hidden.graded.sum() == scores.analog.sum() == 0
    assert (counts["pixels"].neuron_updates, hidden.neuron_updates) == (0, 23 * 4 * 4)
    rate = raw.populations["hidden"].spikes.sum() / (23 * 4 * 4)
    assert hidden.firing_rate == pytest.approx(rate)


def test_batches_do_not_change_the_result(
    program: Program,
    plain_loops: Backend,
    images: Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = run(program, images, plain_loops, ["hidden"])
    monkeypatch.setattr(sessions, "batch_size_for", lambda program: 5)
    seen: list[tuple[int, int]] = []
    parts = Session(program, plain_loops).run(
        images, ["hidden"], lambda done, n: seen.append((done, n))
    )
    np.testing.assert_array_equal(parts.outputs_by_step, whole.outputs_by_step)
    np.testing.assert_array_equal(parts.spikes["hidden"], whole.spikes["hidden"])
    np.testing.assert_array_equal(parts.membranes["hidden"], whole.membranes["hidden"])
    np.testing.assert_array_equal(parts.counts["hidden"].events, whole.counts["hidden"].events)
    assert parts.counts["hidden"].images == 23
    assert seen == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]


def test_results_are_what_the_model_returns(
    make_program: Callable[..., Program], plain_loops: Backend, images: Array
) -> None:
    program = make_program(tail=(TailOp("Softmax"),))
    result = run(program, images, plain_loops)
    np.testing.assert_allclose(result.results.sum(axis=1), 1, rtol=1e-6)
    assert result.predictions is not None
    np.testing.assert_array_equal(result.results.argmax(axis=1), result.predictions)


def test_raw_inputs_are_preprocessed(
    make_program: Callable[..., Program], plain_loops: Backend, images: Array
) -> None:
    bytes_ = np.rint((images + 1) * 127).astype(np.uint8)
    steps = Preprocessing(scale=1 / 127, mean=(1.0,))
    stored = run(make_program(preprocessing=steps), bytes_, plain_loops)
    ready = (bytes_ * np.float32(1 / 127) - np.float32(1)).astype(np.float32)
    np.testing.assert_array_equal(stored.outputs, run(make_program(), ready, plain_loops).outputs)


def test_only_recorded_populations_have_spikes(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    assert not run(program, images, plain_loops).spikes
    assert list(run(program, images, plain_loops, "hidden").spikes) == ["hidden"]


def test_an_unknown_layer_is_refused_by_name(
    program: Program, plain_loops: Backend, images: Array
) -> None:
    with pytest.raises(OptionError) as caught:
        run(program, images, plain_loops, ["conv1"])
    assert caught.value.where.node == "conv1"
    assert "hidden" in caught.value.hint


def test_no_images_are_refused(program: Program, plain_loops: Backend) -> None:
    with pytest.raises(InputError, match="no images"):
        run(program, np.zeros((0, 3)), plain_loops)


def test_progress_counts_all_images(
    program: Program, images: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "batch_size_for", lambda program: 10)
    told: list[tuple[int, int]] = []
    Session(program, "reference").run(
        images, progress=lambda done, total: told.append((done, total))
    )
    assert sorted(set(told)) == [(10, 23), (20, 23), (23, 23)]
    assert told == sorted(told)


def test_an_unknown_backend_is_refused(program: Program) -> None:
    with pytest.raises(OptionError, match="'gpu'") as caught:
        Session(program, "gpu")
    assert "simulator" in caught.value.hint


@pytest.mark.parametrize("backend", ["simulator", "reference"])
def test_shipped_backends_equal_plain_loops(
    program: Program, plain_loops: Backend, images: Array, backend: str
) -> None:
    expected = run(program, images, plain_loops, ["hidden"])
    actual = run(program, images, backend, ["hidden"])
    np.testing.assert_array_equal(actual.outputs_by_step, expected.outputs_by_step)
    np.testing.assert_array_equal(actual.spikes["hidden"], expected.spikes["hidden"])
    np.testing.assert_array_equal(actual.membranes["hidden"], expected.membranes["hidden"])
    for name, counts in expected.counts.items():
        for field in ("events", "spikes", "graded", "unary", "unary_zero", "analog"):
            found = getattr(actual.counts[name], field)
            np.testing.assert_array_equal(found, getattr(counts, field), err_msg=f"{name} {field}")


def test_a_batch_is_bounded_by_memory(make_program: Callable[..., Program]) -> None:
    assert batch_size_for(make_program()) == 256
    # 24 bytes per payload of the widest population, here 4 neurons, at every step.
    assert batch_size_for(make_program(timesteps=65_535)) == 2**28 // (24 * 4 * 65_535)


def test_threads_are_the_simulators_business_alone() -> None:
    chosen = backend_named("simulator", 2)
    assert isinstance(chosen, SimulatorBackend)
    assert chosen.threads == 2
    with pytest.raises(OptionError, match="'reference' knows none"):
        backend_named("reference", 2)
