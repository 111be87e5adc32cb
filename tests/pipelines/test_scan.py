"""Videos are looked through in processes as in this one, no more of them than are needed."""

import pytest

import pipelines.scan
from pipelines.plan import make_plan
from pipelines.recipe import Recipe
from pipelines.scan import Scan
from preprocess.shots import Break
from preprocess.sources.registry import list_videos
from preprocess.user_cache import cache_folder
from tests.pipelines.conftest import BARE
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
    found = [list(breaks) for breaks in looking(list_videos("videos", source).videos)]
    return found, sum(told), looking.failed


def test_processes_find_what_this_one_finds(source, monkeypatch):
    monkeypatch.setattr(pipelines.scan, "_FEW", 0)
    assert scan(source, 2) == ([CUT] * 3, 120, [])
    assert scan(source) == ([CUT] * 3, 120, [])  # kept


def test_off_looks_at_nothing(source):
    assert scan(source, shots="off") == ([[]] * 3, 0, [])
    assert not cache_folder("cuts").exists()


def test_a_limit_has_no_more_looked_at_than_it_needs(source):
    recipe = Recipe("videos", **RECIPE, limit=3, clip_length=10)
    plan = make_plan(recipe, source, list_videos("videos", source), Scan(recipe, 1))
    assert plan.clips == 3
    assert len(list(cache_folder("cuts").iterdir())) == 1


def test_a_video_that_cannot_be_looked_at_is_named_and_costs_no_other(source, monkeypatch):
    looked = pipelines.scan.cuts_of

    def broken(video, on_frames):
        if video.id == "b":
            raise MemoryError("no room")
        return looked(video, on_frames)

    monkeypatch.setattr(pipelines.scan, "cuts_of", broken)
    found, _, failed = scan(source)
    assert found == [CUT, [], CUT]
    ((video, reason),) = [(f.id, f.reason) for f in failed]
    assert video == "b"
    assert reason == "its cuts could not be looked for: MemoryError: no room"
