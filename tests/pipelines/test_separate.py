"""Performers and backgrounds on one side each: nothing of val is seen in training."""

import random
from pathlib import Path

import pytest

from pipelines.plan import make_plan
from pipelines.recipe import Recipe
from pipelines.separate import separate
from pipelines.splits import split_videos
from preprocess.errors import InputError
from preprocess.sources.groups import grouped, parse_group_by
from preprocess.sources.ntu120 import parse_name
from preprocess.sources.registry import list_videos
from preprocess.sources.values import Listing, Video
from tests.pipelines.test_plan import Nothing


def shares(videos, fraction):
    """(train, val, left out) of all, after checking that the two sides share nothing."""
    separation = separate(videos, fraction)
    sides = [separation.side(*video) for video in videos]
    for field in (0, 1):
        seen = {s: {v[field] for v, side in zip(videos, sides, strict=True) if side == s}
                for s in ("train", "val")}  # fmt: skip
        assert not seen["train"] & seen["val"]
    return [sides.count(side) / len(sides) for side in ("train", "val", None)]


def test_groups_that_share_nothing_lose_nothing():
    videos = [(f"P{p:03d}", f"S{p // 3:03d}") for p in range(30) for _ in range(4)]
    assert shares(videos, 0.1) == pytest.approx([0.9, 0.1, 0])


def test_one_giant_component_of_the_published_size_loses_little():
    """106 performers in 32 setups, each with a few of those who were there about that time."""
    chance = random.Random(0)
    videos = []
    for setup in range(32):
        first = max(0, 3 * setup - 3)
        for performer in chance.sample(range(first, first + 16), chance.randint(3, 8)):
            videos += [(f"P{performer % 106:03d}", f"S{setup:03d}")] * chance.randint(30, 70)
    train, val, out = shares(videos, 0.1)
    assert 0.04 < val < 0.16
    assert out < 0.05
    assert train > 0.8


def test_performers_who_are_in_every_setup_are_not_held_out():
    videos = [(f"P{p}", f"S{p // 4}") for p in range(40)] * 5
    videos += [("everywhere", f"S{s}") for s in range(10)]
    assert "everywhere" not in separate(videos, 0.1).performers
    assert shares(videos, 0.1)[2] < 0.01


def test_where_everybody_is_everywhere_much_is_lost_and_something_held_out():
    train, val, out = shares([(f"P{p}", f"S{s}") for p in range(20) for s in range(10)], 0.1)
    assert 0.05 <= val / (train + val) <= 0.15
    assert out < 0.35


def test_the_order_of_the_videos_does_not_matter():
    videos = [(f"P{p % 7}", f"S{(p * p) % 5}") for p in range(40)]
    shuffled = random.Random(1).sample(videos, len(videos))
    assert separate(videos, 0.2) == separate(shuffled, 0.2)


def ntu(*names):
    """Videos with NTU's names, as the source lists them."""
    parsed = [(name, parse_name(name)) for name in names]
    return tuple(
        Video(name, 16, 30.0, Nothing(), f"P{n.performer:03d}", background=f"S{n.setup:03d}")
        for name, n in parsed
    )


def test_ntu_is_split_by_performer_and_setup_and_says_what_is_left_out():
    places = ((1, 1), (1, 2), (2, 3), (3, 4))
    names = [f"S{s:03d}C001P{p:03d}R001A{a:03d}_rgb" for s, p in places for a in (1, 2, 3)]
    recipe = Recipe("ntu120", val_fraction=0.25)
    splits, (rule,) = split_videos(ntu(*names), recipe)
    assert (splits.count("val"), splits.count("train")) == (3, 9)
    assert rule.startswith("val: 1 of 4 performers in 1 of 3 setups (P003 S002)")
    assert rule.endswith("left out: 0 of 12 videos, which mix the two")

    videos = ntu(*names, "S002C001P001R001A001_rgb", "S003C001P001R001A001_rgb")
    splits, (rule,) = split_videos(videos, recipe)
    assert (splits.count("val"), splits.count(None)) == (3, 1)
    assert rule.endswith("left out: 1 of 14 videos, which mix the two")
    plan = make_plan(recipe, Path("source"), Listing(videos))
    assert plan.clips == 13
    planned = {clip.video for shard in plan.shards.values() for clip in shard}
    assert planned == {n for n, split in enumerate(splits) if split is not None}


def test_one_setup_is_split_by_performers_and_says_so():
    videos = ntu(*(f"S001C001P{p:03d}R001A001_rgb" for p in range(1, 11)))
    splits, rules = split_videos(videos, Recipe("ntu120", val_fraction=0.2))
    assert splits.count("val") == 2
    assert rules[0].startswith("backgrounds are not kept apart: of 10 performers and 1 setups")
    assert rules[1].startswith("val: 2 of 10 performers")
    for fraction, side in ((0, "train"), (1, "val")):
        assert set(split_videos(videos, Recipe("ntu120", val_fraction=fraction))[0]) == {side}


def test_the_setup_of_a_file_is_its_background(tmp_path, make_video):
    make_video(tmp_path / "S007C001P012R001A001_rgb.avi", 2, codec="mpeg4")
    (video,) = list_videos("ntu120", tmp_path).videos
    assert (video.group, video.background) == ("P012", "S007")


def listed(*ids):
    return Listing(tuple(Video(i, 16, 30.0, Nothing(), i) for i in ids))


def groups(text, *ids):
    listing, said = grouped(listed(*ids), text)
    return [video.group for video in listing.videos], said


def test_segments_of_one_recording_stay_together():
    ids = ("day1/a_000", "day1/a_001", "day2/b_000", "c")
    assert groups(r"(\w+)_\d+$", *ids) == (
        ["a", "a", "b", "/c"],
        r"groups by '(\\w+)_\\d+$': 3 of 4 files; "
        "1 do not match and are each their own (first: c)",
    )
    # Files that differ in their suffix alone have it in their ids.
    assert groups(r"(\w+)_\d+$", "r1_1.mp4", "r1_1.mkv", "r1_2")[0] == ["r1", "r1", "r1"]
    assert groups(r"(day)?\d/(?P<who>\w)_", *ids)[0] == ["a", "a", "b", "/c"]
    assert groups("folder", *ids) == (
        ["day1", "day1", "day2", "."],
        "groups by 'folder': 3 of 4 files",
    )
    listing, _ = grouped(listed(*(f"r{i // 4}_{i}" for i in range(40))), r"^(r\d+)_")
    splits, _ = split_videos(listing.videos, Recipe("videos", val_fraction=0.3))
    assert splits.count("val") == 12
    for start in range(0, 40, 4):
        assert len(set(splits[start : start + 4])) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(", "is no regular expression: missing )"),
        ("a+", "has 0 groups"),
        ("(a)(b)", "has 2 groups"),
        ("(?P<x>a)(?P<y>b)", "has 2 groups, 2 of them named"),
    ],
)
def test_a_wrong_expression_is_one_clear_error(text, reason):
    with pytest.raises(InputError) as error:
        parse_group_by(text)
    assert reason in str(error.value)
    with pytest.raises(InputError, match="group_by"):
        Recipe("videos", group_by=text)


def test_what_groups_nothing_is_refused():
    with pytest.raises(InputError, match="matches none of the 2 files"):
        grouped(listed("a", "b"), "(x)")
    with pytest.raises(InputError, match="group_by is for videos and images"):
        Recipe("tiktok", group_by="folder")
