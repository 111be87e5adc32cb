"""The plan: every clip once, in the right shard, whatever happens later."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.plan import CLIPS_PER_TASK, ShortShots, ShotCount, make_plan
from pipelines.recipe import Recipe
from preprocess.errors import InputError
from preprocess.shots import Break
from preprocess.sources.values import Listing, Video


@dataclass(frozen=True)
class Nothing:
    """A reader that is never read."""

    content: str = ""

    def read(self, indices):
        raise AssertionError

    def fingerprint(self):
        return self.content


def video(name, frames, group=None, split=None, content=""):
    return Video(name, frames, 30.0, Nothing(content), group or name, split)


def plan(*videos, **recipe):
    return make_plan(Recipe("videos", **recipe), Path("source"), Listing(videos))


def clips(plan):
    return [
        (split, shard, plan.videos[c.video].id, c.first_frame)
        for (split, shard), members in plan.shards.items()
        for c in members
    ]


def test_clips_tile_a_video_and_the_rest_is_left():
    made = plan(video("a", 50), val_fraction=0)
    assert clips(made) == [("train", 0, "a", first) for first in (0, 16, 32)]
    assert made.recipe.frame_indices(16) == tuple(range(16, 32))


@pytest.mark.parametrize(
    ("recipe", "first_frames"),
    [
        ({"stride": 4}, [0, 4, 8]),
        ({"frame_step": 2}, [0]),
        ({"clip_length": 8}, [0, 8, 16]),
        ({"clip_length": 8, "frame_step": 3, "stride": 1}, [0, 1, 2]),
        ({"limit": 1, "stride": 1}, [0]),
        ({"clip_length": 24}, [0]),
    ],
)
def test_length_stride_step_limit(recipe, first_frames):
    made = plan(video("a", 24 if recipe != {"frame_step": 2} else 31), val_fraction=0, **recipe)
    assert [first for *_, first in clips(made)] == first_frames
    last = made.recipe.frame_indices(first_frames[-1])
    assert len(last) == made.recipe.frames
    assert last[-1] < made.videos[0].frames


def test_shards_are_full_but_the_last_and_hold_every_clip_once():
    made = plan(
        *(video(f"v{i}", 16 * (i + 1)) for i in range(9)), clips_per_shard=4, val_fraction=0.3
    )
    listed = clips(made)
    assert len(listed) == len(set(listed)) == sum(range(1, 10)) == made.clips
    for split in ("train", "val"):
        sizes = [len(c) for (s, _), c in made.shards.items() if s == split]
        assert all(n == 4 for n in sizes[:-1])
        assert 1 <= sizes[-1] <= 4


def test_tasks_hold_the_shards_clips_in_order():
    made = plan(video("a", 16 * 21), video("b", 40), clips_per_shard=12, val_fraction=0)
    for shard, members in made.shards.items():
        tasks = made.tasks([shard])
        flat = [(t.video, f) for t in tasks for f in t.first_frames]
        assert flat == [(made.videos[c.video], c.first_frame) for c in members]
        assert [place for t in tasks for place in t.places] == list(range(len(members)))
        assert all(1 <= len(t.first_frames) <= CLIPS_PER_TASK for t in tasks)


def test_groups_are_not_torn_and_both_splits_exist():
    videos = [video(f"v{i}", 16, group=f"p{i // 5}") for i in range(20)]
    made = plan(*videos, val_fraction=0.1)
    by_group = {}
    for v, split in zip(made.videos, made.splits, strict=True):
        by_group.setdefault(v.group, set()).add(split)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert sorted(s for splits in by_group.values() for s in splits) == ["train"] * 3 + ["val"]


def test_published_splits_are_kept():
    made = plan(video("a", 16, split="val"), video("b", 16, split="train"), val_fraction=0)
    assert made.splits == ("val", "train")


def test_the_split_of_a_video_does_not_depend_on_the_order():
    videos = [video(f"v{i}", 16) for i in range(10)]
    ours = plan(*videos, val_fraction=0.3)
    reverse = plan(*videos[::-1], val_fraction=0.3)
    assert ours.splits == reverse.splits[::-1]


def test_short_videos_are_counted():
    assert plan(video("long", 16), video("short", 15)).short == ("short",)
    with pytest.raises(InputError, match="1 shorter than 16 frames"):
        plan(video("short", 15))


@dataclass(frozen=True)
class Clocked(Nothing):
    """A reader whose frames were taken at these times."""

    seconds: tuple[float, ...] = ()

    def times(self):
        return self.seconds


def test_no_clip_spans_a_gap_in_time():
    seconds = tuple(i / 25 + (3600 if i >= 20 else 0) for i in range(40))
    paused = Video("a", 40, 25.0, Clocked(seconds=seconds), "a")
    made = plan(paused, clip_length=8, frame_step=2, stride=4, val_fraction=0)
    assert [first for *_, first in clips(made)] == [0, 4, 20, 24]
    for (clip,) in ([c] for members in made.shards.values() for c in members):
        indices = made.recipe.frame_indices(clip.first_frame)
        assert clip.shot.first <= indices[0]
        assert indices[-1] <= clip.shot.last
    assert made.shots == ShotCount(1, 2, {"gap": 1})
    assert clips(plan(paused, clip_length=8, max_gap=1e6, val_fraction=0))[2][-1] == 16


def test_tasks_end_where_shots_do():
    def cut(videos):
        return ([Break(19, 20, "cut"), Break(29, 31, "cut")] for _ in videos)

    recipe = Recipe("videos", clip_length=8, val_fraction=0)
    made = make_plan(recipe, Path("s"), Listing((video("a", 60),)), cut)
    assert [(t.shot.number, t.first_frames) for t in made.tasks(made.shards)] == [
        *((0, (0, 8)), (1, (20,)), (2, (31, 39, 47)))
    ]
    assert made.shots.as_json() == {
        "videos": 1,
        "shots": 3,
        "breaks": {"cut": 2},
        "short": 0,
        "short_frames": 0,
    }


def test_shots_too_short_for_a_clip_are_counted():
    def cut(videos):
        return ([Break(19, 20, "cut"), Break(29, 31, "cut")] for _ in videos)

    made = make_plan(Recipe("videos"), Path("s"), Listing((video("a", 60), video("b", 3))), cut)
    assert (made.shots.short, made.shots.short_frames, made.short) == (1, 10, ("b",))
    with pytest.raises(InputError, match="1 shorter than 40 frames; 3 shots shorter than that"):
        make_plan(
            Recipe("videos", clip_length=40),
            Path("s"),
            Listing((video("a", 60), video("b", 3))),
            cut,
        )


def test_a_video_of_which_every_shot_is_too_short_is_named_with_what_ends_them():
    breaks = [Break(9, 10, "cut"), Break(19, 20, "gap"), Break(29, 30, "gap")]

    def look(videos):
        return (breaks if one.id == "a" else [] for one in videos)

    videos = Listing((video("a", 40), video("b", 40)))
    made = make_plan(Recipe("videos"), Path("s"), videos, look)
    reason = "all its 4 shots have fewer than 16 frames: 1 cut and 2 gaps in time"
    assert made.short_shots == (ShortShots("a", reason),)
    assert made.short == ()
    with pytest.raises(InputError, match=r"4 shots shorter than 16 frames\); --clip-length"):
        make_plan(Recipe("videos"), Path("s"), Listing((video("a", 40),)), look)


def test_a_limit_has_no_more_videos_looked_at_than_it_needs():
    looked = []

    def look(videos):
        for one in videos:
            looked.append(one.id)
            yield []

    videos = tuple(video(name, 40) for name in "abcdef")
    make_plan(Recipe("videos", limit=3), Path("s"), Listing(videos), look)
    assert looked == ["a", "b"]


def test_a_changed_source_has_another_digest():
    one = plan(video("a", 16), video("b", 16)).source_summary()
    assert one == plan(video("a", 16), video("b", 16)).source_summary()
    assert one != plan(video("a", 16), video("b", 17)).source_summary()
    assert one != plan(video("a", 16), video("c", 16)).source_summary()
    assert one != plan(video("a", 16), video("b", 16, content="other")).source_summary()


def test_every_mistake_of_a_recipe_is_named_at_once():
    with pytest.raises(InputError) as error:
        Recipe("videos", clip_length=0, stride=-1, size=3, min_person_frames=2)
    for name in ("clip_length", "stride", "size", "min_person_frames"):
        assert name in str(error.value)
    with pytest.raises(InputError, match="images"):
        Recipe("images", clip_length=8)
    assert Recipe("images").frames == 1


def test_a_source_whose_videos_are_on_neither_side_says_so():
    videos = (video("a", 40), video("b", 40))
    with pytest.raises(InputError, match=r"no clip \(2 on neither side of the split\)$"):
        make_plan(Recipe("videos"), Path("source"), Listing(videos), splits=((None, None), ()))
    with pytest.raises(InputError, match=r"no clip \(no video in it\)$"):
        plan()
