"""Early exits on the command line of spikec compile: its options, and what it says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spikec.compiler.arrays import Array
from spikec.compiler.errors import CalibrationError, OptionError, Where
from spikec.compiler.program import Program
from spikec.runtime.array_files import split_array_name
from spikec.runtime.inputs import read_labels
from spikec.runtime.inspection import exit_text


def check_exits(loss: float | None, given: Mapping[str, object]) -> None:
    """OptionError for an option that says nothing without --exit-loss."""
    for option, value in given.items():
        if loss is None and value is not None:
            problem = f"{option} is given, and without --exit-loss no image leaves early"
            raise OptionError(problem, hint="add --exit-loss 1.0, or leave it out")


def labels_of(spec: str | None, inputs: str, drawn: Array | None) -> Array | None:
    """Labels of the calibration inputs; None if there are none.

    Args:
        spec: Where they are; ``:array`` alone names one in the inputs' file.
        inputs: Where the inputs are.
        drawn: Which images of a folder are used; None: all inputs.
    """
    if spec is None:
        return None
    found = read_labels(split_array_name(inputs)[0] + spec if spec.startswith(":") else spec)
    if drawn is None:
        return found
    last = int(drawn.max())
    if len(found) <= last:
        problem = f"there are {len(found)} labels, and image {last} of the folder needs one"
        raise CalibrationError(problem, Where(file=spec))
    return found[drawn]


def exit_facts(program: Program) -> dict[str, Any] | None:
    """What calibration found of the exit rule; None if there is none."""
    facts: dict[str, Any] | None = json.loads(program.provenance.get("exits", "null"))
    return facts


def exit_rows(program: Program) -> list[tuple[str, str]]:
    """The same as (what, value) lines; none if there is no rule."""
    facts = exit_facts(program)
    if facts is None:
        return []
    judged, lost = facts["judged_images"], facts["lost_images"]
    proof = "proven" if facts["proven"] else "not proven"
    return [
        ("early exit", exit_text(program.exit_rule)),
        ("mean time steps", f"{facts['mean_timesteps']:.2f} on {judged} images that judge"),
        ("images that left", f"{', '.join(map(str, facts['histogram']))} after step 1, 2, …"),
        ("images lost", f"{lost} of {judged}, told by {facts['right_by']}"),
        (
            "accuracy lost",
            f"{100 * lost / judged:.2f} points of {facts['loss_allowed']:g} allowed; "
            f"at most {facts['loss_bound_95']:.2f} (95 % bound): {proof}",
        ),
    ]
