"""Who is held out, and that the dataset says why."""

from pipelines.recipe import Recipe
from pipelines.splits import EVALUATION_IDS, split_videos
from preprocess.sources.values import Video
from tests.pipelines.test_plan import Nothing


def video(name, split=None, group=None):
    return Video(name, 16, 30.0, Nothing(), group or name, split)


def test_the_evaluation_ids_of_the_papers():
    names = ("00001", "00337", "00338", "00339", "TiktokDance_201_002_1x1", "1201_002", "202_0060")
    splits, (rule,) = split_videos(tuple(map(video, names)), Recipe("tiktok", split="disco"))
    assert [n for n, s in zip(names, splits, strict=True) if s == "val"] == [
        *("00337", "00338", "TiktokDance_201_002_1x1")
    ]
    assert len(EVALUATION_IDS) == 10
    assert all(name in rule for name in EVALUATION_IDS)


def test_a_published_split_is_said_and_the_rest_is_by_hash():
    videos = (video("a", "val"), video("b", "train"))
    assert split_videos(videos, Recipe("tiktok")) == (
        ("val", "train"),
        ("tiktok's own: folders 335 to 340 are val",),
    )
    mixed = (*videos, *(video(f"v{i}") for i in range(10)))
    splits, rules = split_videos(mixed, Recipe("disco", val_fraction=0.2))
    assert splits[:2] == ("val", "train")
    assert splits[2:].count("val") == 2
    assert rules == (
        "disco's own: as published",
        "val: 2 of 10 groups, the first by SHA-256 of their names (val_fraction 0.2); "
        "train: the others",
    )


def test_performers_of_ntu_are_on_one_side():
    videos = tuple(video(f"S{i:03d}", group=f"P{i % 6:03d}") for i in range(30))
    splits, (rule,) = split_videos(videos, Recipe("ntu120", val_fraction=0.11))
    sides = {}
    for v, split in zip(videos, splits, strict=True):
        sides.setdefault(v.group, set()).add(split)
    assert sorted(len(s) for s in sides.values()) == [1] * 6
    assert rule.startswith("val: 1 of 6 performers")
