"""Values that several commands read from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Annotated

import typer

from spikec.compiler.arrays import Array
from spikec.compiler.errors import CalibrationError, InputError, OptionError
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.runtime.preprocess import check_preprocessing

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
]
ArrayName = Annotated[
    str | None, typer.Option("--array", help="Array of the input .npz file.", metavar="NAME")
]
BackendName = Annotated[
    str, typer.Option("--backend", help="simulator, reference (the golden model, slow) or lava.")
]
GranularityName = Annotated[
    str | None,
    typer.Option(
        "--granularity",
        metavar="WHAT",
        help="A process of Lava is a layer (by default), or the network: faster, proves less.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Images that run at the same time; by default one per processor."
    ),
]
NoExit = Annotated[
    bool, typer.Option("--no-exit", help="All images take T steps; none leaves early.")
]
ProgramFile = Annotated[str, typer.Argument(metavar="PROGRAM", help="A compiled program.")]
InputFile = Annotated[
    str,
    typer.Argument(metavar="INPUT", help="file.npy, file.npz:array, an image, a folder of images."),
]


@contextmanager
def errors_in(file: str, array: str | None = None) -> Iterator[None]:
    """Errors of inputs that name no file speak of this one, or of an array in it."""
    try:
        yield
    except (CalibrationError, InputError) as error:
        raise error.in_file(f"{file}:{array}" if array else file) from error.__cause__


def payloads_of(program: Program, spec: str | None, samples: int, seed: int = 0) -> Array:
    """Input integers of the first inputs of a file; of random inputs where none is named.

    Args:
        program: Reads them.
        spec: file.npy, file.npz:array, an image or a folder of images.
        samples: How many inputs.
        seed: Of random inputs.
    """
    from spikec.runtime.encode import model_inputs, quantise
    from spikec.runtime.inputs import first_images, inputs_for
    from spikec.runtime.verify import random_inputs

    if spec is None:
        return random_inputs(program, samples, seed)
    source = first_images(inputs_for(program, spec), samples)
    with errors_in(spec):
        return quantise(program, model_inputs(program, source[: len(source)]))


def numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Numbers between commas; fractions such as 1/255 are allowed."""
    if text is None:
        return ()
    try:
        return tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError) as error:
        raise OptionError(
            f"{option} is {text!r}", hint=f"write numbers: {option} 0.5 or {option} 1/255,0.5,0.5"
        ) from error


def sizes(text: str | None, option: str) -> tuple[int, ...]:
    """Whole numbers ≥ 1 between "x" or commas; empty if nothing is given."""
    if text is None:
        return ()
    try:
        result = tuple(int(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        result = ()
    if not result or min(result) < 1:
        raise OptionError(f"{option} is {text!r}", hint=f"write whole numbers: {option} 224x224")
    return result


def one_or_two(text: str | None, option: str) -> tuple[int, ...]:
    """One size in pixels, or height and width; empty if nothing is given."""
    result = sizes(text, option)
    if len(result) > 2:
        raise OptionError(
            f"{option} is {text!r}", hint=f"write {option} 256, or height and width: 224x224"
        )
    return result


def preprocessing(
    scale: str | None, mean: str | None, std: str | None, layout: str | None,
    geometry: tuple[str | None, str | None],
) -> Preprocessing | None:  # fmt: skip
    """What the options say about raw inputs; None if they say nothing.

    Args:
        scale: --scale.
        mean: --mean.
        std: --std.
        layout: --layout.
        geometry: --resize and --crop.
    """
    if all(option is None for option in (scale, mean, std, layout, *geometry)):
        return None
    factor = numbers(scale, "--scale") or (1.0,)
    if len(factor) != 1:
        raise OptionError(f"--scale is {scale!r}", hint="write one number: --scale 1/255")
    resize, crop = one_or_two(geometry[0], "--resize"), one_or_two(geometry[1], "--crop")
    result = Preprocessing(
        resize=None if not resize else resize[0] if len(resize) == 1 else (resize[0], resize[1]),
        crop=(crop[0], crop[-1]) if crop else None,
        scale=factor[0],
        mean=numbers(mean, "--mean") or (0.0,),
        std=numbers(std, "--std") or (1.0,),
        layout=layout or "",
    )
    check_preprocessing(result)
    return result


def at_least_one(value: int | None, option: str) -> None:
    """Raise OptionError for a count below 1."""
    if value is not None and value < 1:
        raise OptionError(f"{option} is {value}", hint="use 1 or more")
