from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_programs import Case, cases
from threadpoolctl import ThreadpoolController
from tiny_programs import (
    CONNECTIONS,
    HIDDEN,
    INPUT,
    ONE,
    tiny_program,
    with_population,
)

from spikec.backends.base import BackendRun
from spikec.backends.reference import ReferenceBackend
from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.connections import Connection, Dense, Identity
from spikec.compiler.errors import BoundError, InputError, OptionError
from spikec.compiler.populations import AdaFire, Coding, Fire, Input, Readout
from spikec.compiler.program import Program

BACKENDS = [ReferenceBackend(), SimulatorBackend(1), SimulatorBackend(2)]
IMAGES = np.random.default_rng(0).integers(-127, 128, (5, 1, 4, 4))
Runner = ReferenceBackend | SimulatorBackend

backends = pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "one", "two"])


def neuron(**changes: object) -> Program:
    """One input, one neuron that receives it as it is, one read-out that counts."""
    one = np.ones(1)
    fields = {
        "name": "neuron", "shape": (1,), "threshold": [10], "bias": [0], "initial": [0],
        "phi": 1, "fire": Fire.PLAIN, "windowed": False, "scale": one,
    } | {k: v for k, v in changes.items() if k not in ("timesteps", "membrane_bits")}  # fmt: skip
    return Program(
        (
            Input("input", (1,), 16, one, one, one * 0, Coding.FRAMES),
            AdaFire(**fields),
            Readout("count", (1,), [0], one),
        ),
        (Connection("input", "neuron", ()), Connection("neuron", "count", ())),
        timesteps=changes.get("timesteps", 4),
        membrane_bits=changes.get("membrane_bits", 24),
    )


def traced(
    backend: Runner, currents: list[int], **changes: object
) -> tuple[list, list, BackendRun]:
    """Spikes and membranes of one neuron under these currents."""
    program = neuron(timesteps=len(currents), **changes)
    inputs = np.array(currents).reshape(1, -1, 1)
    run = backend.run(program, inputs, record=frozenset({"neuron"}))
    return run.spikes["neuron"].ravel().tolist(), run.membranes["neuron"].ravel().tolist(), run


@backends
def test_a_spike_fires_at_the_threshold(backend: Runner) -> None:
    assert traced(backend, [9, 1, 9, 30])[:2] == ([0, 1, 0, 1], [9, 0, 9, 29])


@backends
def test_a_payload_is_the_floor_of_the_quotient_within_phi(backend: Runner) -> None:
    assert traced(backend, [39, 1, 100, -99], phi=3)[:2] == ([3, 1, 3, 0], [9, 0, 70, -29])


@backends
def test_retraction_never_makes_the_total_negative(backend: Runner) -> None:
    spikes, membranes, _ = traced(backend, [25, -60, -60, 15], phi=3, fire=Fire.RETRACT)
    assert (spikes, membranes) == ([2, -2, 0, 0], [5, -35, -95, -80])


@backends
def test_signed_spikes_take_the_floor_of_negative_quotients(backend: Runner) -> None:
    spikes, membranes, _ = traced(backend, [-1, -100, 5, 0], phi=4, fire=Fire.SIGNED)
    assert (spikes, membranes) == ([-1, -4, -4, -1], [9, -51, -6, 4])


@backends
def test_a_windowed_population_fires_after_its_last_input(backend: Runner) -> None:
    spikes, membranes, _ = traced(backend, [39, 1, 1, 20], phi=3, windowed=True)
    assert (spikes, membranes) == ([3, 3, 0, 0], [31, 1, 1, 1])


@backends
def test_saturating_updates_are_clipped_and_counted(backend: Runner) -> None:
    spikes, membranes, run = traced(backend, [100, 100, -300, 0], membrane_bits=8, bias=[0])
    assert (spikes, membranes) == ([1, 1, 0, 0], [90, 117, -127, -127])
    assert run.populations["neuron"].saturations.tolist() == [[0, 1, 1, 0]]


@backends
def test_bias_and_start_value_act(backend: Runner) -> None:
    assert traced(backend, [0, 0, 0, 0], bias=[3], initial=[5])[:2] == ([0, 1, 0, 0], [8, 1, 4, 7])


