"""A build: the same bytes however it runs, nothing lost when it is stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from pipelines.build import build, plan_build
from pipelines.compute import Compute
from pipelines.engine import MAX_DEATHS
from pipelines.plan import make_plan
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from preprocess.errors import InputError
from preprocess.frames import Frame
from preprocess.sources.values import Listing, Video
from shards.errors import RecipeMismatch
from shards.reader import open_dataset
from tests.conftest import numbered_frame, read_number
from tests.pipelines.conftest import BARE, tree
from tests.processes import until_there


def test_every_planned_clip_is_there_with_its_frames(run, videos, tmp_path):
    summary = run(videos, tmp_path / "out", val_fraction=0.4)
    assert summary.info.status == "complete"
    assert summary.info.totals["clips"] == 5 + 2 + 4
    assert set(summary.info.totals["splits"]) == {"train", "val"}
    seen = set()
    for clip in open_dataset(tmp_path / "out").clips():
        indices = clip.info["frame_indices"]
        assert [read_number(frame) for frame in clip.rgb] == indices
        assert read_number(clip.reference) == 0
        seen.add((clip.info["video"], indices[0]))
    assert len(seen) == 11
    assert ("deep er/two.v2", 8) in seen


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_workers_change_no_byte(run, videos, tmp_path, ray_is_up, workers):
    for number in (0, workers):
        run(videos, tmp_path / str(number), workers=number, stride=3, clips_per_shard=5)
    assert tree(tmp_path / "0") == tree(tmp_path / str(workers))


def test_a_second_run_keeps_everything(run, videos, tmp_path):
    first = run(videos, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("shard-*")}
    second = run(videos, tmp_path / "out")
    assert (first.shards_kept, second.shards_made) == (0, 0)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("shard-*")}


def test_a_lost_or_cut_off_shard_is_made_again(run, videos, tmp_path):
    out = tmp_path / "out"
    run(videos, out)
    whole = tree(out)
    shards = sorted((out / "train").glob("*.tar"))
    shards[0].write_bytes(shards[0].read_bytes()[:1000])
    shards[1].with_suffix(".json").unlink()
    summary = run(videos, out)
    assert summary.shards_made == 2
    assert tree(out) == whole


def test_a_lost_dataset_json_costs_no_shard(run, videos, tmp_path):
    run(videos, tmp_path / "out")
    whole = tree(tmp_path / "out")
    (tmp_path / "out" / "dataset.json").unlink()
    with pytest.raises(RecipeMismatch):
        run(videos, tmp_path / "out", size=48)
    assert run(videos, tmp_path / "out").shards_made == 0
    assert tree(tmp_path / "out") == whole


def test_a_build_that_was_killed_before_its_dataset_json_resumes(run, videos, tmp_path):
    run(videos, tmp_path / "whole")
    (tmp_path / "out").mkdir()
    shutil.copy(tmp_path / "whole" / "videos.parquet", tmp_path / "out")
    (tmp_path / "out" / ".dataset.json.tmp-01234567").write_bytes(b"{")
    run(videos, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


# Where tests run in the background, their shell has them ignore SIGINT, and programs inherit that.
PROGRAM = """
import signal, sys
from pipelines.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


def command(source, out, *more):
    bare = {**BARE, "depth": "none"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in bare.items()]
    return [
        *(sys.executable, "-c", PROGRAM, "build", "--dataset", "videos"),
        *("--source", str(source), "--out", str(out), "--clip-length", "2", "--stride", "1"),
        *("--clips-per-shard", "1", *options, *more),
    ]


