from __future__ import annotations

import pytest
from searches import LAYERS, quantized, two_branches

from spikec.compiler.errors import OptionError
from spikec.compiler.ir import Graph
from spikec.compiler.lower import lower
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.assign_firing import assign_firing
from spikec.compiler.search.choices import Choice, Mode
from spikec.compiler.search.found import Found
from spikec.compiler.search.latency import latency
from spikec.compiler.search.study import Study
from spikec.compiler.search_options import SearchOptions


def searched(
    weight: float = 1.0, phi_init: int = 4, **search: object
) -> tuple[Graph, Found, Study]:
    chosen = SearchOptions(**search)  # type: ignore[arg-type]
    options = CompileOptions(timesteps=4, phi=phi_init, search=chosen)
    graph, study = quantized(two_branches(weight), options)
    found: list[Found] = []
    result = assign_firing(study, found.append).apply(graph)
    return result, found[0], study


def phis(graph: Graph) -> dict[str, int]:
    neurons = {name: graph[name].neuron for name in LAYERS}
    return {name: neuron.phi for name, neuron in neurons.items() if neuron is not None}


def test_the_sum_of_energies_keeps_its_budget_and_the_run_is_close_to_it() -> None:
    graph, found, study = searched(phi=True, energy_ratio=0.7)
    assert found.predicted_energy <= 0.7 * found.before.energy * (1 + 1e-9)
    assert found.after.energy == pytest.approx(found.predicted_energy, rel=0.1)
    trial, _ = study.bench.run(graph)
    assert (trial.energy, trial.loss) == (found.after.energy, found.after.loss)
    assert {name: Choice(phi) for name, phi in phis(graph).items()} == found.layers


def test_the_layer_that_hardly_counts_gets_the_fewest_levels() -> None:
    graph, _, _ = searched(weight=1e-6, phi=True, energy_ratio=0.9)
    chosen = phis(graph)
    assert chosen["rb"] == 1
    assert min(chosen["r"], chosen["ra"]) > 1


def test_an_energy_in_joules_is_a_budget_too() -> None:
    _, first, _ = searched(phi=True, energy_ratio=0.8)
    _, second, _ = searched(phi=True, energy_budget=0.8 * first.before.energy)
    assert second.layers == first.layers


def test_a_budget_that_no_assignment_keeps_is_refused_with_the_least_energy() -> None:
    with pytest.raises(OptionError, match=r"0.01 of the uniform program's .* the least that"):
        searched(phi=True, energy_ratio=0.01)


def test_a_loss_of_agreement_bounds_what_held_out_images_lose() -> None:
    _, found, _ = searched(phi=True, accuracy_loss=4.0)
    assert found.before.agreement - found.after.agreement <= 0.04
    assert found.after.energy < found.before.energy


def test_without_any_loss_allowed_the_search_never_makes_it_worse() -> None:
    _, found, _ = searched(phi=True, phi_min=1, phi_max=1, accuracy_loss=0.0)
    assert found.after.agreement >= found.before.agreement


def test_modes_are_assigned_where_they_are_allowed() -> None:
    modes = ("plain", "windowed")
    graph, found, _ = searched(phi_init=1, modes=modes, energy_ratio=2.0)
    assert {choice.phi for choice in found.layers.values()} == {1}
    assert any(choice.mode is Mode.WINDOWED for choice in found.layers.values())
    assert found.after.loss < found.before.loss
    neurons = {name: graph[name].neuron for name in LAYERS}
    for name, neuron in neurons.items():
        assert neuron is not None
        assert neuron.windowed == (found.layers[name].mode is Mode.WINDOWED)


def test_a_bound_on_latency_bounds_the_windows() -> None:
    modes = ("plain", "windowed")
    steps = {}
    for limit in (7, 11, 15):  # T + depth = 4 + 3, and 4 for each window on the way
        graph, _, _ = searched(phi_init=1, modes=modes, energy_ratio=2.0, latency=limit)
        steps[limit] = latency(graph, 4)
    assert steps[7] == 7
    assert all(found <= limit for limit, found in steps.items())
    assert steps[15] > 7


def test_one_mode_for_all_layers_is_the_one_that_loses_least() -> None:
    modes = ("plain", "retract", "windowed")
    found = searched(phi_init=1, modes=modes, uniform_mode=True, energy_ratio=2.0)[1]
    assert len({choice.mode for choice in found.layers.values()}) == 1
    losses = {}
    for mode in modes:
        one = searched(phi_init=1, modes=(mode,), uniform_mode=True, energy_ratio=2.0)[1]
        losses[mode] = one.after.loss
    assert found.after.loss == min(losses.values())
    assert losses["plain"] > min(losses.values())


def test_equal_seeds_give_equal_programs_on_any_number_of_threads() -> None:
    from spikec.backends.simulator import SimulatorBackend

    options = CompileOptions(timesteps=4, phi=4, search=SearchOptions(phi=True, energy_ratio=0.7))
    digests = set()
    for threads in (1, 2):
        graph, study = quantized(two_branches(1.0), options)
        study.bench.simulate = study.judge.simulate = SimulatorBackend(threads=threads)
        digests.add(lower(assign_firing(study).apply(graph), options).digest)
    assert len(digests) == 1
