from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from searches import LAYERS, quantized, two_branches

from spikec.compiler.arrays import Array
from spikec.compiler.encoding import encoded
from spikec.compiler.ir import Graph, Neuron, Node, Quantized
from spikec.compiler.options import CompileOptions
from spikec.compiler.search import sweep as module
from spikec.compiler.search.bench import Trial
from spikec.compiler.search.choices import Choice, compressed, fired_as
from spikec.compiler.search.study import Study
from spikec.compiler.search.sweep import Sweep, _Layer
from spikec.compiler.search_options import SearchOptions

OPTIONS = CompileOptions(timesteps=4, phi=3, search=SearchOptions(phi=True))
CHOICES = (Choice(1), Choice(3, compression=2.5))


def varied(node: Node, choice: Choice) -> Neuron:
    assert node.neuron is not None
    return compressed(fired_as(node.neuron, choice), choice.compression)


class Checked(Sweep):
    """Runs every trial once more, whole and from the images."""

    def __init__(self, graph: Graph, study: Study) -> None:
        super().__init__(graph, study.bench, varied)
        self.graph = graph
        self.study = study
        self.checked = 0

    def judged(self, layer: _Layer, spikes: Array, changed: Mapping[str, Quantized]) -> Trial:
        found = super().judged(layer, spikes, changed)
        graph = self.graph.mapped(
            lambda node: node.updated(quantized=changed.get(node.name, node.quantized))
        )
        if layer.images is None:
            expected, _ = self.study.bench.run(graph)
            assert found.energy == pytest.approx(expected.energy, rel=1e-12)
        else:
            expected = self.on_some(graph, layer.images)
        assert np.array_equal(found.losses, expected.losses)
        self.checked += 1
        return found

    def on_some(self, graph: Graph, images: np.ndarray) -> Trial:
        """A whole run on some images."""
        bench = self.study.bench
        program = bench.lowered(graph)
        inputs = encoded(program.input, bench.calibration.activation(graph, program.input.name))
        totals = bench.simulate.totals(program, inputs[images])
        return bench.judged(program, totals, images=images)


@pytest.fixture(scope="module")
def branches() -> tuple[Graph, Study]:
    return quantized(two_branches(1.0), OPTIONS)


def test_a_trial_is_what_a_whole_run_gives(branches: tuple[Graph, Study]) -> None:
    graph, study = branches
    sweep = Checked(study.rebias(graph), study)
    trials = sweep.run(dict.fromkeys(LAYERS, CHOICES), lambda done, total: None)
    assert sweep.checked == len(LAYERS) * len(CHOICES)
    assert {name: tuple(found) for name, found in trials.items()} == dict.fromkeys(LAYERS, CHOICES)


def test_where_many_lie_behind_trials_and_their_base_run_on_fewer_images(
    branches: tuple[Graph, Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SEEN_WHOLE", 1)
    graph, study = branches
    graph = study.rebias(graph)
    sweep = Checked(graph, study)
    trials = sweep.run(dict.fromkeys(LAYERS, CHOICES), lambda done, total: None)
    seen = {name: {len(t.losses) for t in found.values()} for name, found in trials.items()}
    assert seen == {"r": {16}, "ra": {24}, "rb": {48}}
    assert set(sweep.bases) == {"r", "ra"}
    for name, base in sweep.bases.items():
        (images,) = seen[name]
        chosen = np.arange(images) * 48 // images
        assert np.array_equal(base.losses, sweep.on_some(graph, chosen).losses)
        assert sweep.base_of(name) is base
    assert sweep.base_of("rb") is sweep.base


def test_trials_on_fewer_images_tell_as_much_of_the_energy(
    branches: tuple[Graph, Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, study = branches
    graph = study.rebias(graph)
    saved = []
    for whole in (20, 1):
        monkeypatch.setattr(module, "_SEEN_WHOLE", whole)
        sweep = Sweep(graph, study.bench, varied)
        trials = sweep.run(dict.fromkeys(LAYERS, CHOICES), lambda done, total: None)
        saved.append(
            [
                sweep.base_of(name).energy - trial.energy
                for name, found in trials.items()
                for trial in found.values()
            ]
        )
    np.testing.assert_allclose(saved[1], saved[0], rtol=0.1)


@pytest.mark.parametrize(
    ("count", "behind", "left"),
    [(256, 20, None), (256, 40, 128), (256, 108, 48), (256, 1000, 16), (16, 1000, None)],
)
def test_images_of_a_trial_are_as_many_fewer_as_more_lies_behind(
    count: int, behind: int, left: int | None
) -> None:
    images = module._images(count, behind)
    if left is None:
        assert images is None
    else:
        assert images is not None
        assert len(images) == left
        assert set(np.diff(images)) <= {count // left, -(-count // left)}


def test_fewer_levels_cost_less_and_lose_more(branches: tuple[Graph, Study]) -> None:
    graph, study = branches
    sweep = Sweep(study.rebias(graph), study.bench, varied)
    (trials,) = sweep.run({"ra": [Choice(3, compression=6)]}, lambda done, total: None).values()
    (trial,) = trials.values()
    assert trial.energy < sweep.base.energy
    assert trial.loss > 2 * sweep.base.loss


def test_a_layer_is_left_alone_once_a_trial_is_bad_enough(branches: tuple[Graph, Study]) -> None:
    graph, study = branches
    sweep = Sweep(study.rebias(graph), study.bench, varied)
    trials = sweep.run(
        dict.fromkeys(LAYERS, CHOICES), lambda done, total: None, lambda excess: True
    )
    assert all(tuple(found) == CHOICES[:1] for found in trials.values())


def test_trials_aim_at_the_network_that_is_varied_and_not_at_its_teacher() -> None:
    graph, study = quantized(two_branches(1.0), OPTIONS, images=24)
    graph = study.rebias(graph)

    def losses() -> list[np.ndarray]:
        sweep = Sweep(graph, study.bench, varied)
        trials = sweep.run(dict.fromkeys(LAYERS, CHOICES), lambda done, total: None)
        return [trial.losses for found in trials.values() for trial in found.values()]

    before = losses()
    teacher = graph.mapped(
        lambda node: node.updated(params={slot: 0.5 * p for slot, p in node.params.items()})
    )
    study.bench.calibration = study.bench.calibration.taught_by(teacher)
    np.testing.assert_array_equal(losses(), before)
