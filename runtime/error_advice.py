"""What would help the populations whose own error costs the network most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import AdaFire, Fire, Input, Population
from spikec.compiler.program import Program
from spikec.compiler.weight_inputs import has_matrix
from spikec.runtime.error_sums import LayerError
from spikec.runtime.report import Json

DEAREST = 3
"""So many populations are named."""
_WORTH = 1e-4
"""Nats, or relative output error: a population that costs less needs no advice."""
_OFFSET = 0.3
"""Share of the squared error from which a constant offset per channel is the matter."""


@dataclass(frozen=True)
class Advice:
    """One thing to try.

    Attributes:
        population: Whose error it is.
        cause: A part of the error, or "offset".
        share: Of the squares of the population's own parts, the correction aside; of its whole
            squared error, for "offset".
        option: As the command line writes it; empty where there is none.
        reason: In a sentence, with the numbers.
    """

    population: str
    cause: str
    share: float
    option: str
    reason: str


def advice_dict(advice: Advice) -> dict[str, Json]:
    """As plain values that JSON can hold."""
    return {
        "population": advice.population,
        "cause": advice.cause,
        "share": advice.share,
        "option": advice.option,
        "reason": advice.reason,
    }


def dearest(layers: Sequence[LayerError]) -> list[LayerError]:
    """The populations whose own error alone moves the output most, first of all the worst."""
    ranked = sorted(layers, key=lambda layer: -layer.own_effect.size)
    return [layer for layer in ranked[:DEAREST] if layer.own_effect.size > _WORTH]


def causes(layers: Sequence[LayerError]) -> dict[str, float]:
    """Shares of what all populations cost, by part of their own error, largest first.

    The correction is left aside: it is there because of other parts, propagated ones among them.
    """
    costs: dict[str, float] = {}
    for layer in layers:
        whole = sum(layer.root_parts.values())
        for name, value in layer.root_parts.items():
            share = layer.own_effect.size * value / whole if whole > 0 else 0.0
            costs[name] = costs.get(name, 0.0) + share
    total = sum(costs.values())
    ranked = sorted(costs.items(), key=lambda item: -item[1])
    return {name: cost / total for name, cost in ranked if cost > 0}


def advised(
    program: Program, layers: Sequence[LayerError], options: CompileOptions
) -> tuple[Advice, ...]:
    """Advice by the dominant part of each of the dearest populations.

    Args:
        program: What is judged.
        layers: Their errors.
        options: What the program was compiled with.
    """
    found = []
    for layer in dearest(layers):
        found.append(_for_part(program, layer, options))
        if layer.offset > _OFFSET and layer.kind != "input":
            found.append(_for_offset(layer, options))
    return tuple(found)


def _for_part(program: Program, layer: LayerError, options: CompileOptions) -> Advice:
    cause, value = next(iter(layer.root_parts.items()))
    whole = sum(layer.root_parts.values())
    share = value / whole if whole > 0 else 0.0
    population = program.population(layer.name)
    option, reason = _remedy(cause, layer, population, program, options)
    return Advice(layer.name, cause, share, option, reason)


def _remedy(
    cause: str,
    layer: LayerError,
    population: Population,
    program: Program,
    options: CompileOptions,
) -> tuple[str, str]:
    match cause:
        case "clipping" | "rounding" if isinstance(population, AdaFire):
            return _levels(cause, population, program)
        case "clipping" | "rounding" if isinstance(population, Input):
            bits = f"an input payload has {population.bits} bits"
            return f"input_bits={min(16, population.bits + 1)}", bits
        case "unevenness" if isinstance(population, AdaFire):
            return _in_time(layer, population, program)
        case "weights":
            return _weights(layer, population, program, options)
        case "saturation":
            per_image = f"{layer.saturations:.3g} updates per image hit ±{program.vmax:,}"
            return "membrane_bits=32", per_image
        case _:
            moved = f"{100 * layer.part_bias.get(cause, 0.0):+.2f} % of the activation on average"
            reason = f"calibration moved bias and start by {moved}, to make up for other parts"
            return "--images N", f"{reason}; more calibration images tell by how much"


def _levels(cause: str, population: AdaFire, program: Program) -> tuple[str, str]:
    levels = population.phi * program.timesteps
    if population.threshold.size == 1 and population.shape[0] > 1:
        return (
            "--threshold-per channel",
            f"all {population.shape[0]} channels share one threshold and its {levels} levels",
        )
    phi = min(255, 2 * population.phi)
    if cause == "clipping":
        reason = f"nothing above φθ = {float(np.median(population.scale * population.phi)):.3g}"
        reason += f" is expressible; with more than {levels} levels θ need not be so small"
    else:
        reason = f"{levels} levels; twice as many quarter the square of the rounding error"
    if population.phi == 1:
        reason += "; where spikes carry no payload, copies add levels: --extra-neurons 0.25"
    option = f"--phi {phi}" if phi > population.phi else f"-T {2 * program.timesteps}"
    return option, reason


def _in_time(layer: LayerError, population: AdaFire, program: Program) -> tuple[str, str]:
    shares = f"{100 * layer.over:.1f} % of the neurons fire too much for their charge, "
    shares += f"{100 * layer.under:.1f} % too little"
    shares += f" (too much: {100 * layer.over_share:.0f} % of the squares)"
    if layer.over_share < 0.5:
        phi = min(255, 2 * population.phi)
        return f"--phi {phi}", f"{shares}: charge comes too late to be drained, --windowed ends it"
    if population.fire is Fire.PLAIN and program.timesteps > 2:
        return "--fire retract", f"{shares}: spikes can be taken back; --windowed ends it"
    return "--windowed", f"{shares}: a window fires when all charge has arrived"


def _weights(
    layer: LayerError, population: Population, program: Program, options: CompileOptions
) -> tuple[str, str]:
    size = f"integer weights move it by {100 * layer.parts['weights'] ** 0.5:.2f} %"
    matrices = any(has_matrix(connection) for connection in program.into(layer.name))
    match options.weight_calibration:
        case "none" if not (matrices and isinstance(population, AdaFire)):
            reason = f"{size}; its weights are rounded one by one, and those of a matrix in front "
            return "--weight-calibration gradient", f"{reason}of neurons alone can be fitted"
        case "none":
            return "--weight-calibration fit", f"{size}; its weights are rounded one by one"
        case "fit":
            return "--weight-calibration gradient", f"{size}, though they were fitted"
        case _:
            return "--images N", f"{size}, learnt on purpose; more images make that safer"


def _for_offset(layer: LayerError, options: CompileOptions) -> Advice:
    share = f"{100 * layer.offset:.0f} % of its squared error is one constant per channel"
    if not options.bias_rounds:
        return Advice(layer.name, "offset", layer.offset, "bias_rounds=6", share)
    reason = f"{share}: too few calibration images, or images unlike these"
    return Advice(layer.name, "offset", layer.offset, "--images N", reason)
