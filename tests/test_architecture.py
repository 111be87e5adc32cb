"""Importing is light, and packages name the modules that they have.

Which way imports go is held by import-linter, in `make lint`.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("idol", "pipelines", "preprocess", "shards")
ROOMS = [path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
# What the docstrings of packages name in the same way, and is no module of ours.
OTHERS = {"mix.json", "transformers", "webdataset"}
HEAVY = (
    "ray",
    "torch",
    "cv2",
    "av",
    "numpy",
    "pyarrow",
    "matplotlib",
    "ai_edge_litert",
    "pydantic",
)
COMMANDS = (
    "pipelines.cli",
    "shards.inspect.cli",
    "idol.train.cli",
    "idol.bench.cli",
    "idol.render.cli",
)


def loaded(module: str, names: tuple[str, ...]) -> list[str]:
    """Which of these packages a fresh process has loaded after importing `module`."""
    code = f"import sys, {module}; print(*[m for m in {names!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return result.stdout.split()


@pytest.mark.parametrize("module", COMMANDS)
def test_commands_start_without_heavy_libraries(module):
    """`--help` answers at once because nothing heavy is imported for it."""
    assert loaded(module, HEAVY) == []


def test_settings_of_a_trained_model_are_read_without_its_networks():
    """`idol-train --init-from` reads them while it parses; mistakes are reported at once."""
    networks = ("torch", "diffusers", "transformers")
    assert loaded("idol.model_info, idol.train.resume", networks) == []


@pytest.mark.parametrize(
    "module", ["preprocess.annotate", "preprocess.load", "pipelines.worker", "shards"]
)
def test_a_build_without_networks_loads_no_torch(module):
    assert loaded(module, ("torch",)) == []


def test_the_core_needs_no_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = {requirement.split(">")[0].split("=")[0] for requirement in project["dependencies"]}
    assert not core & {"torch", "diffusers", "transformers", "accelerate", "mediapipe"}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package):
    assert (ROOT / package / "py.typed").exists()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: ".".join(room.relative_to(ROOT).parts))
def test_modules_that_a_package_names_are_there(room):
    told = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    names = set(re.findall(r"`([a-z_0-9]+(?:\.[a-z_0-9]+)*)`", told)) - OTHERS
    for name in names:
        first, *_ = name.split(".")
        place = (ROOT if first in PACKAGES else room).joinpath(*name.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file(), name
