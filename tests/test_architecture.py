"""Imports go one way, and importing is light: the design, kept by a test."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Who may import what of the others. The shared values are plain: no annotator, no network.
SHARED = {
    "shards.sample.clip",
    "shards.sample.colormap",
    "shards.sample.keypoints",
    "shards.sample.skeleton",
}
ALLOWED = {
    "preprocess": set(),
    "shards": SHARED,
    "pipelines": {"preprocess", "shards"},
    "idol": {"shards"} | SHARED,
}
HEAVY = {
    "preprocess": {"ray", "torch", "tarfile"},
    "shards": {"ray"},
    "pipelines": {"torch"},
    "idol": {"ray"},
}


# Networks that need torch live in their own files, imported only where they are asked for.
TORCH_IN_PREPROCESS = (
    "preprocess/torch/",
    "preprocess/masks/grounded_sam/",
    "preprocess/poses/openpose/",
    "preprocess/depths/hdnet/",
    "preprocess/depths/midas/",
    "preprocess/depths/huggingface/",
)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    wrong = []
    for path in (ROOT / package).rglob("*.py"):
        for name in imports(path):
            top = name.split(".")[0]
            foreign = top in ALLOWED and top != package
            permitted = any(name == a or name.startswith(a + ".") for a in ALLOWED[package])
            local = path.relative_to(ROOT).as_posix()
            heavy = top in HEAVY[package]
            if top == "torch" and local.startswith(TORCH_IN_PREPROCESS):
                heavy = False
            if (foreign and not permitted) or heavy:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


@pytest.mark.parametrize("module", ["pipelines.cli", "shards.inspect.cli"])
def test_commands_start_without_heavy_libraries(module):
    """`--help` answers at once because nothing below is imported for it."""
    heavy = ("ray", "torch", "cv2", "av", "numpy", "pyarrow", "matplotlib", "ai_edge_litert")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["preprocess.annotate", "preprocess.annotators.load", "pipelines.worker"]
)
def test_a_build_without_networks_loads_no_torch(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_the_core_needs_no_torch():
    lock = (ROOT / "requirements.lock").read_text()
    for package in ("torch", "diffusers", "transformers", "webdataset", "mediapipe"):
        assert f"\n{package}==" not in lock
