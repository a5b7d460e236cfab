from __future__ import annotations

import numpy as np
import pytest
from searches import LAYERS, quantized, two_branches

from spikec.compiler.arrays import Array
from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.search.bench import Trial
from spikec.compiler.search.choices import Choice, compressed, fired_as
from spikec.compiler.search.study import Study
from spikec.compiler.search.sweep import Sweep
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
        self.study = study
        self.checked = 0

    def judged(self, graph: Graph, name: str, spikes: Array) -> Trial:
        found = super().judged(graph, name, spikes)
        expected, _ = self.study.bench.run(graph)
        assert np.array_equal(found.losses, expected.losses)
        assert found.energy == pytest.approx(expected.energy, rel=1e-12)
        self.checked += 1
        return found


@pytest.fixture(scope="module")
def branches() -> tuple[Graph, Study]:
    return quantized(two_branches(1.0), OPTIONS)


def test_a_trial_is_what_a_whole_run_gives(branches: tuple[Graph, Study]) -> None:
    graph, study = branches
    sweep = Checked(study.rebias(graph), study)
    trials = sweep.run(dict.fromkeys(LAYERS, CHOICES), lambda done, total: None)
    assert sweep.checked == len(LAYERS) * len(CHOICES)
    assert {name: tuple(found) for name, found in trials.items()} == dict.fromkeys(LAYERS, CHOICES)


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
    trials = sweep.run(dict.fromkeys(LAYERS, CHOICES), lambda done, total: None, lambda trial: True)
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
