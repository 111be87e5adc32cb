"""Whether a run that is there is the one that is asked for."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from idol.train.resume import check_same_run, described, differing
from idol.train.stopping import TrainError
from tests.idol.train.micro import micro


def test_a_run_that_an_earlier_version_began_lacks_settings_and_goes_on_without_them(
    tmp_path: Path,
) -> None:
    now = described(micro("video", tmp_path, tmp_path / "run"), processes=1, shards_digest="x")
    now["model"]["posed_foreground"] = False
    earlier = copy.deepcopy(now)
    del earlier["model"]["posed_foreground"], earlier["optimizer"]["posed_dropout"]
    check_same_run(earlier, now, tmp_path)

    asked = copy.deepcopy(now)
    asked["model"]["posed_foreground"] = True
    asked["optimizer"]["posed_dropout"] = 0.3
    lines = differing(earlier, asked)
    assert [line.partition(":")[0] for line in lines] == [
        "model.posed_foreground",
        "optimizer.posed_dropout",
    ]
    with pytest.raises(TrainError, match=r"posed_dropout: saved null, given 0\.3"):
        check_same_run(earlier, asked, tmp_path)


def test_what_a_run_had_and_this_version_has_not_makes_another_run(tmp_path: Path) -> None:
    now = described(micro("video", tmp_path, tmp_path / "run"), processes=1, shards_digest="x")
    later = {**now, "optimizer": {**now["optimizer"], "momentum": 0.5}}
    assert differing(later, now) == ["optimizer.momentum: saved 0.5, given null"]
