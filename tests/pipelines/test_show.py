"""What a build says while nobody watches, and what it says of what it left out."""

import io

import pytest

from pipelines import show
from pipelines.build import build, estimate, plan_build
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.reporter import Standing
from shards.inspect.console import QuietConsole
from shards.manifest import Quarantined
from tests.pipelines.conftest import BARE
from tests.processes import until_there


@pytest.fixture
def said(monkeypatch):
    """What is printed, as into a file."""
    out = io.StringIO()
    console = QuietConsole()
    console.file = out
    monkeypatch.setattr(show, "console", console)
    return out.getvalue


def test_a_build_in_a_pipe_says_how_far_it_is(monkeypatch, videos, said):
    monkeypatch.setattr(show, "FIRST_LINES", 0.05)
    plan = plan_build(Recipe("videos", **BARE, clip_length=8), videos)
    with show.Progress() as reporter:
        reporter.planned(plan, Standing(waiting=2))
        reporter.starting_ray(2, None)
        until_there(lambda: said().endswith("waiting for Ray's first clips\n"))
        for _ in range(3):
            reporter.made(1, [Quarantined("videos-a-0", "a", "no person")])
        until_there(lambda: said().endswith("3 quarantined\n"))
    lines = said().splitlines()
    assert "2 clips of unfinished shards are there already and stay" in lines
    assert "starting Ray with 2 workers; the first clips take a while" in lines
    assert f"2/{plan.clips} clips, waiting for Ray's first clips" in lines
    assert f"5/{plan.clips} clips, 3 quarantined" in lines


def test_what_is_left_out_is_one_table(videos, make_video, tmp_path, said):
    make_video(videos / "short.mp4", 5)
    make_video(videos / "paused.mkv", 14, pts=[20 * i + 6000 * (i >= 7) for i in range(14)])
    (videos / "bad.mp4").write_bytes(b"bad")
    plan = plan_build(Recipe("videos", **BARE, clip_length=8), videos)
    with show.Progress() as reporter:
        result = build(plan, str(tmp_path / "out"), reporter, compute=Compute(workers=0))
    show.summary(plan, result, str(tmp_path / "out"))
    table = said().split("left out")[1]
    assert "fewer than 8 frames" in table
    assert "bad.mp4" in table
    assert "paused" in table
    reason = "all its 2 shots have fewer than 8 frames: 1 gap in time"
    assert result.info.extras["short_shots"] == [{"id": "paused", "reason": reason}]


def test_a_heading_in_a_pipe_is_no_wider_than_a_page(said):
    show.heading("photos [a]", 0.75)
    (line,) = said().splitlines()
    assert line.startswith("photos [a], 75.0% of the mixture ─")
    assert len(line) == show.HEADING


def test_an_estimate_counts_what_is_paid_once(videos):
    plan = plan_build(Recipe("videos", **BARE, clip_length=8, stride=1), videos)
    here = estimate(plan, Compute(workers=0))
    assert here.workers == 0
    assert here.total_seconds >= here.start_seconds + plan.clips * here.clip_seconds
    ray = estimate(plan, Compute(workers=2))
    assert ray.workers == 2
    assert ray.total_seconds > ray.start_seconds >= 10