@backends
def test_membranes_of_32_bits_do_not_wrap(backend: Runner) -> None:
    top = 2**31 - 1
    changes = {"membrane_bits": 32, "threshold": [top], "initial": [top - 5], "bias": [top]}
    spikes, membranes, run = traced(backend, [100, 100, 0, 0], **changes)
    assert (spikes, membranes) == ([1, 1, 1, 1], [0, 0, 0, 0])
    assert run.populations["neuron"].saturations.tolist() == [[1, 1, 0, 0]]


@backends
@pytest.mark.parametrize("theta", [1, 3, 65_535, 65_536, 2**23 - 1])
@pytest.mark.parametrize("phi", [1, 2, 255])
def test_quotients_are_exact_beside_every_multiple(backend: Runner, theta: int, phi: int) -> None:
    steps = [theta - 1, 1, theta, 2 * theta - 1, 255 * theta - 1, 256 * theta, -theta, -theta - 1]
    potentials = np.array([v for v in steps if abs(v) < 2**23])
    shape = potentials.shape
    neurons = replace(
        HIDDEN, shape=shape, threshold=[theta], bias=[0], initial=potentials, phi=phi,
        fire=Fire.SIGNED, scale=[1.0],
    )  # fmt: skip
    fired = backend.fire(neurons, np.zeros((1, 1, *shape), np.int32), 1, 2**23 - 1)
    np.testing.assert_array_equal(
        fired.spikes[0, 0], [max(-phi, min(phi, int(v) // theta)) for v in potentials]
    )


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[*HealthCheck],
)
@given(cases(), st.sampled_from([Fire.PLAIN, Fire.SIGNED]))
def test_windowed_firing_is_one_step_of_phi_times_t(case: Case, rule: Fire) -> None:
    first = next((p for p in case.program.populations if isinstance(p, AdaFire)), None)
    assume(first is not None and case.program.input.coding is Coding.DIRECT)
    assert first is not None
    steps, biggest = min(case.program.timesteps, 8), 2**30
    neurons = replace(
        first,
        fire=rule,
        windowed=True,
        phi=min(first.phi, 31),
        initial=np.zeros_like(first.initial),
    )
    current = np.random.default_rng(0).integers(-9999, 9999, (1, 2, *first.shape), dtype=np.int32)
    backend = SimulatorBackend(1)
    windowed = backend.fire(neurons, current, steps, biggest)
    single = replace(neurons, windowed=False, phi=neurons.phi * steps, bias=neurons.bias * steps)
    once = backend.fire(single, current * steps, 1, biggest)
    np.testing.assert_array_equal(windowed.spikes.sum(axis=0, dtype=int), once.spikes[0])
    np.testing.assert_array_equal(windowed.membrane, once.membrane)


@backends
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_extreme_weights_and_payloads_are_exact(backend: Runner, bits: int) -> None:
    channels, limit = 500, 2 ** (bits - 1) - 1
    image = replace(INPUT, shape=(channels, 1, 1), bits=bits)
    top = Readout("scores", (2,), [0], np.ones(1))
    weights = np.full((2, channels), 127, np.int8)
    weights[1, ::2] = -127
    program = Program((image, top), (Connection("image", "scores", (Dense(weights),)),), 3)
    inputs = np.full((1, channels, 1, 1), limit)
    total = 127 * limit * channels
    assert backend.run(program, inputs).readout[0, -1].tolist() == [3 * total, 0]


@backends
def test_operations_of_a_border_pixel_are_those_of_its_taps(backend: Runner) -> None:
    image = np.zeros((1, 1, 4, 4), int)
    image[0, 0, 0, 0] = -5
    run = backend.run(tiny_program(), image)
    counts = run.connections[0]  # 3×3, one zero weight (first channel, last tap), 2 channels
    assert counts.events.tolist() == [[8] * 4]
    assert counts.spikes.tolist() == [[40] * 4]
    # An image corner meets the 4 taps around the kernel's centre, its far corner not included.
    zero = (CONNECTIONS[0].factors[0].weights[:, 0, :2, :2] == 0).sum()  # type: ignore[union-attr]
    assert counts.zero_events.tolist() == [[zero] * 4]


@backends
def test_an_empty_batch_gives_empty_results(backend: Runner) -> None:
    run = backend.run(tiny_program(), np.zeros((0, 1, 4, 4), int), record=frozenset({"hidden"}))
    assert run.readout.shape == (0, 4, 3)
    assert run.spikes["hidden"].shape == (0, 4, 2, 4, 4)


@backends
@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 1, 4, 4), np.float32),
        np.zeros((2, 1, 4, 4), bool),
        np.zeros((2, 1, 4, 5), int),
        np.zeros((1, 4, 4), int),
        np.zeros((2, 4, 1, 4, 4), int),
        np.full((2, 1, 4, 4), 128),
        np.full((2, 1, 4, 4), -128, np.int8),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(backend: Runner, inputs: np.ndarray) -> None:
    with pytest.raises(InputError) as caught:
        backend.run(tiny_program(), inputs)
    assert caught.value.where.node == "image"


