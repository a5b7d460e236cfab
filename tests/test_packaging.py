"""A wheel, ``pip install .`` and ``pip install -e .`` give the whole package and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION = PROJECT["project"]["version"]
SETUPTOOLS = PROJECT["tool"]["setuptools"]
NOT_OURS = ("compiler", "backends", "runtime", "models", "tests")


def run(*command: str | Path, folder: Path) -> str:
    """What the command prints; a failure shows its errors."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def package_folder(package: str) -> Path:
    """Where the files of a package lie."""
    root = max((p for p in SETUPTOOLS["package-dir"] if f"{package}.".startswith(f"{p}.")), key=len)
    return ROOT.joinpath(
        SETUPTOOLS["package-dir"][root], *package.split(".")[root.count(".") + 1 :]
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, so that building leaves nothing in the repository."""
    copy = tmp_path_factory.mktemp("source")
    for folder in SETUPTOOLS["package-dir"].values():
        shutil.copytree(
            ROOT / folder,
            copy / folder,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    command = ("-m", "build", "--wheel", "--no-isolation", "--outdir", target, ".")
    run(sys.executable, *command, folder=source)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An empty virtual environment that sees the libraries of the running one."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    # Folders named in a .pth file are searched, but not for further .pth files: the editable
    # install that the tests may run in stays invisible.
    (site_packages / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    return folder


def install(environment: Path, *what: str | Path, folder: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install")
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", *what, folder=folder)


def check_installed(environment: Path, folder: Path, home: Path) -> None:
    """The package lies in ``home``, both commands answer, no other name can be imported."""
    python = environment / "bin" / "python"
    assert VERSION in run(environment / "bin" / "spikec", "--version", folder=folder)
    assert VERSION in run(python, "-m", "spikec", "--version", folder=folder)
    imported = "; ".join(f"import {package}" for package in SETUPTOOLS["packages"])
    where = run(python, "-c", f"{imported}; print(spikec.__file__)", folder=folder)
    assert Path(where.strip()).is_relative_to(home)
    leaked = f"from importlib.util import find_spec; print([n for n in {NOT_OURS} if find_spec(n)])"
    assert run(python, "-c", leaked, folder=folder).strip() == "[]"


def test_the_wheel_holds_every_module_and_declared_file_and_nothing_else(wheel: Path) -> None:
    expected = {
        f"{package.replace('.', '/')}/{file.name}"
        for package in SETUPTOOLS["packages"]
        for pattern in ("*.py", *SETUPTOOLS["package-data"].get(package, ()))
        for file in package_folder(package).glob(pattern)
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected
    assert "spikec/py.typed" in names


def test_the_wheel_installs(environment: Path, wheel: Path, tmp_path: Path) -> None:
    install(environment, wheel, folder=tmp_path)
    check_installed(environment, tmp_path, home=environment)


def test_the_folder_installs(environment: Path, source: Path, tmp_path: Path) -> None:
    install(environment, source, folder=tmp_path)
    check_installed(environment, tmp_path, home=environment)
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    installed = {path.name for path in site_packages.iterdir()} - {"libraries.pth"}
    assert installed == {"spikec", f"spikec-{VERSION}.dist-info"}


def test_the_folder_installs_editable(environment: Path, source: Path, tmp_path: Path) -> None:
    install(environment, "-e", source, folder=tmp_path)
    check_installed(environment, tmp_path, home=source)


def test_every_direct_dependency_is_pinned_for_the_two_commands() -> None:
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    project = PROJECT["project"]
    extras = (r for extra in project["optional-dependencies"].values() for r in extra)
    requirements = (*PROJECT["build-system"]["requires"], *project["dependencies"], *extras)
    names = {requirement.split(">=")[0].lower() for requirement in requirements}
    assert names <= pins.keys()
