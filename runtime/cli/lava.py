"""spikec lava: the Python 3.10 that the Lava backend needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikec.runtime.cli.console import print_json, print_pairs, remark
from spikec.runtime.cli.options import AsJson


def setup(
    folder: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Where it goes; by default into the user's cache."),
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="The Python 3.10 that it is made from.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the environment of the Lava backend: Python 3.10, Lava and pinned libraries, 300 MB.

    One that is there and works is left as it is.

    \b
    spikec lava setup
    spikec lava setup --python ~/.pyenv/versions/3.10.13/bin/python
    """  # noqa: D301
    from spikec.backends.lava.environment import LAVA_PYTHON
    from spikec.backends.lava.installation import set_up

    proof = set_up(Path(folder) if folder else None, python, remark)
    interpreter = proof.candidate.python
    if as_json:
        print_json(
            {"python": interpreter, "version": proof.version, "libraries": dict(proof.libraries)}
        )
        return
    print_pairs([("interpreter", interpreter), *sorted(proof.libraries.items())])
    if folder:
        print(f"To use it: export {LAVA_PYTHON}={interpreter}")


def lava_application() -> typer.Typer:
    """The group of commands."""
    application = typer.Typer(rich_markup_mode="rich")
    application.callback()(_root)
    application.command("setup")(setup)
    return application


def _root() -> None:
    """The environment of the Lava backend.

    \b
    spikec lava setup
    """  # noqa: D301
