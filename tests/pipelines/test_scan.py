"""Videos are looked through in processes as in this one, no more of them than are needed."""

from contextlib import contextmanager

import pytest

import pipelines.scan
from pipelines.build import build, plan_build
from pipelines.compute import Compute
from pipelines.plan import make_plan
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from pipelines.scan import Scan
from preprocess.errors import ClipError, InputError
from preprocess.shots import Break
from preprocess.sources.registry import list_videos
from preprocess.sources.values import Unreadable
from preprocess.user_cache import cache_folder
from preprocess.video import VideoFile
from shards.reader import open_dataset
from tests.pipelines.conftest import BARE, tree
from tests.preprocess.test_cut_scan import scene

RECIPE = {**BARE, "shots": "auto", "val_fraction": 0}
CUT = [Break(19, 20, "cut")]


@pytest.fixture
def source(tmp_path, make_video, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in "abc":
        make_video(tmp_path / "in" / f"{name}.mp4", images=[*scene(1, 20), *scene(2, 20)])
    return tmp_path / "in"


def scan(source, processes=1, **recipe):
    told = []
    looking = Scan(Recipe("videos", **RECIPE | recipe), processes, told.append)
    return list(looking(list_videos("videos", source).videos)), sum(told)


def test_processes_find_what_this_one_finds(source, monkeypatch):
    monkeypatch.setattr(pipelines.scan, "_FEW", 0)
    assert scan(source, 2) == ([CUT] * 3, 120)
    assert scan(source) == ([CUT] * 3, 120)  # kept


def test_off_looks_at_nothing(source):
    assert scan(source, shots="off") == ([[]] * 3, 0)
    assert not cache_folder("cuts").exists()


def test_a_limit_has_no_more_looked_at_than_it_needs(source):
    recipe = Recipe("videos", **RECIPE, limit=3, clip_length=10)
    plan = make_plan(recipe, source, list_videos("videos", source), Scan(recipe, 1))
    assert plan.clips == 3
    assert len(list(cache_folder("cuts").iterdir())) == 1


@pytest.fixture
def no_room_for_b(monkeypatch):
    looked = pipelines.scan.cuts_of

    def broken(video, on_frames):
        if video.id == "b":
            raise MemoryError("no room")
        return looked(video, on_frames)

    monkeypatch.setattr(pipelines.scan, "cuts_of", broken)


NOT_LOOKED_FOR = Unreadable("b", "its cuts could not be looked for: MemoryError: no room")


def test_a_video_that_cannot_be_looked_at_is_named_and_costs_no_other(source, no_room_for_b):
    assert scan(source)[0] == [CUT, NOT_LOOKED_FOR, CUT]


def test_it_gives_no_clip_and_is_of_no_plan(source, no_room_for_b):
    recipe = Recipe("videos", **RECIPE, clip_length=10)
    plan = make_plan(recipe, source, list_videos("videos", source), Scan(recipe, 1))
    assert [video.id for video in plan.videos] == ["a", "c"]
    assert plan.unreadable == (NOT_LOOKED_FOR,)
    keys = [key for split, shard in plan.shards for key in plan.keys(split, shard)]
    assert keys == [f"videos-{video}-{first}" for video in "ac" for first in (0, 10, 20, 30)]


def built(source, out, *, extend=False):
    recipe = Recipe("videos", **RECIPE, clip_length=10, clips_per_shard=4)
    plan = plan_build(recipe, source, out=str(out), extend=extend)
    return build(plan, str(out), Reporter(), compute=Compute(workers=0))


def shots(out):
    """Of each video, where the shots begin in which its clips lie."""
    found = {}
    for clip in open_dataset(out).clips(modalities=[]):
        found.setdefault(clip.info["video"], set()).add(clip.info["shot"]["first"])
    return found


@contextmanager
def disk_fails_at(name):
    """Where frames of a file are looked at for cuts, and nowhere else."""
    looked = VideoFile.glances

    def glances(self, indices):
        if self.path.name == name:
            raise ClipError(f"{self.path}: Input/output error") from OSError(5, "")
        yield from looked(self, indices)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(VideoFile, "glances", glances)
        yield


def test_once_the_disk_is_well_extending_adds_the_clips_of_what_was_left_out(source, tmp_path):
    """Of clips that lie across a cut that nobody saw no later build would know."""
    out = tmp_path / "out"
    with disk_fails_at("b.mp4"):
        info = built(source, out).info
    assert [u["id"] for u in info.extras["unreadable"]] == ["b"]
    assert set(shots(out)) == {"a", "c"}
    with pytest.raises(InputError, match=r"1 video \(b\) of which .* add --extend"):
        built(source, out)
    assert not built(source, out, extend=True).info.extras["unreadable"]
    assert shots(out) == {"a": {0, 20}, "b": {0, 20}, "c": {0, 20}}


def test_a_dataset_is_not_resumed_while_the_disk_fails(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    before = built(source, out) and tree(out)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    with disk_fails_at("b.mp4"), pytest.raises(InputError, match=r"b, of which .* cannot be read"):
        built(source, out)
    assert tree(out) == before
