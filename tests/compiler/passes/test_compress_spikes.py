from __future__ import annotations

from dataclasses import replace

import pytest
from graphs import Sketch
from searches import LAYERS, quantized, two_branches

from spikec.compiler.errors import OptionError
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.assign_firing import assign_firing
from spikec.compiler.passes.compress_spikes import compress_spikes
from spikec.compiler.search.found import Found
from spikec.compiler.search_options import SearchOptions


def searched(weight: float = 1.0, **search: object) -> tuple[Graph, Graph, Found]:
    chosen = SearchOptions(compression=True, **search)  # type: ignore[arg-type]
    options = CompileOptions(timesteps=4, phi=4, search=chosen)
    graph, study = quantized(two_branches(weight), options)
    study.exchange = lambda graph: graph
    found: list[Found] = []
    return graph, compress_spikes(study, found.append).apply(graph), found[0]


def test_exactly_the_layer_that_tolerates_compression_is_compressed() -> None:
    before, after, found = searched(weight=1e-3, compression_ratio=1.1)
    rates = {name: choice.compression for name, choice in found.layers.items()}
    assert rates["rb"] == 10
    assert rates["r"] == rates["ra"] == 1
    for name in LAYERS:
        old, new = before[name].neuron, after[name].neuron
        assert old is not None
        assert new is not None
        assert new.threshold == pytest.approx(old.threshold * rates[name])
    assert found.after.energy < found.before.energy


def test_the_receiver_gets_the_same_charge_from_fewer_spikes() -> None:
    before, after, _ = searched(weight=1e-3, compression_ratio=1.1)
    old, new = before["rb"].quantized, after["rb"].quantized
    assert old is not None
    assert new is not None
    assert new.population.scale == pytest.approx(10 * old.population.scale, rel=0.05)


def test_an_energy_can_be_the_budget_where_nothing_else_is_searched() -> None:
    _, _, found = searched(energy_ratio=0.6)
    assert found.predicted_energy <= 0.6 * found.before.energy * (1 + 1e-9)
    assert found.after.energy < 0.7 * found.before.energy


def both(
    ratio: float, phi_init: int = 4, passes: tuple[str, ...] = (), **search: object
) -> list[Found]:
    """What the search for φ and that for compression found, one behind the other."""
    chosen = SearchOptions(phi=True, compression=True, energy_ratio=ratio, **search)  # type: ignore[arg-type]
    options = CompileOptions(timesteps=4, phi=phi_init, search=chosen, passes=passes)
    graph, study = quantized(two_branches(1.0), options)
    found: list[Found] = []
    graph = assign_firing(study, found.append).apply(graph)
    compress_spikes(study, found.append).apply(graph)
    return found


def test_an_energy_is_left_to_compression_where_phi_is_searched_before_it() -> None:
    firing, compression = both(0.4)
    assert firing.predicted_energy > 0.7 * firing.before.energy
    assert firing.predicted_loss <= 1.02 * firing.before.loss
    assert compression.predicted_energy <= 0.4 * firing.before.energy * (1 + 1e-9)
    with pytest.raises(OptionError, match=r"0.001 of the uniform program's .* the least that"):
        both(0.001)


def test_where_compression_pays_for_it_trials_start_at_the_largest_phi() -> None:
    firing, compression = both(1.0, phi_init=1, phi_max=8)
    assert max(choice.phi for choice in firing.layers.values()) == 8
    assert firing.predicted_loss < 0.5 * firing.before.loss
    assert firing.predicted_energy > firing.before.energy
    assert compression.predicted_energy <= firing.before.energy * (1 + 1e-9)


ALONE = ("calibrate-thresholds", "quantize-weights", "compress-spikes", "assign-firing")


@pytest.mark.parametrize("search", [{"passes": ALONE}, {"compression_ratio": 1.0}])
def test_a_search_for_phi_that_nothing_shares_an_energy_with_keeps_it(
    search: dict[str, object],
) -> None:
    firing, _ = both(0.7, **search)  # type: ignore[arg-type]
    assert firing.predicted_energy <= 0.7 * firing.before.energy * (1 + 1e-9)


def test_accuracy_needs_classes() -> None:
    chosen = SearchOptions(compression=True, accuracy_loss=1.0)
    options = CompileOptions(timesteps=4, phi=4, search=chosen)
    sketch = Sketch(2, 6, 6).conv("stem", 4).add("r", "Relu").conv("map", 3)
    graph, study = quantized(sketch.graph(), options)
    with pytest.raises(OptionError, match="the outputs are no scores"):
        compress_spikes(study).apply(graph)


def test_a_ratio_that_nothing_keeps_is_refused() -> None:
    with pytest.raises(OptionError, match=r"a summed loss of 0.01 of the uncompressed program's"):
        searched(compression_ratio=0.01)


def test_a_loss_of_agreement_bounds_what_held_out_images_lose() -> None:
    _, _, found = searched(accuracy_loss=5.0)
    assert found.before.agreement - found.after.agreement <= 0.05
    assert found.after.energy < found.before.energy
    assert any(choice.compression > 1 for choice in found.layers.values())


def test_what_is_left_early_is_judged_where_images_leave() -> None:
    chosen = SearchOptions(compression=True, accuracy_loss=50.0)
    options = CompileOptions(timesteps=12, phi=4, search=chosen, exit_loss=20.0)
    graph, study = quantized(two_branches(1.0), options)
    found: list[Found] = []
    compress_spikes(study, found.append).apply(graph)
    step = found[0].leaving_step
    assert step is not None
    assert step < 12
    whole = quantized(two_branches(1.0), replace(options, exit_loss=None))[1]
    assert found[0].before.energy < 1.5 * step / 12 * whole.judged(graph).trial.energy
    assert f"up to step {step}, where most leave" in found[0].lines()[0]


def test_layers_that_may_be_windowed_are_judged_after_all_steps() -> None:
    modes = ("plain", "windowed")
    chosen = SearchOptions(compression=True, modes=modes, accuracy_loss=50.0)
    options = CompileOptions(timesteps=4, phi=4, search=chosen, exit_loss=20.0)
    graph, study = quantized(two_branches(1.0), options)
    found: list[Found] = []
    compress_spikes(study, found.append).apply(graph)
    assert found[0].leaving_step is None
