"""compress-spikes: one spike of ρ times the charge replaces ρ spikes, where the network bears it.

Cases:
1. Each layer at each ρ of 1, 1.5 … 10, the others as they are: its thresholds ρ times as high, the
   weights behind it ρ times as large. Trials of a layer end where one alone costs more than the
   whole budget.
2. Budget in summed loss: the least energy whose Σ S is at most ratio · Σ S without compression.
   Budget in energy: the smallest loss within it.
   Budget in accuracy: the cheapest assignment whose agreement with the ANN on held-out images is
   low by no more; the program as it was if there is none.

Source: paper 2 (AAAI 2025), sensitivity spike compression; results by name, energy by fan-out and
the budget in accuracy are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from spikec.compiler.invariants import integers_set, neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.lower import currents_proved
from spikec.compiler.passes.base import Pass
from spikec.compiler.search.choices import Choice, choices_of, compressed, neuron_of
from spikec.compiler.search.found import Found
from spikec.compiler.search.selection import Catalogue, Sum
from spikec.compiler.search.study import Judged, Study
from spikec.compiler.search.sweep import Sweep

RATIOS = tuple(1 + 0.5 * step for step in range(1, 19))
"""ρ above 1."""
_HOPELESS = {"distance": 0.08, "divergence": 0.3}
"""A layer whose compression alone loses so much more is not compressed further."""


def compress_spikes(
    study: Study,
    told: Callable[[Found], None] = lambda found: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pass:
    """The pass for given images; ``told`` receives what it found."""

    def apply(graph: Graph) -> Graph:
        before = study.started(graph)
        catalogue = _catalogue(before, study, progress)
        search = study.options.search
        allowed, ratio = search.accuracy_loss, search.compression_ratio
        energy = study.energy_budget()

        def judged(chosen: Sum) -> Judged:
            neurons = {
                name: _neuron(before.graph[name], choice)
                for name, choice in chosen.choices.items()
                if choice.compression != 1
            }
            return study.judged(study.with_neurons(before.graph, neurons))

        if allowed is not None and ratio is None:
            chosen, after = study.within_accuracy(catalogue.ladder(), judged, before)
        elif energy is not None and ratio is None:
            chosen = catalogue.within_energy(*energy)
            after = judged(chosen)
        else:
            ratio = 1.0 if ratio is None else ratio
            subject = f"a summed loss of {ratio:g} of the uncompressed program's"
            chosen = catalogue.within_loss(ratio, subject)
            after = judged(chosen)
        after = study.settled(after, chosen.loss)
        told(study.report("compression", before, chosen, after))
        return after.graph

    return Pass(
        "compress-spikes",
        apply,
        requires=(neurons_placed, thresholds_set, integers_set),
        ensures=(neurons_placed, thresholds_set, integers_set, currents_proved(study.options)),
        exact=True,
    )


def _catalogue(before: Judged, study: Study, progress: Callable[[int, int], None]) -> Catalogue:
    sweep = Sweep(before.graph, study.bench, _neuron)
    own = choices_of(before.graph)
    choices = {
        name: [replace(choice, compression=ratio) for ratio in RATIOS]
        for name, choice in own.items()
    }

    def hopeless(excess: float) -> bool:
        return excess > _HOPELESS[study.options.search.sensitivity]

    trials = sweep.run(choices, progress, hopeless)
    with_base = {name: {own[name]: sweep.base_of(name), **found} for name, found in trials.items()}
    return Catalogue(with_base, sweep.base, sweep.bases)


def _neuron(node: Node, choice: Choice) -> Neuron:
    return compressed(neuron_of(node), choice.compression)
