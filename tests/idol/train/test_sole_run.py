"""One run at a time in an output."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from idol.train.stopping import TrainError
from idol.train.train import sole_run


def _try(output: Path) -> None:
    with pytest.raises(TrainError, match="in use by another"), sole_run(output):
        pass


def _take(output: Path) -> None:
    with sole_run(output):
        pass


def test_an_output_has_one_run_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for target, held in ((_try, True), (_take, False)):
        other = context.Process(target=target, args=(tmp_path / "run",))
        if held:
            with sole_run(tmp_path / "run"):
                other.start()
                other.join()
        else:
            other.start()
            other.join()
        assert other.exitcode == 0


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_file_is_no_output(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainError, match="--output takes a folder"):
        _take(tmp_path / name)


def test_a_run_that_wrote_nothing_leaves_no_folder(tmp_path: Path) -> None:
    output = tmp_path / "run"
    with sole_run(output):
        pass
    assert not output.exists()
    with sole_run(output):
        (output / "losses.jsonl").touch()
    assert (output / "losses.jsonl").exists()
