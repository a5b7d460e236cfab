"""Sizes and names of modules and functions; raising a limit is a visible decision."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from source_tree import ALL_FILES, ROOT, SOURCES, TREES, check, functions, python_files

MODULE_LINES = 300
PASS_LINES = 200
TEST_LINES = 400
FUNCTION_LINES = 40
PARAMETERS = 5
LINES_OF = {"spikec": 60, "spikec.compiler.pipeline": 110}

FORBIDDEN_MODULES = {
    *("util", "utils", "common", "core", "misc", "config", "types", "constants", "helper"),
    *("helpers", "manager", "data", "info"),
}
FORBIDDEN_WORDS = {"util", "utils", "helper", "helpers", "manager", "misc", "info", "do", "handle"}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement behind the docstring to the last."""
    body = function.body[ast.get_docstring(function, clean=False) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters that may be given by position, self and cls aside."""
    arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    return len(arguments) - (arguments[:1] in (["self"], ["cls"]))


def line_count(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def line_limit(file: Path) -> int:
    if file.is_relative_to(ROOT / "tests"):
        return TEST_LINES
    if file.is_relative_to(ROOT / "compiler" / "passes"):
        return PASS_LINES
    return next((LINES_OF[m] for m in LINES_OF if SOURCES.get(m) == file), MODULE_LINES)


def test_modules_keep_their_budget() -> None:
    check(
        f"{file.relative_to(ROOT)}: {line_count(file)} lines, limit {line_limit(file)}"
        for file in ALL_FILES
        if line_count(file) > line_limit(file)
    )


def test_functions_keep_their_budget() -> None:
    check(
        f"{file.relative_to(ROOT)}: {function.name} has {actual} {what}, limit {limit}"
        for file in (*SOURCES.values(), *python_files("models"))
        for function in functions(ast.parse(file.read_text(encoding="utf-8")))
        for what, actual, limit in (
            ("lines", body_lines(function), FUNCTION_LINES),
            ("parameters", parameters(function), PARAMETERS),
        )
        if actual > limit
    )


def test_totals_per_folder_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    totals = {
        folder: [line_count(file) for file in python_files(folder)]
        for folder in ("compiler", "backends", "runtime", "models", "tests")
    }
    rows = (f"{k}: {sum(v):,} lines in {len(v)} files" for k, v in totals.items())
    with capsys.disabled():
        print(" ", "; ".join(rows), end=" ")
    assert all(totals.values())


def test_names_say_what_things_are() -> None:
    paths = (file.relative_to(ROOT).with_suffix("") for file in ALL_FILES)
    check(str(path) for path in paths if FORBIDDEN_MODULES & {*path.parts})
    check(
        f"{module}: {node.name}"
        for module, tree in TREES.items()
        for node in (*functions(tree), *(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)))
        if FORBIDDEN_WORDS & {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", node.name)}
    )
