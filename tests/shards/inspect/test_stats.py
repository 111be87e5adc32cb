"""What statistics tell of references and of what annotators rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shards.dataset import open_for_build
from shards.files.digest import canonical_json
from shards.files.storage import Store
from shards.index import read_index
from shards.inspect.cli import main
from shards.inspect.stats import dataset_stats
from shards.manifest import count_totals
from shards.reader import open_dataset
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.writer import commit_shard

COVERED = (0.5, 0.25, 0.0)


@pytest.fixture
def told(tmp_path: Path, make_clip: Callable[..., Clip]) -> Path:
    """Three clips: what their json says of reference, subject and key points is known."""
    clips = []
    for i, covered in enumerate(COVERED):
        clip = make_clip(f"videos-walk-{i}", seed=i)
        mask = np.zeros_like(clip.reference_mask)
        mask[:, : round(covered * mask.shape[1])] = 255
        said: dict[str, Any] = {
            "reference": {
                "frame": 0,
                "person": covered > 0,
                "coverage": covered,
                "background_shift": [[3.0, 4.0], [0.0, 1.0], None][i],
                "background_match": [0.9, 0.8, 0.2][i],
            },
            "subject": {
                "rule": "largest",
                "number": 1,
                "people": 2,
                "lost": [[], [4], [4, 5]][i],
                "match": [0.9, 0.7, None][i],
            },
            "keypoints": {**clip.info["keypoints"], "rejected": 3 * i, "interpolated": i},
            "masks": {"rejected": 0},
        }
        clips.append(replace(clip, reference_mask=mask, info={**clip.info, **said}))
    build = open_for_build(tmp_path / "told", {})
    commit_shard(build.store, "train", 0, [(clip.key, encode_clip(clip)) for clip in clips])
    build.finish({"train": 1})
    return tmp_path / "told"


def test_references_and_the_worst_of_them(told: Path) -> None:
    numbers = dataset_stats(open_dataset(told))
    quality, worst = numbers["quality"], numbers["worst"]
    assert quality["reference_coverage"]["clips"] == 3
    assert quality["reference_coverage"]["mean"] == 0.25
    assert (quality["reference_coverage"]["min"], quality["reference_coverage"]["max"]) == (0, 0.5)
    assert quality["background_shift"]["clips"] == 2
    assert quality["background_shift"]["mean"] == 3
    assert quality["subject_match"]["mean"] == pytest.approx(0.8)
    assert worst["reference_coverage"] == "videos-walk-2"
    assert worst["background_shift"] == "videos-walk-0"
    assert worst["subject_match"] == "videos-walk-1"
    assert "person_coverage" not in worst  # all are equal


def test_what_is_counted(told: Path) -> None:
    numbers = dataset_stats(open_dataset(told))
    assert numbers["counted"] == {
        "foreground_without_subject": {"clips": 3, "total": 1, "affected": 1},
        "background_lost": {"clips": 3, "total": 1, "affected": 1},
        "subject_lost": {"clips": 3, "total": 3, "affected": 2},
        "keypoints_rejected": {"clips": 3, "total": 9, "affected": 2},
        "keypoints_interpolated": {"clips": 3, "total": 3, "affected": 2},
        "masks_rejected": {"clips": 3, "total": 0, "affected": 0},
    }
    for name in ("foreground_without_subject", "subject_lost", "keypoints_rejected"):
        assert numbers["worst"][name] == "videos-walk-2"


def test_tables_name_them(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(told)]) == 0
    rows = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "1 of 3     33.3%  videos-walk-2" in rows["foreground does not show the subject"]
    assert rows["reference coverage"].endswith("videos-walk-2")
    assert main(["ls", str(told)]) == 0
    assert capsys.readouterr().out.count("1 of 2, largest") == 3


def test_index_and_manifest_have_coverage_and_subject(told: Path) -> None:
    rows = read_index(Store.at(told))
    assert rows is not None
    assert [row["reference_coverage"] for row in rows] == list(COVERED)
    assert {row["subject"] for row in rows} == {"1 of 2, largest"}
    for entry in open_dataset(told).entries.values():
        assert entry.sample.subject == "1 of 2, largest"


def test_clips_that_name_no_video_are_not_counted_as_one(tmp_path: Path) -> None:
    nameless: dict[str, Any] = {"key": "a", "frame_indices": [0]}
    named = {"key": "b", "frame_indices": [0], "video": "walk"}
    for index, infos in enumerate(([nameless], [nameless, named])):
        clips = [(info["key"], [(f"{info['key']}.json", canonical_json(info))]) for info in infos]
        manifest = commit_shard(tmp_path / str(index), "train", 0, clips)
        assert count_totals([manifest])["videos"] == index
