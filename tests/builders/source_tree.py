"""The project's own source files, parsed: for tests of the rules that hold them together."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE_DIR: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
PACKAGES: list[str] = PROJECT["tool"]["setuptools"]["packages"]


def module_name(file: Path) -> str:
    """The dotted name that a source file is imported by."""
    relative = file.relative_to(ROOT).with_suffix("")
    for package, folder in sorted(PACKAGE_DIR.items(), key=lambda item: -len(item[1])):
        if relative.is_relative_to(folder):
            name = ".".join([package, *relative.relative_to(folder).parts])
            return name.removesuffix(".__init__")
    raise AssertionError(f"{file} belongs to no package")


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


SOURCES = {module_name(f): f for f in python_files("compiler", "backends", "runtime")}
TREES = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in SOURCES.items()}
ALL_FILES = (*SOURCES.values(), *python_files("models", "tests"))


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that is imported, by its full name, and the statement that does it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield (submodule if submodule in SOURCES else node.module), node


def for_types_only(tree: ast.AST) -> set[int]:
    """Identities of the statements under ``if TYPE_CHECKING``, which never run."""
    guards = (n for n in ast.walk(tree) if isinstance(n, ast.If))
    guarded = (g for g in guards if isinstance(g.test, ast.Name) and g.test.id == "TYPE_CHECKING")
    return {id(node) for guard in guarded for node in ast.walk(guard)}


def internal_imports() -> Iterator[tuple[str, str]]:
    for name, tree in TREES.items():
        for imported, _ in imports(tree):
            if imported == "spikec" or imported.startswith("spikec."):
                yield name, imported


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def check(violations: Iterable[str]) -> None:
    """Fail with all violations, one per line."""
    found = list(violations)
    assert not found, "\n" + "\n".join(found)
