"""Cost tables: TOML files with the energy per operation, and what they are multiplied with."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from spikec.compiler.errors import InputError, Where
from spikec.runtime.operations import Operation

TABLES = ("cmos45_fp32", "cmos45_int8", "loihi1_2018")
"""Names of the tables that come with spikec."""

KINDS = ("measured", "simulated", "derived", "quoted")
UNITS = {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3}
NETWORKS = ("snn", "ann", "orientation")
"""An estimate for orientation alone is printed, but nothing is divided by it."""


@dataclass(frozen=True)
class Figure:
    """Energy of one operation.

    Attributes:
        name: Key in the table.
        picojoules: Per operation; for a figure that grows with the activation's width, its
            constant part.
        picojoules_per_bit: Growth per bit of the activation; only for dense multiply-accumulates.
        kind: How far to trust it: measured, simulated, derived or quoted.
        source: Publication, table, or formula.
        note: What to know when reading it.
    """

    name: str
    picojoules: float
    picojoules_per_bit: float
    kind: str
    source: str
    note: str


@dataclass(frozen=True)
class Term:
    """One summand of an estimate.

    Attributes:
        name: For the report.
        operation: What is counted; None where nothing is counted for it.
        figure: Energy per operation; None: the report says "no figure".
        missing: Why there is no figure.
    """

    name: str
    operation: Operation | None
    figure: Figure | None
    missing: str


@dataclass(frozen=True)
class EstimateRecipe:
    """Which terms make up one estimate of the energy of one inference.

    Attributes:
        name: For the report.
        network: "snn", "ann" or "orientation".
        terms: Summands.
    """

    name: str
    network: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class CostTable:
    """A cost table.

    Attributes:
        name: File name without suffix.
        title: One line.
        process: Technology and voltage.
        left_out: What no estimate of this table contains.
        figures: By name.
        estimates: In the order of the report.
    """

    name: str
    title: str
    process: str
    left_out: tuple[str, ...]
    figures: Mapping[str, Figure]
    estimates: tuple[EstimateRecipe, ...]


def load_cost_table(name: str | os.PathLike[str]) -> CostTable:
    """A table that comes with spikec, by name, or any TOML file of the same form, by path.

    Raises:
        InputError: The file is missing, not TOML, or a key is missing or of the wrong kind;
            names file and key.
    """
    text = os.fspath(name)
    if text in TABLES:
        content = resources.files("spikec.runtime.costs").joinpath(f"{text}.toml").read_text("utf8")
        return _table(_Section(tomllib.loads(content), f"{text}.toml"), text)
    try:
        with Path(name).open("rb") as stream:
            return _table(_Section(tomllib.load(stream), text), Path(name).stem)
    except OSError as error:
        hint = f"give a path, or one of {', '.join(TABLES)}"
        raise InputError(f"cannot be read: {error.strerror}", Where(file=text), hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a TOML file: {error}", Where(file=text)) from error


@dataclass(frozen=True)
class _Section:
    """A part of a TOML file that knows where it stands."""

    values: object
    file: str
    key: str = ""

    def error(self, problem: str, key: str = "", hint: str = "") -> InputError:
        path = ".".join(part for part in (self.key, key) if part)
        return InputError(problem, Where(path or None, file=self.file), hint)

    def has(self, key: str) -> bool:
        return isinstance(self.values, dict) and key in self.values

    def _get(self, key: str) -> object:
        if not isinstance(self.values, dict):
            raise self.error("is no table of keys and values")
        if key not in self.values:
            raise self.error("is missing", key)
        return self.values[key]

    def known(self, *keys: str) -> None:
        for key in self.values if isinstance(self.values, dict) else ():
            if key not in keys:
                raise self.error("is no key of a cost table", key, f"keys are {', '.join(keys)}")

    def text(self, key: str, allowed: tuple[str, ...] = ()) -> str:
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise self.error(f"is {value!r}; text is needed", key)
        if allowed and value not in allowed:
            raise self.error(f"is {value!r}", key, f"choose from {', '.join(allowed)}")
        return value

    def optional_text(self, key: str) -> str:
        return self.text(key) if self.has(key) else ""

    def number(self, key: str) -> float:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"is {value!r}; a number is needed", key)
        if not math.isfinite(value) or value < 0:
            raise self.error(f"is {value}; it must be 0 or more and finite", key)
        return float(value)

    def section(self, key: str) -> _Section:
        return _Section(self._get(key), self.file, ".".join(p for p in (self.key, key) if p))

    def sections(self, key: str) -> list[_Section]:
        values = self._get(key)
        if not isinstance(values, list) or not values:
            raise self.error("is no list, or an empty one", key)
        base = ".".join(part for part in (self.key, key) if part)
        return [_Section(v, self.file, f"{base}[{i}]") for i, v in enumerate(values)]

    def names(self) -> tuple[str, ...]:
        if not isinstance(self.values, dict):
            raise self.error("is no table of keys and values")
        return tuple(self.values)


def _table(root: _Section, name: str) -> CostTable:
    root.known("title", "process", "left_out", "figures", "estimates")
    left_out = root.sections("left_out")
    for entry in left_out:
        if not isinstance(entry.values, str):
            raise entry.error(f"is {entry.values!r}; text is needed")
    listed = root.section("figures")
    figures = {key: _figure(listed.section(key), key) for key in listed.names()}
    return CostTable(
        name=name,
        title=root.text("title"),
        process=root.text("process"),
        left_out=tuple(str(entry.values) for entry in left_out),
        figures=figures,
        estimates=tuple(_recipe(entry, figures) for entry in root.sections("estimates")),
    )


def _figure(section: _Section, name: str) -> Figure:
    section.known("value", "per_activation_bit", "unit", "kind", "source", "note")
    factor = UNITS[section.text("unit", tuple(UNITS))]
    per_bit = section.number("per_activation_bit") if section.has("per_activation_bit") else 0.0
    return Figure(
        name=name,
        picojoules=section.number("value") * factor,
        picojoules_per_bit=per_bit * factor,
        kind=section.text("kind", KINDS),
        source=section.text("source"),
        note=section.optional_text("note"),
    )


def _recipe(section: _Section, figures: Mapping[str, Figure]) -> EstimateRecipe:
    section.known("name", "network", "terms")
    return EstimateRecipe(
        section.text("name"),
        section.text("network", NETWORKS),
        tuple(_term(entry, figures) for entry in section.sections("terms")),
    )


def _term(section: _Section, figures: Mapping[str, Figure]) -> Term:
    section.known("name", "count", "figure", "missing")
    operation = None
    if section.has("count"):
        operation = Operation(section.text("count", tuple(Operation)))
    name = section.text("name")
    if not section.has("figure"):
        return Term(name, operation, None, section.text("missing"))
    figure = figures[section.text("figure", tuple(figures))]
    if operation is None:
        raise section.error("is missing, and a figure is given", "count")
    if figure.picojoules_per_bit and operation is not Operation.ANN_MACS:
        raise section.error(
            f"is {figure.name!r}, which grows with the activation's width", "figure",
            f"use it with count = {Operation.ANN_MACS.value!r}",
        )  # fmt: skip
    return Term(name, operation, figure, "")
