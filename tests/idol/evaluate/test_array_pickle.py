"""Only numbers in arrays come out of a pickle; what would run code does not."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idol.evaluate.array_pickle import load_arrays
from idol.evaluate.errors import EvaluationError


def write(path: Path, value: Any) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=4))
    return path


def test_arrays_come_out_as_they_went_in(tmp_path: Path) -> None:
    arrays = {
        "f4": np.arange(24, dtype="f4").reshape(2, 3, 4),
        "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big-endian": np.arange(5, dtype=">i4"),
        "nothing": np.zeros((0, 3), np.uint8),
        "one": np.array(2.5),
    }
    read = load_arrays(write(tmp_path / "w.ckpt", {"params": arrays, "epoch": 3}))
    assert read["epoch"] == 3
    for name, array in arrays.items():
        assert read["params"][name].dtype == array.dtype
        np.testing.assert_array_equal(read["params"][name], array)


class Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    "value",
    [
        {"w": Command()},
        {"w": np.array([Command()], dtype=object)},
        {"w": np.array(["a"])},
        {"w": [1, 2]},
        {"w": np.float32(1)},
        np.zeros(3),
        print,
    ],
)
def test_anything_else_is_refused_and_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EvaluationError, match=r"w\.ckpt is no pickle of numpy arrays alone"):
        load_arrays(write(tmp_path / "w.ckpt", value))
    assert not (tmp_path / "ran").exists()


def test_what_does_not_add_up_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.ckpt", {"w": np.arange(100.0)}).read_bytes()
    short = whole.replace(b"K\x64\x85", b"K\x63\x85")  # 99 values in 800 bytes
    assert short != whole
    for damaged in (whole[:-40], short, b"", b"no pickle"):
        (tmp_path / "w.ckpt").write_bytes(damaged)
        with pytest.raises(EvaluationError, match=r"w\.ckpt"):
            load_arrays(tmp_path / "w.ckpt")
    with pytest.raises(EvaluationError, match="cannot read"):
        load_arrays(tmp_path / "absent.ckpt")
