"""A large source is looked at in processes or on a cluster, and the plan is the same."""

import os

import pytest

import pipelines.spread
from pipelines.build import plan_build
from pipelines.recipe import Recipe
from pipelines.spread import OnCluster, Processes
from preprocess.sources.videos import in_threads, in_turn
from tests.pipelines.conftest import BARE


def square(number):
    return number * number


def die_here(number):
    """Kills what is not this test's own process."""
    if number == 70 and os.environ.get("SPREAD_TEST_PID") != str(os.getpid()):
        os._exit(9)
    return number


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1500])
def test_results_are_in_order(count):
    items = range(count)
    expected = [square(number) for number in items]
    assert list(in_turn(square, items)) == list(in_threads(square, items)) == expected


def test_processes_give_what_threads_give(monkeypatch):
    monkeypatch.setattr(pipelines.spread, "_FEW", 0)
    assert list(Processes(2)(square, range(130))) == [square(n) for n in range(130)]


def test_what_a_process_that_died_had_is_looked_at_here(monkeypatch):
    monkeypatch.setattr(pipelines.spread, "_FEW", 0)
    monkeypatch.setenv("SPREAD_TEST_PID", str(os.getpid()))
    assert list(Processes(2)(die_here, range(130))) == list(range(130))


def as_told(plan):
    """All of a plan but how it came about."""
    return (
        plan.videos,
        plan.splits,
        plan.shards,
        plan.short,
        plan.unreadable,
        plan.shots,
        plan.source_summary(),
    )


@pytest.fixture
def mixed(videos, make_video):
    make_video(videos / "paused.mkv", 14, pts=[20 * i + 6000 * (i >= 7) for i in range(14)])
    make_video(videos / "short.mp4", 3)
    (videos / "bad.mp4").write_bytes(b"bad")
    (videos / "empty.mp4").write_bytes(b"")
    return videos


def test_processes_change_no_plan(mixed, monkeypatch):
    recipe = Recipe("videos", **BARE, clip_length=4)
    here = as_told(plan_build(recipe, mixed))
    monkeypatch.setattr(pipelines.spread, "_FEW", 0)
    assert as_told(plan_build(recipe, mixed, processes=2)) == here
    assert len(here[4]) == 2


@pytest.mark.slow
def test_a_cluster_changes_no_plan(mixed, monkeypatch, ray_is_up):
    """On the Ray that is running, which has the address of none."""
    monkeypatch.setattr(pipelines.spread, "_CHUNK", 2)
    recipe = Recipe("videos", **{**BARE, "shots": "auto"}, clip_length=4)
    here = as_told(plan_build(recipe, mixed))
    assert as_told(plan_build(recipe, mixed, address="auto")) == here
    assert list(OnCluster("auto")(square, range(9))) == [square(n) for n in range(9)]
