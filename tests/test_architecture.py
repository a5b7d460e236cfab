"""The rules that hold the source tree together: who imports whom, packaging, types, style."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from source_tree import (
    ALL_FILES,
    PACKAGE_DIR,
    PACKAGES,
    PROJECT,
    ROOT,
    SOURCES,
    TREES,
    check,
    for_types_only,
    functions,
    imports,
    internal_imports,
    module_name,
    python_files,
    within,
)

# A compiler module imports only from its own line and the lines above it.
COMPILER_LAYERS = (
    ("errors", "arrays", "softmax", "tensor_file"),
    ("preprocessing", "populations", "connections", "exit_rule"),
    ("search_options",),
    ("options",),
    ("fixed_point", "encoding", "ir"),
    ("structure", "geometry", "fan_outs", "bounds", "program_structure", "program_description"),
    ("program",),
    ("program_file", "simulation", "macs"),
    ("ops",),
    ("paths", "path_scales", "channels", "tail", "copies"),
    ("copied_channels", "count_errors", "coverage", "drives"),
    ("quantization", "integers", "mmse", "balancing", "frontier", "weight_inputs"),
    ("neuron_search", "weight_fit", "windows"),
    ("frontend",),
    ("ann",),
    ("frontend.load",),  # holds the imported graph against the file by onnxruntime
    ("activations", "calibration", "regions"),
    ("expected_activations",),
    ("thresholds",),
    ("walk", "error_terms", "rounding_costs", "silent_channels", "influences"),
    ("gradient", "network_macs"),
    ("copy_assignment",),
    ("lower", "exit_ladder"),
    ("search",),
    ("invariants",),
    ("passes",),
    ("report", "searching"),
    ("pipelines", "calibrating"),
    ("exit_calibration",),
    ("pipeline",),
)
BACKENDS_MAY_IMPORT = {
    f"spikec.compiler.{module}"
    for module in (
        *("errors", "arrays", "populations", "connections", "preprocessing", "program"),
        *("program_file", "bounds", "simulation", "geometry", "fan_outs"),
    )
} | {f"spikec.backends.{module}" for module in ("base", "counts", "folders", "tally")}
# The golden model is a second opinion: it computes these itself.
REFERENCE_MAY_NOT_IMPORT = {
    *("spikec.compiler.bounds", "spikec.compiler.geometry", "spikec.compiler.fan_outs"),
    "spikec.backends.counts",
    "spikec.backends.tally",
}

# Runs in an environment of its own, where it is started by path.
WORKER = "spikec.backends.lava.worker"

# The only modules, or packages, that may import a library.
LIBRARIES = {
    "networkx": "spikec.compiler.ir",
    "onnx": "spikec.compiler.frontend",
    "onnxslim": "spikec.compiler.frontend.simplify",
    "onnxruntime": "spikec.compiler.ann",
    "safetensors": "spikec.compiler.tensor_file",
    "llvmlite": "spikec.backends.simulator.events",
    "typer": "spikec.runtime.cli",
    "rich": "spikec.runtime.cli",
    "google": "spikec.compiler.frontend",  # protobuf
    "PIL": "spikec.runtime",
    "torch": "spikec.compiler.gradient",
    "lava": WORKER,
}
INSIDE_FUNCTIONS_ONLY = {"onnxslim", "torch"}
NEVER_IMPORTED = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"}


def layer(module: str) -> int | None:
    """Place of a compiler module in the table; that of its package if it has none of its own."""
    name = module.removeprefix("spikec.compiler.")
    places = {part: i for i, names in enumerate(COMPILER_LAYERS) for part in names}
    return places.get(name, places.get(name.split(".")[0]))


def test_every_compiler_module_has_a_layer() -> None:
    modules = (m for m in SOURCES if within(m, "spikec.compiler") and m != "spikec.compiler")
    check([module for module in modules if layer(module) is None])


def test_compiler_modules_import_leftwards_only() -> None:
    check(
        f"{module} imports {imported}"
        for module, imported in internal_imports()
        if within(module, "spikec.compiler")
        and not (
            within(imported, "spikec.compiler")
            and imported != "spikec.compiler"
            and (layer(imported) or 0) <= (layer(module) or 0)
        )
    )


def test_passes_do_not_import_each_other() -> None:
    passes, base = "spikec.compiler.passes", "spikec.compiler.passes.base"
    check(
        f"{module} imports {imported}"
        for module, imported in internal_imports()
        if within(imported, passes) and imported not in (passes, base, module)
        if within(module, passes) and module != passes
    )


def test_backends_import_only_the_program_and_their_own_folder() -> None:
    check(
        f"{module} imports {imported}"
        for module, imported in internal_imports()
        if within(module, "spikec.backends") and module != "spikec.backends"
        if not within(imported, ".".join(module.split(".")[:3]))  # its own folder
        if imported not in BACKENDS_MAY_IMPORT
        or (within(module, "spikec.backends.reference") and imported in REFERENCE_MAY_NOT_IMPORT)
    )


def test_nothing_imports_the_root_package() -> None:
    check(
        f"{module} imports {imported}"
        for module, imported in internal_imports()
        if imported == "spikec" or within(imported, "spikec.runtime.spikec")
    )


def test_nothing_below_the_runtime_imports_it() -> None:
    check(
        f"{module} imports {imported}"
        for module, imported in internal_imports()
        if within(imported, "spikec.runtime") and not module.startswith("spikec.runtime")
        if module not in ("spikec", "spikec.__main__")
    )


def test_no_import_is_circular() -> None:
    graph: dict[str, set[str]] = {module: set() for module in SOURCES}
    for module, imported in internal_imports():
        graph[module].add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_libraries_are_imported_where_they_belong() -> None:
    check(
        f"{module} imports {imported}"
        for module, tree in TREES.items()
        for imported, statement in imports(tree)
        if id(statement) not in for_types_only(tree)
        for library, home in LIBRARIES.items()
        if within(imported, library) and not within(module, home)
    )


def test_slow_libraries_are_imported_inside_functions() -> None:
    for module, tree in TREES.items():
        inside = {id(node) for function in functions(tree) for node in ast.walk(function)}
        inside |= for_types_only(tree)
        check(
            f"{module} imports {imported} at once"
            for imported, statement in imports(tree)
            if imported.split(".")[0] in INSIDE_FUNCTIONS_ONLY and id(statement) not in inside
        )


def test_every_library_is_a_declared_dependency() -> None:
    declared = {
        re.split(r"[^\w-]", requirement)[0].lower()
        for requirement in (
            *PROJECT["project"]["dependencies"],
            *PROJECT["project"]["optional-dependencies"]["torch"],
        )
    }
    names = {"PIL": "pillow", "google": "protobuf"}
    check(
        f"{module} imports {imported}"
        for module, tree in TREES.items()
        if not within(module, WORKER)
        for imported, _ in imports(tree)
        if (top := imported.split(".")[0]) != "spikec" and top not in sys.stdlib_module_names
        if names.get(top, top) not in declared
    )


def test_importing_spikec_loads_no_slow_or_optional_library() -> None:
    program = "import spikec, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {*INSIDE_FUNCTIONS_ONLY, "typer", "rich", "pickletools"} & {*loaded.stdout.split()}


def test_nothing_unpickles() -> None:
    check(
        f"{module} imports {imported}"
        for module, tree in TREES.items()
        for imported, _ in imports(tree)
        if imported.split(".")[0] in NEVER_IMPORTED
    )
    check(
        f"{module}, line {node.value.lineno}: allow_pickle"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle"
        if not (isinstance(node.value, ast.Constant) and node.value.value is False)
    )


def test_imports_are_absolute() -> None:
    check(
        f"{file.relative_to(ROOT)}, line {node.lineno}"
        for file in ALL_FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    )


def test_packaging_list_equals_the_folders_on_disk() -> None:
    # A folder missing from the list works when editable and is silently absent from the wheel.
    folders = {module_name(file.parent / "__init__.py") for file in SOURCES.values()}
    assert sorted(PACKAGES) == sorted(folders)


def test_every_package_has_an_init_module() -> None:
    check(str(f.parent) for f in SOURCES.values() if not (f.parent / "__init__.py").exists())


def test_every_packaged_file_that_is_no_module_is_declared() -> None:
    declared = PROJECT["tool"]["setuptools"]["package-data"]
    check(
        str(file)
        for folder in {file.parent for file in SOURCES.values()}
        for file in folder.iterdir()
        if file.is_file() and file.suffix not in (".py", ".pyc")
        if not any(map(file.match, declared.get(module_name(folder / "__init__.py"), ())))
    )


def test_tests_are_no_package() -> None:
    check(str(file) for file in python_files("tests") if file.name == "__init__.py")


def test_types_are_strict(tmp_path: Path) -> None:
    # No type checker follows package-dir, so the packages are linked into a tree of their names.
    for package, folder in sorted(PACKAGE_DIR.items(), key=lambda item: item[0].count(".")):
        link = tmp_path.joinpath(*package.split("."))
        if package == "spikec":  # a real folder, so that the others can be linked into it
            link.mkdir()
            for file in filter(Path.is_file, (ROOT / folder).iterdir()):
                (link / file.name).symlink_to(file)
        else:
            link.symlink_to(ROOT / folder)
    options = ("--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache")
    run_tool("mypy", *options, "-p", "spikec", folder=tmp_path)


def test_ruff_finds_nothing() -> None:
    run_tool("ruff", "check", "--quiet", ".", folder=ROOT)


def test_files_are_formatted() -> None:
    run_tool("ruff", "format", "--quiet", "--diff", ".", folder=ROOT)


def run_tool(tool: str, *arguments: str | Path, folder: Path) -> None:
    """Fail with what the tool prints, unless it exits 0."""
    command = [sys.executable, "-m", tool, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
