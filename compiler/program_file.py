"""Programs on disk: one safetensors file, refused unless every part of it is as it was written."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from spikec.compiler.arrays import Array
from spikec.compiler.connections import Connection
from spikec.compiler.errors import CompileError, ProgramFileError, Where
from spikec.compiler.exit_rule import ExitRule
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program, TailOp
from spikec.compiler.program_description import (
    FACTORS,
    FORMAT,
    POPULATIONS,
    Description,
    canonical,
    format_of,
)
from spikec.compiler.tensor_file import read_tensors

FIELDS = {"format", "digest", "checksum", "program", "provenance"}
MALFORMED = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(OverflowError, RecursionError),
)
"""What a description that is not ours makes of the code that reads it."""


def save(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a program; see Program.save."""
    program.save(path)


def load(path: str | os.PathLike[str]) -> Program:
    """The program in a file.

    Raises:
        ProgramFileError: The file is missing, foreign, damaged, or of a newer format.
        ProgramError: It is intact and breaks the integer contract.
        BoundError: It is intact and has a current that cannot be proved to fit.
    """
    name = os.fspath(path)
    arrays, text = read_tensors(path)
    try:
        return _program(arrays, text)
    except CompileError as error:
        raise error.in_file(str(name)) from error.__cause__
    except MALFORMED as error:
        problem = f"damaged: its description cannot be read ({type(error).__name__}: {error})"
        raise ProgramFileError(problem, Where(file=str(name)), HINT) from error


HINT = "make it again with 'spikec compile'"


def _program(arrays: dict[str, Array], text: str) -> Program:
    document = json.loads(text)
    version = document["format"]
    if type(version) is not int or version < 1:
        raise ProgramFileError(f"damaged: its format is {version!r}", hint=HINT)
    if version > FORMAT:
        problem = f"written in format {version}, this version reads formats up to {FORMAT}"
        raise ProgramFileError(problem, hint="install a newer spikec")
    if set(document) != FIELDS:
        raise ProgramFileError(f"damaged: its fields are {sorted(document)}", hint=HINT)
    if version != (own := format_of(document["program"])):
        problem = f"damaged: its format is {version}, its contents are of format {own}"
        raise ProgramFileError(problem, hint=HINT)
    _check("digest", Description(document["program"], arrays).digest, document["digest"])
    provenance = document["provenance"]
    seal = hashlib.sha256(canonical(provenance).encode()).hexdigest()
    _check("checksum", seal, document["checksum"])
    program = _rebuilt(document["program"], arrays, provenance)
    # Fields that were ignored, or arrays of another type, would change the digest.
    _check("digest", program.digest, document["digest"])
    return program


def _check(subject: str, actual: str, stored: str) -> None:
    if actual != stored:
        problem = f"damaged: its {subject} is {actual[:16]}…, {str(stored)[:16]}… was stored"
        raise ProgramFileError(problem, hint=HINT)


def _rebuilt(
    values: Mapping[str, Any], arrays: Mapping[str, Array], provenance: Mapping[str, str]
) -> Program:
    """The program; raises whatever its parts raise when the values do not fit them."""
    owned: defaultdict[str, dict[str, Array]] = defaultdict(dict)
    for name, array in arrays.items():
        owner, _, field = name.rpartition("/")
        owned[owner][field] = array
    settings = {name: _tupled(value) for name, value in values.items()}
    chosen = values["preprocessing"]
    parts: dict[str, Any] = {
        "populations": tuple(
            _made(POPULATIONS, record, owned[record["name"]]) for record in values["populations"]
        ),
        "connections": tuple(
            _connection(record, f"connections/{index}", owned)
            for index, record in enumerate(values["connections"])
        ),
        "tail": tuple(TailOp(**_tupled(record)) for record in values["tail"]),
        "preprocessing": None if chosen is None else Preprocessing(**_tupled(chosen)),
    }
    if "exit_rule" in settings:
        parts["exit_rule"] = ExitRule(**settings["exit_rule"])
    return Program(**(settings | parts), provenance=provenance)


def _connection(
    record: Mapping[str, Any], prefix: str, owned: Mapping[str, dict[str, Array]]
) -> Connection:
    factors = tuple(
        _made(FACTORS, factor, owned[f"{prefix}/{index}"])
        for index, factor in enumerate(record["factors"])
    )
    return Connection(**(dict(record) | {"factors": factors}))


def _made(kinds: Mapping[str, type], record: Mapping[str, Any], arrays: dict[str, Array]) -> Any:
    fields = _tupled({name: value for name, value in record.items() if name != "kind"})
    return kinds[record["kind"]](**fields, **arrays)


def _tupled(value: Any) -> Any:
    """JSON arrays as tuples."""
    if isinstance(value, list):
        return tuple(map(_tupled, value))
    if isinstance(value, dict):
        return {name: _tupled(item) for name, item in value.items()}
    return value
