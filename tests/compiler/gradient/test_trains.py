from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from spikec.backends.reference import ReferenceBackend
from spikec.compiler.ir import Neuron
from spikec.compiler.populations import AdaFire, Fire, MaxPool

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch, an optional library, is not installed", allow_module_level=True)
import torch

from spikec.compiler.gradient.trains import Firing, fired, pooled

THETA = 64
VMAX = 2**23 - 1
SHAPE = (3, 4, 5)


def reference(current: np.ndarray, neuron: Neuron, timesteps: int) -> np.ndarray:
    """Payloads of the golden model, (T, images, *shape); thresholds of 64 keep floats exact."""
    delay = 0.0 if neuron.delay is None else neuron.delay.reshape(-1, 1, 1)
    start = np.full(3, 0.5) if neuron.copy_of is None else np.array([0.25, 0.5, 0.75])
    population = AdaFire(
        "p",
        SHAPE,
        np.full((1, 1, 1), THETA),
        np.broadcast_to(delay * THETA / timesteps, (3, 1, 1)).astype(np.int32),
        ((start.reshape(-1, 1, 1) - delay) * THETA).astype(np.int32),
        neuron.phi,
        neuron.fire,
        neuron.windowed,
        np.ones((1, 1, 1)),
    )
    return ReferenceBackend().fire(population, current, timesteps, VMAX).spikes


@pytest.mark.parametrize("timesteps", [1, 2, 8])
@pytest.mark.parametrize(
    "neuron",
    [
        Neuron("adafire", phi=1),
        Neuron("adafire", phi=3, delay=np.array([0.0, 0.5, 2.0])),
        Neuron("adafire", fire=Fire.RETRACT, phi=2, delay=np.array([0.0, 1.0, 0.25])),
        Neuron("adafire", fire=Fire.SIGNED, phi=2),
        Neuron("adafire", phi=2, windowed=True),
        Neuron("adafire", phi=2, windowed=True, copy_of=np.array([0, 1, 0])),
        Neuron("adafire", phi=1, delay=np.array([0.5, 0.0, 1.0]), copy_of=np.array([0, 1, 0])),
        Neuron("adafire", fire=Fire.SIGNED, phi=1, windowed=True),
    ],
)
def test_what_is_fired_is_what_the_golden_model_fires(neuron: Neuron, timesteps: int) -> None:
    if neuron.delay is not None and timesteps == 1:
        pytest.skip("one step leaves nothing to wait for")
    random = np.random.default_rng(timesteps)
    current = random.integers(-150, 200, (timesteps, 6, *SHAPE)).astype(np.int32)
    expected = reference(current, neuron, timesteps)
    units = torch.from_numpy(current.astype(np.float32)) / THETA
    payloads = fired(units, Firing.of(neuron, timesteps, len(SHAPE)))
    if len(payloads) == timesteps:
        assert np.array_equal(payloads.numpy(), expected)
    else:
        assert np.array_equal((payloads * timesteps).round().numpy()[0], expected.sum(axis=0))


def test_gradients_pass_inside_the_range_and_the_mean_of_a_window_learns_its_levels() -> None:
    drive = torch.tensor([[[-1.0, 0.4, 1.2, 9.0]]], requires_grad=True)
    step = torch.tensor([0.5], requires_grad=True)
    window = Firing.of(Neuron("adafire", phi=1, windowed=True), 4, 1)
    (fired(drive[None] / step / 4, window) * step * 4).sum().backward()
    assert drive.grad is not None
    assert drive.grad.tolist() == [[[0, 1, 1, 0]]]
    # Each level's own error (1 − 0.8, 2 − 2.4), and the highest level where the rate is clipped.
    assert step.grad is not None
    assert float(step.grad) == pytest.approx(0.2 - 0.4 + 4)


@pytest.mark.parametrize(
    ("fire", "currents", "expected"),
    [
        # Potentials 0.3, 1.2, 0.4: the second is the payload that current changes; what arrives
        # first changes that one, what arrives last nothing.
        (Fire.PLAIN, [-0.2, 0.9, 0.2], [20, 20, 0]),
        # Far above the threshold a payload cannot grow, but what is left reaches the next step.
        (Fire.PLAIN, [1.2, 0.0, 0.4], [20, 20, 300]),
        # 1.2 fires, −0.3 takes it back: between −1 and 0 a payload passes its gradient.
        (Fire.RETRACT, [0.7, -0.5, 0.0], [1, 20, 300]),
        # Nothing was sent: nothing can be taken back, and nothing passes.
        (Fire.RETRACT, [-0.9, -0.9, 0.0], [0, 0, 0]),
    ],
)
def test_charge_counts_at_the_next_payload_that_it_can_change(
    fire: Fire, currents: list[float], expected: list[float]
) -> None:
    current = torch.tensor(currents).reshape(3, 1, 1).requires_grad_()
    payloads = fired(current, Firing.of(Neuron("adafire", fire=fire), 3, 1))
    (payloads.flatten() * torch.tensor([1.0, 20.0, 300.0])).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == expected


def test_a_constant_current_has_the_gradients_of_all_steps() -> None:
    neuron = Neuron("adafire", phi=2)
    weights = torch.arange(1.0, 5.0).reshape(4, 1, 1)
    gradients = []
    for current in (torch.full((1, 1, 1), 0.7), torch.full((4, 1, 1), 0.7)):
        current.requires_grad_()
        (fired(current, Firing.of(neuron, 4, 1)) * weights).sum().backward()
        assert current.grad is not None
        gradients.append(float(current.grad.sum()))
    assert gradients[0] == gradients[1] > 0


def test_a_pool_emits_what_the_golden_model_emits() -> None:
    spikes = np.random.default_rng(3).integers(-1, 3, (5, 2, 3, 6, 6)).astype(np.int32)
    population = MaxPool("m", (3, 3, 3), (3, 6, 6), (2, 2), (2, 2), (0,) * 4, (1, 1), np.ones(1))
    expected = ReferenceBackend().fire(population, spikes, 5, VMAX).spikes
    found = pooled(
        lambda operands: torch.nn.functional.max_pool2d(operands[0], 2),
        {0: torch.from_numpy(spikes.astype(np.float32))},
    )
    assert np.array_equal(found.numpy(), expected)
