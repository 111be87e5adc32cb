"""The environment decides nothing: what could change a result is pinned, recorded or refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shards.environment import (
    VARIABLES,
    RefusedVariable,
    differences,
    limit_threads,
    recorded,
    settle,
    table,
)

PAGE = Path(__file__).parents[2] / "docs" / "environment.md"


def test_the_page_shows_the_table_of_the_code() -> None:
    assert table() in PAGE.read_text()


def test_no_row_is_hidden_by_one_above_it() -> None:
    for number, row in enumerate(VARIABLES):
        for name in row.names:
            plain = name.replace("*", "X")
            above = [other for other in VARIABLES[:number] if other.covers(plain)]
            assert not above or "*" in name, f"{name} is covered by {above}"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "--accumulation decides"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "--mixed-precision decides"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "--compile decides"),
        ("ACCELERATE_TORCH_DEVICE", "cpu", "--cpu decides"),
        ("ACCELERATE_SOMETHING_NEW", "7", "it would change"),
        ("FSDP_OFFLOAD_PARAMS", "true", "it would change"),
        ("XLA_USE_BF16", "1", "float32 becomes bfloat16"),
        ("RAY_RUNTIME_ENV", "{}", "another environment"),
        ("ANNY_ROOT_DIR", "/elsewhere", "another body"),
    ],
)
def test_a_variable_that_would_change_results_is_removed_and_said(
    name: str, value: str, told: str
) -> None:
    environ = {name: value, "HOME": "/root"}
    [line] = settle(environ)
    assert f"{name}={value}" in line
    assert told in line
    assert name not in environ
    assert environ["HOME"] == "/root"
    assert settle(environ) == []


def test_what_accelerate_launch_sets_anyway_is_not_worth_a_line() -> None:
    environ = {
        "ACCELERATE_MIXED_PRECISION": "no",
        "ACCELERATE_USE_CPU": "False",
        "ACCELERATE_DYNAMO_BACKEND": "no",
        "ACCELERATE_DYNAMO_MODE": "default",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",
        "ACCELERATE_USE_FSDP": "false",
        "ACCELERATE_CPU_AFFINITY": "1",
    }
    assert settle(environ) == []
    assert environ["ACCELERATE_CPU_AFFINITY"] == "1"


def test_another_way_to_divide_the_work_is_refused_with_all_mistakes_at_once() -> None:
    environ = {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_USE_DEEPSPEED": "true"}
    with pytest.raises(RefusedVariable, match=r"DEEPSPEED.*--fsdp.*USE_FSDP.*--fsdp"):
        settle(environ)


def test_what_a_library_has_read_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2  # noqa: F401

    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "100")
    with pytest.raises(RefusedVariable, match="was read when cv2 was imported"):
        settle()


def test_opencv_reads_large_images_whatever_is_set() -> None:
    """A command settles before OpenCV is imported, and the limit is gone."""
    script = (
        "from shards.environment import settle; settle()\n"
        "import cv2, numpy as np\n"
        "png = cv2.imencode('.png', np.zeros((64, 64, 3), np.uint8))[1]\n"
        "assert cv2.imdecode(png, cv2.IMREAD_COLOR).shape == (64, 64, 3)\n"
    )
    environ = {**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": "100"}
    subprocess.run([sys.executable, "-c", script], env=environ, check=True, timeout=60)


def test_what_changes_sums_is_recorded_and_must_be_the_same_to_resume() -> None:
    began = recorded({"NVIDIA_TF32_OVERRIDE": "0", "OMP_NUM_THREADS": "4", "HOME": "/root"})
    assert began == {"NVIDIA_TF32_OVERRIDE": "0", "OMP_NUM_THREADS": "4"}
    assert list(differences(began, began)) == []
    # Threads may be others, as the number of GPUs may.
    assert list(differences(began, {"NVIDIA_TF32_OVERRIDE": "0"})) == []
    [line] = differences(began, {"OMP_NUM_THREADS": "4"})
    assert "began with NVIDIA_TF32_OVERRIDE=0, now NVIDIA_TF32_OVERRIDE unset" in line
    [line] = differences({}, {"ATEN_CPU_CAPABILITY": "default"})
    assert "began with ATEN_CPU_CAPABILITY unset, now ATEN_CPU_CAPABILITY=default" in line


@pytest.mark.parametrize(
    ("environ", "policy"),
    [
        ({}, "PASSIVE"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
        ({"GOMP_SPINCOUNT": "5"}, None),
        ({"KMP_BLOCKTIME": "1"}, None),
    ],
)
def test_threads_that_wait_do_not_spin_unless_the_user_says_so(
    environ: dict[str, str], policy: str | None
) -> None:
    settle(environ)
    assert environ.get("OMP_WAIT_POLICY") == policy


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        (["200000 100000\n"], "2"),
        (["150000 100000\n"], "2"),
        (["max 100000\n"], None),
        (["200000\n", "100000\n"], "2"),
        (["-1\n", "100000\n"], None),
        (["6400000 100000\n"], None),
    ],
)
def test_a_container_with_less_time_than_cores_has_as_many_threads(
    files: list[str], threads: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, text in enumerate(files):
        (tmp_path / str(number)).write_text(text)
    paths = (str(tmp_path / "0"), str(tmp_path / str(len(files) - 1)))
    monkeypatch.setattr("shards.machine._QUOTAS", (paths,))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    environ: dict[str, str] = {}
    limit_threads(environ)
    assert environ.get("OMP_NUM_THREADS") == threads
    environ = {"OMP_NUM_THREADS": "5"}
    limit_threads(environ)
    assert environ["OMP_NUM_THREADS"] == "5"
