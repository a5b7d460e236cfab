"""spikec check: every node that cannot be converted, at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from spikec.compiler.errors import CompileError, ModelFileError
from spikec.runtime.cli.console import print_json, print_note
from spikec.runtime.cli.failure import error_dict
from spikec.runtime.cli.options import AsJson, sizes
from spikec.runtime.report import Json


def check(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    input_shape: Annotated[
        str | None,
        typer.Option(metavar="C,H,W", help="Shape without batch axis, if the file leaves it open."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List every node of MODEL that cannot be converted; exit code 1 if there is one.

    \b
    spikec check net.onnx
    spikec check net.onnx --input-shape 3,224,224
    spikec check net.onnx --json
    """  # noqa: D301
    from spikec.runtime.compile import check_model

    findings = check_model(model, input_shape=sizes(input_shape, "--input-shape") or None)
    for finding in findings:
        if isinstance(finding, ModelFileError):  # no model, so no nodes to list
            raise finding
    if as_json:
        listed: list[Json] = [error_dict(finding) for finding in findings]
        print_json({"model": model, "convertible": not findings, "findings": listed})
    elif findings:
        print(f"{model}: {_number(len(findings))} cannot be converted")
        _print(findings)
    else:
        print(f"{model}: every node can be converted")
    if findings:
        raise typer.Exit(1)


def _number(findings: int) -> str:
    return "1 node" if findings == 1 else f"{findings} nodes"


def _print(findings: Sequence[CompileError]) -> None:
    """Each problem once, with its way out, and the nodes that have it, one in a line."""
    groups: dict[tuple[str, str], list[CompileError]] = {}
    for finding in findings:
        groups.setdefault((finding.problem, finding.hint), []).append(finding)
    for (problem, hint), members in groups.items():
        print()
        print_note(problem)
        for finding in members:
            print(f"  {finding.where.op or ''} '{finding.where.node or ''}'")
        if hint:
            print_note(f"hint: {hint}", indent=2)