@pytest.mark.parametrize(
    ("stop", "workers"),
    [
        (signal.SIGINT, "0"),
        pytest.param(signal.SIGTERM, "0", marks=pytest.mark.slow),
        # Fast: test_clips_of_a_shard_that_was_not_complete_are_kept.
        pytest.param(signal.SIGKILL, "0", marks=pytest.mark.slow),
        # With Ray, drivers, workers and nodes are killed by tests/pipelines/test_faults.py too.
        pytest.param(signal.SIGINT, "2", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "2", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, "2", marks=pytest.mark.slow),
    ],
)
def test_stopped_and_started_again_gives_the_same_bytes(
    run, videos, tmp_path, start, stop, workers
):
    out = tmp_path / "out"
    process = start(
        command(videos, out, "--workers", workers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Nobody listens there: to join a left-over cluster would fail.
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1"},
    )
    until_there(lambda: len(list(out.glob("*/shard-*.json"))) >= 3, process)
    process.send_signal(stop)
    _, stderr = process.communicate(timeout=150)
    committed = len(list(out.glob("*/shard-*.json")))
    assert 3 <= committed < 90
    if stop != signal.SIGKILL:
        assert process.returncode == 130
        assert "Run the same command to resume." in stderr
    assert json.loads((out / "dataset.json").read_text())["status"] == "building"

    recipe = {"clip_length": 2, "stride": 1, "clips_per_shard": 1}
    assert run(videos, out, **recipe).shards_kept >= committed - 1
    run(videos, tmp_path / "never stopped", **recipe)
    assert tree(out) == tree(tmp_path / "never stopped")


@pytest.mark.parametrize(
    "stop", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_clips_of_a_shard_that_was_not_complete_are_kept(run, videos, tmp_path, start, stop):
    """A small dataset is one shard: without this a stop would cost all of it."""
    out = tmp_path / "out"
    one_shard = command(videos, out, "--workers", "0", "--clips-per-shard", "1000")
    process = start(one_shard, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until_there(lambda: len(list(out.glob(".waiting/*/*/*.tar"))) >= 5, process)
    process.send_signal(stop)
    process.wait(timeout=120)
    waiting = len(list(out.glob(".waiting/*/*/*.tar")))
    assert waiting >= 5
    assert not list(out.glob("*/shard-*"))

    class Counting(Reporter):
        made_now = 0

        def planned(self, plan, standing):
            self.waiting = standing.waiting

        def made(self, clips, quarantined):
            self.made_now += clips

    recipe = Recipe("videos", **BARE, clip_length=2, stride=1, clips_per_shard=1000)
    counting = Counting()
    plan = plan_build(recipe, videos)
    build(plan, str(out), counting, compute=Compute(workers=0))
    assert counting.waiting == waiting
    assert counting.made_now == plan.clips - waiting
    run(videos, tmp_path / "never stopped", clip_length=2, stride=1, clips_per_shard=1000)
    assert tree(out) == tree(tmp_path / "never stopped")


def test_a_waiting_clip_that_is_damaged_is_made_again(run, videos, tmp_path):
    plan = plan_build(Recipe("videos", **BARE, clip_length=8), videos)

    class Stop(Reporter):
        def done(self, task, outcome):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        build(plan, str(out), Stop(), compute=Compute(workers=0))
    first, second, *_ = out.glob(".waiting/*/*/*.tar")
    first.write_bytes(first.read_bytes()[:1000])
    second.write_bytes(b"")
    assert run(videos, out, clips_per_shard=64).info.status == "complete"
    run(videos, tmp_path / "fresh", clips_per_shard=64)
    assert tree(out) == tree(tmp_path / "fresh")


def test_another_recipe_is_refused_with_the_difference(run, videos, tmp_path):
    run(videos, tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(RecipeMismatch) as error:
        run(videos, tmp_path / "out", size=48, stride=4)
    assert "size: 32 there, 48 here" in str(error.value)
    assert "stride: 8 there, 4 here" in str(error.value)
    assert tree(tmp_path / "out") == before


def test_a_changed_source_is_refused(run, videos, make_video, tmp_path):
    run(videos, tmp_path / "out")
    make_video(videos / "four.mp4", 20)
    with pytest.raises(RecipeMismatch, match=r"source.videos: 3 there, 4 here"):
        run(videos, tmp_path / "out")


def test_a_changed_image_is_refused(run, write_image, tmp_path):
    for i in range(3):
        write_image(tmp_path / "photos" / f"{i}.png", numbered_frame(i))
    run(tmp_path / "photos", tmp_path / "out", dataset="images", clip_length=None)
    write_image(tmp_path / "photos" / "1.png", numbered_frame(200))
    with pytest.raises(RecipeMismatch, match=r"source\.sha256"):
        run(tmp_path / "photos", tmp_path / "out", dataset="images", clip_length=None)


def test_a_video_that_is_cut_off_is_named(run, make_video, tmp_path):
    index_first = {"movflags": "faststart"}
    whole = make_video(tmp_path / "whole.mp4", 40, options=index_first).read_bytes()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "cut.mp4").write_bytes(whole[: len(whole) * 9 // 10])
    info = run(tmp_path / "source", tmp_path / "out").info
    (cut,) = info.extras["unreadable"]
    assert cut["id"] == "cut"
    assert re.fullmatch(r"cut\.mp4 is cut off: \d+ of 40 frames are there", cut["reason"])
    assert info.totals["clips"] > 0


def test_the_place_of_the_source_changes_no_byte(run, videos, tmp_path):
    (videos / "one.mp4").rename(videos / "one.avi")  # the name lies; the content is read
    (videos / "bad.mp4").write_bytes(b"bad")
    run(videos, tmp_path / "a")
    moved = videos.rename(tmp_path / "elsewhere")
    run(moved, tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def tiktok(root, write_image, frames=24):
    for i in range(frames):
        write_image(root / "00001" / "images" / f"{i + 1:04d}.png", numbered_frame(i))
    return root


def test_a_broken_frame_costs_its_clip_and_no_other(run, write_image, tmp_path):
    source = tiktok(tmp_path / "TikTok_dataset", write_image)
    (source / "00001" / "images" / "0011.png").write_bytes(b"broken")
    summary = run(source, tmp_path / "out", dataset="tiktok")
    (bad,) = summary.quarantined
    assert bad.key == "tiktok-00001-8"
    assert bad.reason == "00001/images/0011.png is not an image that can be decoded"
    assert sorted(open_dataset(tmp_path / "out").entries) == ["tiktok-00001-0", "tiktok-00001-16"]


def test_frames_of_different_size_are_quarantined(run, write_image, tmp_path):
    source = tiktok(tmp_path / "TikTok_dataset", write_image, 8)
    write_image(source / "00001" / "images" / "0003.png", numbered_frame(2, 48, 32))
    (bad,) = run(source, tmp_path / "out", dataset="tiktok").quarantined
    assert bad.reason == "frames differ in size: 48x32, 96x64"


def test_images_become_clips_of_one_frame(run, write_image, tmp_path):
    for i in range(5):
        write_image(tmp_path / "photos" / f"p {i}.png", numbered_frame(i, 96 + i, 64))
    run(tmp_path / "photos", tmp_path / "out", dataset="images", clip_length=None)
    clips = list(open_dataset(tmp_path / "out").clips())
    assert sorted(read_number(c.rgb[0]) for c in clips) == list(range(5))
    assert {c.rgb.shape for c in clips} == {(1, 32, 32, 3)}


def test_object_stores_get_the_same_bytes(run, videos, tmp_path):
    import fsspec

    run(videos, "memory://bucket/dataset")
    run(videos, tmp_path / "out")
    memory = fsspec.filesystem("memory")
    for name in tree(tmp_path / "out"):
        assert memory.cat(f"/bucket/dataset/{name}") == (tmp_path / "out" / name).read_bytes()


class Deadly:
    """A video whose frame 8 kills the process that reads it."""

    def read(self, indices):
        for index in indices:
            if index == 8:
                os._exit(13)
            yield Frame(index, np.full((40, 40, 3), index, np.uint8), index / 30)

    def fingerprint(self):
        return "deadly"


@pytest.mark.slow
def test_a_clip_that_kills_its_worker_is_given_up(tmp_path, ray_is_up):
    video = Video("deadly", 24, 30.0, Deadly(), "deadly", "train")
    plan = make_plan(Recipe("videos", clip_length=4, **BARE), tmp_path, Listing((video,)))
    summary = build(plan, str(tmp_path / "out"), Reporter(), compute=Compute(workers=1))
    (bad,) = summary.quarantined
    assert bad.key == "videos-deadly-8"
    assert f"killed its worker {MAX_DEATHS} times" in bad.reason
    assert len(open_dataset(tmp_path / "out").entries) == 5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_gives_the_same_bytes(run, videos, tmp_path):
    """Two nodes on this machine, joined by the command as a user would."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        joined = command(
            videos, tmp_path / "cluster", "--workers", "2", "--address", cluster.address
        )
        # A shard a clip, and Ray may start a process for each: minutes on a busy machine.
        subprocess.run(joined, check=True, stdout=subprocess.DEVNULL, timeout=540)
    finally:
        cluster.shutdown()
    run(videos, tmp_path / "here", clip_length=2, stride=1, clips_per_shard=1)
    assert tree(tmp_path / "cluster") == tree(tmp_path / "here")


def test_a_cluster_that_is_not_there_is_one_clear_line(videos, tmp_path):
    gone = command(videos, tmp_path / "out", "--workers", "1", "--address", "127.0.0.1:1")
    result = subprocess.run(gone, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr


def test_two_builds_in_one_folder_are_refused(run, videos, tmp_path):
    """The folder itself is locked: nothing is left behind when a process dies."""
    out = tmp_path / "out"

    class Intruder(Reporter):
        def committed(self, manifest):
            with pytest.raises(InputError, match="another build is writing into this folder"):
                run(videos, out)
            self.tried = True

    recipe = {**BARE, "clip_length": 8, "clips_per_shard": 3}
    plan = plan_build(Recipe("videos", **recipe), videos)
    first = Intruder()
    build(plan, str(out), first, compute=Compute(workers=0))
    assert first.tried
    assert run(videos, out).shards_made == 0


def test_a_home_that_cannot_be_written_to_spoils_no_build(run, videos, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    assert run(videos, tmp_path / "out", clip_length=8).info.totals["clips"] == 11
