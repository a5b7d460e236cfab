"""What the compiler says of its own work: records, warnings and provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from spikec.compiler.calibration import Calibration
from spikec.compiler.frontend.load import Loaded
from spikec.compiler.ir import Graph, Node
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import PassRecord
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program
from spikec.compiler.search.found import Found


@dataclass(frozen=True)
class Compiled:
    """A program and how it came about.

    Attributes:
        program: The result.
        records: One per pass, in order.
        warnings: What the user should know.
        found: What searches chose, in order.
    """

    program: Program
    records: tuple[PassRecord, ...]
    warnings: tuple[str, ...]
    found: tuple[Found, ...] = ()


def fewer_images(chosen: Calibration, options: CompileOptions) -> tuple[str, ...]:
    """A warning if memory did not allow a walk to carry all calibration images."""
    carried, drawn = len(chosen.images), len(chosen.every)
    if carried == drawn:
        return ()
    return (
        f"biases are calibrated on {carried} of {drawn} images: more would exceed "
        f"{options.memory_bytes / 2**30:.3g} GiB of memory, which memory_bytes (--memory) sets",
    )


def calibration_warnings(
    chosen: Calibration, graph: Graph, options: CompileOptions
) -> tuple[str, ...]:
    """What the user should know of the calibration.

    Args:
        chosen: What was calibrated on.
        graph: With its integers.
        options: All choices.
    """
    few = fewer_images(chosen, options)
    if not any(_starts_apart(node) for node in graph):
        return few
    return (
        *few,
        "every neuron has an initial potential of its own: the program expects images whose size "
        "and framing are those of the calibration images",
    )


def _starts_apart(node: Node) -> bool:
    """Whether neurons of one channel start at potentials of their own."""
    population = node.quantized.population if node.quantized else None
    return isinstance(population, AdaFire) and population.initial.size > population.shape[0]


def provenance(
    loaded: Loaded, chosen: Calibration, options: CompileOptions, warnings: tuple[str, ...]
) -> Mapping[str, str]:
    """Digests of model and calibration images, options and warnings, for the program file."""
    return {
        "model_sha256": loaded.sha256,
        "calibration_sha256": chosen.digest,
        "calibration_images": str(len(chosen.every)),
        "options": json.dumps(_plain(options), sort_keys=True),
        "warnings": json.dumps(warnings),
    }


def _plain(options: CompileOptions) -> dict[str, object]:
    """All options; of a search those alone that are not as by default, and none without one."""
    plain: dict[str, object] = asdict(options)
    del plain["search"]
    if options.search.active:
        for each in fields(options.search):
            value = getattr(options.search, each.name)
            if value != each.default:
                plain[f"search_{each.name}"] = value
    return plain
