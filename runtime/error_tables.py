"""An error budget as rows of text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikec.compiler.error_terms import PARTS
from spikec.runtime.error_advice import Advice
from spikec.runtime.error_budget import ErrorBudget
from spikec.runtime.error_sums import Effect, LayerError
from spikec.runtime.tables import Row

PART_LEGEND = (
    "mean squares of s̄ − a in % of that of the ANN's activation a. propagated: what the layers "
    "before it did; own: the rest, of which weights: int8 instead of float; correction: bias and "
    "start as calibrated; clipping: at the cap φθ; rounding: to whole spikes; unevenness: spikes "
    "that the charge does not justify, or charge left over. The signed parts of a neuron add up "
    "to its error; their squares do so with cross, negative where parts make up for each other. "
    "bias: signed mean in % of the root mean square of a"
)
CAUSE_LEGEND = (
    "an estimate: the effect of each population's own error on the output, divided among the parts "
    "of that error, but the correction, by their squares, and added up"
)
EFFECT_HEADER: Row = (
    "population",
    "own error:\noutput",
    "KL",
    "changed",
    "all error:\noutput",
    "KL",
    "changed",
    "over-\nfiring",
    "under-\nfiring",
    "offset",
)
EFFECT_LEGEND = (
    "if this population alone differs from the ANN, by its own error or by all that it has in the "
    "program, and the float network does the rest. output: mean square of the difference in % of "
    "the outputs' own; KL: divergence of the class probabilities from the ANN's, in 1/1000 nats; "
    "changed: images with another class, %. Effects of populations do not add up. over- and "
    "under-firing: neurons that emit too much or too little for their charge, %; offset: share of "
    "the squared error that is one constant per channel, %"
)


def budget_rows(budget: ErrorBudget) -> list[Row]:
    """(what, value) lines of the head."""
    output = budget.output
    rows: list[Row] = [
        ("images", f"{budget.images:,}"),
        ("time steps T", str(budget.timesteps)),
        ("program", budget.digest[:16]),
        ("output error", f"{_percent(output.output_error)} % of the outputs' mean square"),
    ]
    if output.divergence is not None and output.changed is not None:
        rows += [
            ("divergence from the ANN", f"{1000 * output.divergence:.3g} / 1000 nats per image"),
            ("changed decisions", f"{_percent(output.changed)} % of the images"),
        ]
    return rows


def cause_rows(causes: Mapping[str, float]) -> list[Row]:
    """(part, share) lines, largest first."""
    return [(name, f"{_share(share)} %") for name, share in causes.items()]


def part_header(layers: Sequence[LayerError]) -> Row:
    """Saturation is rare and has a column only where it occurs."""
    return ("population", "error", "own", *_shown(layers), "cross", "bias")


def part_rows(layers: Sequence[LayerError]) -> list[Row]:
    """One row per population under ``part_header``."""
    shown = _shown(layers)
    return [
        (
            layer.name,
            _percent(layer.total),
            _percent(layer.own),
            *(_percent(layer.parts[name]) if name in layer.parts else "–" for name in shown),
            _percent(layer.cross),
            f"{100 * layer.bias:+.2f}",
        )
        for layer in layers
    ]


def _shown(layers: Sequence[LayerError]) -> tuple[str, ...]:
    saturated = any(layer.saturations for layer in layers)
    return tuple(name for name in PARTS if saturated or name != "saturation")


def effect_rows(layers: Sequence[LayerError]) -> list[Row]:
    """One row per population under EFFECT_HEADER."""
    return [
        (
            layer.name,
            *_effect(layer.own_effect),
            *_effect(layer.effect),
            *((_share(layer.over), _share(layer.under)) if layer.kind == "adafire" else ("–", "–")),
            _share(layer.offset),
        )
        for layer in layers
    ]


def advice_lines(advice: Sequence[Advice]) -> list[str]:
    """One paragraph per advice, dearest population first."""
    return [
        f"{each.population}: {each.cause} is {_share(each.share)} % of its own error"
        f"{f', try {each.option}' if each.option else ''}. {each.reason}."
        if each.cause != "offset"
        else f"{each.population}: try {each.option}. {each.reason}."
        for each in advice
    ]


def _effect(effect: Effect) -> Row:
    if effect.divergence is None or effect.changed is None:
        return (_percent(effect.output_error), "–", "–")
    return (
        _percent(effect.output_error),
        f"{1000 * effect.divergence:.2f}",
        _share(effect.changed),
    )


def _percent(ratio: float) -> str:
    """Three digits, without an exponent."""
    value = 100 * ratio
    if abs(value) < 0.0005:
        return "0" if value == 0 else "0.000"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def _share(ratio: float) -> str:
    return f"{100 * ratio:.1f}"
