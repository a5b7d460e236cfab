"""The worker's files: Python 3.10, and what they may import."""

from __future__ import annotations

import ast
import sys

import pytest
from source_tree import SOURCES, check, imports, within

WORKER = "spikec.backends.lava.worker"
FILES = {name: file for name, file in SOURCES.items() if within(name, WORKER)}
OWN = {name.removeprefix(f"{WORKER}.").split(".")[0] for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_python_3_10_can_read_it(name: str) -> None:
    ast.parse(FILES[name].read_text(encoding="utf-8"), feature_version=(3, 10))


def test_it_imports_only_numpy_lava_the_standard_library_and_itself() -> None:
    allowed = {"numpy", "lava", *OWN, *sys.stdlib_module_names}
    check(
        f"{name} imports {imported}"
        for name, file in FILES.items()
        for imported, _ in imports(ast.parse(file.read_text(encoding="utf-8")))
        if imported.split(".")[0] not in allowed
    )


def test_kernels_know_nothing_of_lava() -> None:
    check(
        f"{name} imports {imported}"
        for name, file in FILES.items()
        if within(name, f"{WORKER}.kernels")
        for imported, _ in imports(ast.parse(file.read_text(encoding="utf-8")))
        if within(imported, "lava")
    )


def test_beside_processes_stands_nothing_that_runs_when_it_is_imported() -> None:
    # Lava imports every file beside one that defines a process.
    definitions = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef)
    check(
        f"{name}, line {node.lineno}"
        for name, file in FILES.items()
        if within(name, f"{WORKER}.processes")
        for node in ast.parse(file.read_text(encoding="utf-8")).body[1:]
        if not isinstance(node, definitions)
    )
