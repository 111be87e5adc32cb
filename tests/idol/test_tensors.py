from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from idol.tensors import naming_damage, read_tensors, write_tensors


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, larger files are refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_tensors_return_as_they_were(tmp_path: Path) -> None:
    written = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    write_tensors(tmp_path / "x", written)
    torch.testing.assert_close(read_tensors(tmp_path / "x"), written, rtol=0, atol=0)


def test_no_room_is_an_error_of_the_system(tmp_path: Path) -> None:
    with (
        files_of_at_most(1000),
        pytest.raises(OSError, match=r"cannot write .*weights"),
    ):
        write_tensors(tmp_path / "weights", {"a": torch.zeros(1000)})


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_tensors(path, {"a": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(OSError, match=r"weights is damaged.*: copy, fetch or train it again"):
        read_tensors(path)


def test_what_is_not_damaged_fails_as_it_does(tmp_path: Path) -> None:
    write_tensors(tmp_path / "whole.safetensors", {"a": torch.zeros(1000)})
    with pytest.raises(OSError, match="of another kind"), naming_damage(tmp_path):
        raise OSError("of another kind")
