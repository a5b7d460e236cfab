"""Which calibrating passes run, in which order: pipelines by name, or a list of the user's own."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from spikec.compiler.errors import OptionError
from spikec.compiler.options import CompileOptions
from spikec.compiler.search_options import BUDGETS, NO_SEARCH, SearchOptions

PRESETS: Mapping[str, Mapping[str, object]] = {
    "none": {"bias_rounds": 0},
    "light": {},
    "advanced": {"weight_calibration": "gradient", "potential_calibration": True},
    "adaptive": {"search_phi": True, "compress": True, "accuracy_loss": 1.5},
    "best": {"weight_calibration": "gradient", "reuse_silent": True},
}
"""Options by pipeline, where the user says nothing else.

none: thresholds of least squared error, nothing more.
light: biases too (paper 1, ICML 2021, "light"); thresholds and delays are searched with them.
advanced: light, then weights, with torch all at once, else layer by layer; then potentials, which
    tie the program to one framing of the images (paper 1, "advanced").
adaptive: φ per layer, then biases, spike compression, and biases again (paper 2, AAAI 2025), the
    cheapest that loses at most 1.5 points of agreement with the ANN on images held out.
best: light, within a budget, if one is given, with all that adaptive searches; then weights, with
    torch all at once, else layer by layer, kept if images that are held back gain by it. Silent
    channels carry copies, unless all channels of a layer share a threshold.
"""

DEFAULT_PIPELINE = "light"

_GIVEN_AS = {"phi": "search_phi", "compression": "compress", "images": "search_images"}
"""Names under which a user gives those options of a search that would be read otherwise."""


def chosen_options(pipeline: str, given: Mapping[str, object]) -> CompileOptions:
    """All options, those of the pipeline where none are given.

    Args:
        pipeline: Of PRESETS.
        given: By name: fields of CompileOptions, and fields of its ``search``, of which ``phi``,
            ``compression`` and ``images`` as ``search_phi``, ``compress`` and ``search_images``.

    Raises:
        OptionError: An unknown name, or a value out of range.
    """
    if pipeline not in PRESETS:
        raise OptionError(f"pipeline is {pipeline!r}", hint=f"choose from {', '.join(PRESETS)}")
    preset = dict(PRESETS[pipeline])
    if "weight_calibration" in preset and importlib.util.find_spec("torch") is None:
        preset["weight_calibration"] = "fit"
    if any(given.get(name) is not None for name in BUDGETS):
        preset.pop("accuracy_loss", None)
        if pipeline == "best":
            preset |= {"search_phi": True, "compress": True}
    if given.get("threshold_per") == "layer":
        preset.pop("reuse_silent", None)
    values: dict[str, Any] = preset | dict(given)
    of_search = {_GIVEN_AS.get(f.name, f.name): f.name for f in fields(SearchOptions)}
    known = {f.name for f in fields(CompileOptions)}
    unknown = [name for name in values if name not in known and name not in of_search]
    if unknown:
        raise OptionError(
            f"there is no option {unknown[0]!r}",
            hint=f"the options are {', '.join(sorted(known | set(of_search)))}",
        )
    search = values.pop("search", NO_SEARCH)
    search = replace(search, **{of_search[n]: v for n, v in values.items() if n in of_search})
    return CompileOptions(search=search, **{n: v for n, v in values.items() if n in known})


_BEHIND = {
    "calibrate-thresholds": "",
    "quantize-weights": "calibrate-thresholds",
    "assign-firing": "quantize-weights",
    "calibrate-bias": "quantize-weights",
    "compress-spikes": "quantize-weights",
    "calibrate-weights": "quantize-weights",
    "calibrate-potential": "quantize-weights",
}
"""Each pass that can be asked for, and the one that has to stand somewhere before it."""


def pass_names(options: CompileOptions) -> tuple[str, ...]:
    """The calibrating passes that the options ask for, in order.

    Raises:
        OptionError: A list of the user's own names an unknown pass, or one out of place.
    """
    if options.passes:
        check_passes(options.passes)
        return options.passes
    search = options.search
    steps = (
        ("calibrate-thresholds", True),
        ("quantize-weights", True),
        ("assign-firing", search.firing),
        ("calibrate-bias", options.bias_rounds > 0),
        ("compress-spikes", search.compression),
        ("calibrate-weights", options.weight_calibration == "gradient"),
        ("calibrate-potential", options.potential_calibration),
    )
    return tuple(name for name, wanted in steps if wanted)


def check_passes(names: Sequence[str]) -> None:
    """OptionError if these passes cannot run in this order."""
    for position, name in enumerate(names):
        if name not in _BEHIND:
            raise OptionError(f"passes holds {name!r}", hint=f"choose from {', '.join(_BEHIND)}")
        if _BEHIND[name] and _BEHIND[name] not in names[:position]:
            raise OptionError(
                f"passes has {name} without {_BEHIND[name]} before it",
                hint="a pass needs what those before it have chosen",
            )
    if "quantize-weights" not in names:
        raise OptionError(
            f"passes is {', '.join(names)}: no program without quantize-weights",
            hint="end with it, or with passes that stand behind it",
        )