@backends
def test_unknown_names_to_record_are_refused(backend: Runner) -> None:
    with pytest.raises(InputError) as caught:
        backend.run(tiny_program(), IMAGES, record=frozenset({"nobody"}))
    assert caught.value.where.node == "nobody"


@pytest.mark.parametrize(("threads", "memory"), [(0, 1), (1, 0), (-1, 1)])
def test_no_threads_and_no_memory_are_refused(threads: int, memory: int) -> None:
    with pytest.raises(OptionError):
        SimulatorBackend(threads, memory_limit=memory)


@backends
def test_progress_counts_every_image_once(backend: Runner) -> None:
    finished: list[int] = []
    backend.run(tiny_program(), IMAGES, progress=finished.append)
    assert sum(finished) == len(IMAGES)


def test_matrix_products_get_their_threads_back() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in ThreadpoolController().info()]

    before = threads()
    SimulatorBackend(2).run(tiny_program(), IMAGES)
    assert threads() == before


@backends
def test_equal_steps_are_given_as_one(backend: Runner) -> None:
    program = with_population("hidden", bias=ONE)
    constant = np.random.default_rng(1).integers(-3, 4, (1, 2, 2, 4, 4)).astype(np.int8)
    repeated = constant.repeat(4, axis=0)
    sink, into = program.population("pool"), (Connection("hidden", "pool", ()),)
    one = backend.currents(sink, into, {"hidden": constant})
    many = backend.currents(sink, into, {"hidden": repeated})
    assert one.shape[0] == 1
    assert (one.dtype, many.dtype) == (np.int32, np.int32)
    np.testing.assert_array_equal(one.repeat(4, axis=0), many)
    neurons = HIDDEN
    first, second = (backend.fire(neurons, current, 4, 999) for current in (one, many))
    np.testing.assert_array_equal(first.spikes, second.spikes)
    np.testing.assert_array_equal(first.membrane, second.membrane)


@backends
def test_constant_and_changing_sources_add_up(backend: Runner) -> None:
    left, right = Identity(np.array([3, -2])), Identity(np.array([1, 7]))
    random = np.random.default_rng(2)
    constant = random.integers(-9, 9, (1, 3, 2, 4, 4)).astype(np.int8)
    changing = random.integers(-9, 9, (5, 3, 2, 4, 4)).astype(np.int8)
    into = (Connection("a", "hidden", (left,), 2), Connection("b", "hidden", (right,)))
    current = backend.currents(HIDDEN, into, {"a": constant, "b": changing})
    weights = [factor.weights.astype(int).reshape(2, 1, 1) for factor in (left, right)]
    np.testing.assert_array_equal(current, 4 * weights[0] * constant + weights[1] * changing)


def test_currents_that_could_wrap_are_refused_by_name() -> None:
    sink = replace(HIDDEN, shape=(1,), threshold=[1], bias=[0], initial=[0], scale=[1.0])
    wide = (Connection("a", "hidden", (Dense(np.full((1, 9), 127)),), 20),)
    with pytest.raises(BoundError) as caught:
        SimulatorBackend(1).currents(sink, wide, {"a": np.full((1, 1, 9), 2, np.int8)})
    assert caught.value.where.node == "a→hidden"
