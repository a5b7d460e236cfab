"""spikec doctor: whether the Lava backend can run, what was tried, what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from spikec.runtime.cli.console import print_json, print_note, print_pairs, print_table, remark
from spikec.runtime.cli.options import AsJson


def doctor(
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="Try this interpreter and no other.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what the Lava backend finds here, how each interpreter answered, and what to do.

    Exit code 1 if it cannot run; everything else in spikec then still does.

    \b
    spikec doctor
    spikec doctor --json
    """  # noqa: D301
    from spikec.runtime.doctor import examination_dict, examine

    found = examine(python, remark)
    content = examination_dict(found)
    if as_json:
        print_json(content)
    else:
        names = ("spikec", "python", "system")
        print_pairs([(name, str(content[name])) for name in names])
        for title, proofs in (
            ("Python 3.10 with Lava", found.environments),
            ("Python 3.10 that one can be made from", found.bases),
        ):
            rows = [
                (p.candidate.origin, p.candidate.python, p.failure or f"works: {p.version}")
                for p in proofs
            ]
            if rows:
                print_table(title, ("why it was tried", "interpreter", "result"), rows, 3)
        print_pairs(
            [
                ("free shared memory", _mebibytes(found.shared_memory_bytes)),
                ("free for jobs", _mebibytes(found.temporary_bytes)),
                ("a small program", found.trial.split("\n")[0] or "not run"),
                ("the Lava backend", "can run" if found.usable else "cannot run"),
            ]
        )
        if found.trial_failed:
            print_note(found.trial)
        for advice in found.advice:
            print_note(f"to do: {advice}")
    if not found.usable:
        raise typer.Exit(1)


def _mebibytes(number: int | None) -> str:
    return "none" if number is None else f"{number / 2**20:,.0f} MiB"
