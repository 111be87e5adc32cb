"""What a model's depth means is what its clips say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idol.data.datasets import DataError, open_datasets
from idol.data.depth_meaning import check_depth_scores, depth_meaning, other_depth
from idol.data.pose_style import check_poses
from idol.model_info import DepthMeaning, read_info
from idol.train.train import train
from shards.sample.clip import Clip
from tests.idol.train.micro import clip, micro, write_shards

METRES = "metres from the hips along the viewing axis, smaller is nearer"


def with_depth(seed: int, **described: Any) -> Clip:
    about = {"unit": METRES, "near": -0.8, "far": 0.8, "far_at": 0.75, "clamped": 0, **described}
    one = clip(seed)
    return replace(one, info={**one.info, "depth": {"depth_person": about}})


def meaning_of(root: Path, clips: list[Clip], **settings: Any) -> DepthMeaning:
    config = micro("image", write_shards(root / "shards", clips), root / "run", **settings)
    return depth_meaning(open_datasets(config))


def test_one_range_in_metres_is_kept(tmp_path: Path) -> None:
    clips = [with_depth(0), with_depth(1), with_depth(2, near=None, far=None, far_at=None)]
    assert meaning_of(tmp_path, clips) == DepthMeaning(unit=METRES, near=-0.8, far=0.8, far_at=0.75)


def test_a_range_for_each_video_makes_depth_relative(tmp_path: Path) -> None:
    clips = [with_depth(0), with_depth(1, far=0.9)]
    assert meaning_of(tmp_path, clips) == DepthMeaning(unit=METRES)


def test_a_unit_of_its_own_makes_depth_relative(tmp_path: Path) -> None:
    assert meaning_of(tmp_path, [with_depth(0, unit="HDNet's own scale")]) == DepthMeaning(
        unit="HDNet's own scale"
    )


def test_units_that_differ_are_none(tmp_path: Path) -> None:
    assert meaning_of(tmp_path, [with_depth(0), with_depth(1, unit="miles")]) == DepthMeaning()


def test_clips_that_say_nothing_give_relative_depth(tmp_path: Path) -> None:
    assert meaning_of(tmp_path, [clip(0)]) == DepthMeaning()


@pytest.mark.parametrize("said", [None, [], {"depth_person": "metres"}])
def test_jsons_of_another_shape_say_nothing(tmp_path: Path, said: Any) -> None:
    one = clip(0)
    one = replace(one, info={**one.info, "depth": said, "keypoints": said})
    data = open_datasets(micro("image", write_shards(tmp_path / "shards", [one]), tmp_path / "run"))
    assert depth_meaning(data) == DepthMeaning()
    check_poses(data, "dwpose")
    with pytest.raises(KeyError, match="no depth_person with a range"):
        one.depth_in_unit("depth_person")


def test_skeletons_of_another_style_are_refused(tmp_path: Path) -> None:
    """Of clips as idol-prep builds them."""
    people = Path("examples/people.tar")
    data = open_datasets(micro("image", people, tmp_path / "run"))
    check_poses(data, "openpose")
    with pytest.raises(DataError, match="from dwpose skeletons, and those of the shards are drawn"):
        check_poses(data, "dwpose")


def test_half_a_range_is_none(tmp_path: Path) -> None:
    clips = [with_depth(0, far=None), with_depth(1, far=None)]
    assert meaning_of(tmp_path / "far", clips) == DepthMeaning(unit=METRES)
    assert meaning_of(tmp_path / "unit", [with_depth(0, unit=3)]) == DepthMeaning()


def test_grey_both_ways_round_is_refused(tmp_path: Path) -> None:
    def frame(seed: int, grey: str) -> Clip:
        one = clip(seed)
        depth = {"depth_frame": {"grey": grey, "unit": "its own", "near": 1, "far": 2, "far_at": 1}}
        return replace(one, depth_frame=one.depth_person, info={**one.info, "depth": depth})

    white = [frame(0, "near-white"), frame(1, "near-white")]
    meaning = meaning_of(tmp_path / "white", white, depth="frame")
    assert meaning == DepthMeaning(kind="frame", near_white=True, unit="its own")
    with pytest.raises(DataError, match="near-white in some clips"):
        meaning_of(
            tmp_path / "both", [frame(0, "near-white"), frame(1, "near-black")], depth="frame"
        )


def test_the_model_carries_it(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", [with_depth(i) for i in range(3)])
    model = train(micro("image", shards, tmp_path / "run", steps=1))
    info = read_info(model)
    assert info.depth == DepthMeaning(unit=METRES, near=-0.8, far=0.8, far_at=0.75)
    assert other_depth(info, DepthMeaning()) is None
    line = other_depth(info, DepthMeaning(kind="frame", near_white=True))
    assert line is not None
    assert (
        "depth of the person, and these clips have depth of the whole frame, near is white" in line
    )


def test_scores_that_are_not_there_are_told_before_any_step(tmp_path: Path) -> None:
    scored = with_depth(0, scores=[1.0, 0.5, 0.0])

    def checked(name: str, clips: list[Clip]) -> None:
        config = micro("image", write_shards(tmp_path / name, clips), tmp_path / "run")
        data = replace(config.data, depth_scores=True)
        check_depth_scores(open_datasets(replace(config, data=data)))

    checked("all", [scored])
    with pytest.raises(DataError, match="no annotator of this project writes any: leave it out"):
        checked("one", [scored, with_depth(1)])
