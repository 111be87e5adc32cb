"""`--extend`: what is there keeps its bytes and its side of the split; what is new follows."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.recipe import Recipe
from pipelines.splits import split_more, split_videos
from pipelines.status import statuses
from preprocess.sources.values import Video
from shards.dataset import read_info
from shards.files.storage import Store
from shards.inspect.cli import main as shards_main
from shards.reader import open_dataset
from shards.videos import VIDEOS, SourceVideo, read_videos, videos_bytes
from tests.pipelines.conftest import tree
from tests.pipelines.test_stores import command, objects, uploaded
from tests.processes import until_there
from tests.s3 import bucket, s3_server  # noqa: F401


def build(source: Path | str, out: Path | str, *options: str) -> int:
    return main(command(source, out, "--workers", "0", *options))


def sides(out: Path | str) -> dict[str, set[str]]:
    """Split by video."""
    found: dict[str, set[str]] = {}
    for entry in open_dataset(out).entries.values():
        found.setdefault(entry.sample.video, set()).add(entry.shard.manifest.split)
    return found


@pytest.fixture
def made(videos, tmp_path) -> Path:
    out = tmp_path / "out"
    assert build(videos, out) == 0
    return out


def test_new_videos_follow_and_all_else_stays(videos, made, make_video, tmp_path, capfd):
    before, side = tree(made), sides(made)
    first = read_info(made)
    make_video(videos / "a new one.mp4", 30)
    make_video(videos / "z.mp4", 40)
    assert build(videos, made, "--extend") == 0
    after = tree(made)
    shards = {name for name in before if name.startswith(("train/", "val/"))}
    assert shards < {name for name in after if name.startswith(("train/", "val/"))}
    assert all(after[name] == before[name] for name in shards)
    assert {video: sides(made)[video] for video in side} == side
    assert {"a new one", "z"} < set(sides(made))
    info = read_info(made)
    source = info.recipe["source"]
    assert source["videos"] == 5
    assert [part["videos"] for part in source["generations"]] == [3, 2]
    assert info.fingerprints == (first.fingerprint, info.fingerprint)
    assert shards_main(["verify", str(made)]) == 0
    # Once more, with or without the option, there is nothing to do.
    for options in ([], ["--extend"]):
        assert build(videos, made, *options) == 0
        assert tree(made) == after


@pytest.mark.slow
def test_a_third_generation_and_the_bytes_do_not_depend_on_kills(
    videos, made, make_video, tmp_path, start
):
    make_video(videos / "b.mp4", 24)
    assert build(videos, made, "--extend") == 0
    shutil.copytree(made, tmp_path / "other")
    make_video(videos / "c.mp4", 90)
    make_video(videos / "d.mp4", 90)
    arguments = [sys.executable, "-m", "pipelines.cli"]
    arguments += command(videos, tmp_path / "other", "--workers", "0", "--extend")
    there = len(list((tmp_path / "other" / "train").iterdir()))
    process = start(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until_there(lambda: len(list((tmp_path / "other" / "train").iterdir())) > there, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert build(videos, tmp_path / "other") == 0  # what was begun needs no option
    assert build(videos, made, "--extend") == 0
    assert tree(tmp_path / "other") == tree(made)
    assert len(read_info(made).fingerprints) == 3


def test_a_shard_of_an_old_generation_that_is_lost_is_made_again(videos, made, make_video):
    before = tree(made)
    make_video(videos / "b.mp4", 24)
    assert build(videos, made, "--extend") == 0
    for extension in ("tar", "json"):
        (made / "train" / f"shard-00000.{extension}").unlink()
    assert build(videos, made) == 0
    assert {n: tree(made)[n] for n in before if "shard" in n} == {
        n: digest for n, digest in before.items() if "shard" in n
    }


@pytest.mark.slow
def test_retry_of_what_has_grown_adds_up(videos, make_video, tmp_path, monkeypatch, capfd):
    """Clips of both generations fail, and are made again in shards of their own generation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    late, failing = ["--clip-timeout", "1e-9"], tmp_path / "failing"
    assert build(videos, tmp_path / "calm") == 0
    assert build(videos, failing, *late) == 1
    make_video(videos / "b.mp4", 24)
    make_video(videos / "c.mp4", 16)
    assert build(videos, tmp_path / "calm", "--extend") == 0
    assert build(videos, failing, "--extend", *late) == 1

    def count(out):
        (status,) = statuses(str(out))
        assert status.adds_up
        assert status.planned == status.committed + status.quarantined
        return status.planned, status.quarantined

    planned, failed = count(failing)
    assert failed == planned == count(tmp_path / "calm")[0]
    assert main(["retry", str(failing), "--reason", "timeout", "--clip-timeout", "300"]) == 0
    assert f"{planned} planned = {planned} committed + 0 quarantined" in capfd.readouterr().out
    assert count(failing) == (planned, 0)
    assert tree(failing) == tree(tmp_path / "calm")


def test_what_is_gone_or_changed_is_named_in_a_line(videos, made, make_video, capfd):
    before = tree(made)
    (videos / "three.mkv").rename(videos / "away")
    make_video(videos / "one.mp4", 41)
    for options in ([], ["--extend"]):
        assert build(videos, made, *options) == 2
        (line,) = capfd.readouterr().err.strip().splitlines()
        assert "1 video (three) is gone and 1 video (one) has changed since" in line
    assert tree(made) == before


def test_what_cannot_be_read_any_more_is_not_said_to_be_gone(videos, made, capfd):
    before = tree(made)
    (videos / "three.mkv").rename(videos / "away")
    (videos / "one.mp4").write_bytes(b"")
    for options in ([], ["--extend"]):
        assert build(videos, made, *options) == 2
        (line,) = capfd.readouterr().err.strip().splitlines()
        assert "one cannot be read now: one.mp4 is empty; 1 video (three) is gone since" in line
    (videos / "away").rename(videos / "three.mkv")
    assert build(videos, made) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "one cannot be read now: one.mp4 is empty: put back what was there" in line
    assert tree(made) == before


def test_a_new_video_of_the_same_stem_is_to_be_renamed(videos, made, make_video, capfd):
    """The two would be known by their whole names, and the one that was there would be gone."""
    was, before = next(iter(sorted(videos.glob("*.mp4")))), tree(made)
    make_video(videos / f"{was.stem}.MKV", 30)
    assert build(videos, made, "--extend") == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert f"{was.stem}.MKV" in line
    assert f"as {was.stem}: give the new one another name" in line
    assert tree(made) == before
    (videos / f"{was.stem}.MKV").rename(videos / f"{was.stem} again.MKV")
    assert build(videos, made, "--extend") == 0
    was.rename(videos / f"{was.stem}.again.mp4")  # one file: gone, and another one there
    assert build(videos, made, "--extend") == 2
    assert f"1 video ({was.stem}) is gone" in capfd.readouterr().err


def test_new_videos_ask_for_the_option(videos, made, make_video, capfd):
    before = tree(made)
    make_video(videos / "b.mp4", 24)
    assert build(videos, made) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "has 1 video (b) of which" in line
    assert "add --extend" in line
    assert tree(made) == before


def test_what_gives_no_clip_is_left_for_the_next_time(videos, made, make_video, caplog):
    before = tree(made)
    make_video(videos / "b.mp4", 5)
    for file in (made / "train").glob("shard-00000.*"):
        file.unlink()  # as if the build had been killed
    assert build(videos, made, "--extend") == 0
    assert tree(made) == before
    (warning,) = (r.message for r in caplog.records if "no clip" in r.message)
    assert "1 new video (b) would give no clip (1 shorter than 8 frames)" in warning
    make_video(videos / "c.mp4", 16)
    assert build(videos, made, "--extend") == 0
    assert {"c"} == set(sides(made)) - {"one", "deep er/two.v2", "three"}
    info = read_info(made)
    assert info.extras["short_videos"] == ["b"]
    assert info.recipe["source"]["videos"] == 5


def test_what_the_limit_leaves_no_room_for_is_left(videos, tmp_path, make_video, caplog):
    out = tmp_path / "out"
    assert build(videos, out, "--limit", "3") == 0
    before = tree(out)
    make_video(videos / "b.mp4", 24)
    assert build(videos, out, "--limit", "3", "--extend") == 0
    assert "--limit 3 is reached by those there were" in caplog.text
    assert tree(out) == before


def test_another_recipe_is_refused_all_the_same(videos, made, make_video, capfd):
    make_video(videos / "b.mp4", 24)
    assert build(videos, made, "--extend", "--size", "48") == 2
    assert "size: 32 there, 48 here" in capfd.readouterr().err


def test_a_broken_file_that_is_mended_is_a_new_video(videos, tmp_path, make_video, capfd):
    out = tmp_path / "out"
    (videos / "b.mp4").write_bytes(b"broken")
    assert build(videos, out, "--max-quarantine", "1") == 0
    make_video(videos / "b.mp4", 24)
    assert build(videos, out, "--extend") == 0
    assert "b" in sides(out)


@pytest.mark.slow
def test_on_s3(videos, bucket, make_video, tmp_path):  # noqa: F811
    source, out = f"{bucket}/source", f"{bucket}/out"
    assert build(uploaded(videos, source), out) == 0
    assert build(videos, tmp_path / "out") == 0
    make_video(videos / "b.mp4", 24)
    before = objects(out)
    assert build(uploaded(videos, source), out, "--extend") == 0
    assert build(videos, tmp_path / "out", "--extend") == 0
    after = objects(out)
    assert after == {n: (tmp_path / "out" / n).read_bytes() for n in tree(tmp_path / "out")}
    assert all(after[name] == before[name] for name in before if "shard-" in name)


def test_the_table_keeps_names_of_any_bytes(tmp_path):
    videos = [
        SourceVideo("a\udcff", 0, "train", "a\udcff", None, "1" * 32),
        SourceVideo("b", 1, None, "P1", "S2", "2" * 32),
        SourceVideo("broken", 1),
    ]
    store = Store.at(tmp_path)
    store.write_bytes(VIDEOS, videos_bytes(videos))
    assert read_videos(store, 2) == {video.id: video for video in videos}
    assert set(read_videos(store, 1)) == {"a\udcff"}
    assert videos_bytes(videos) == videos_bytes(list(videos))


def video(name: str, group: str, background: str | None = None) -> Video:
    return Video(name, 8, 30.0, None, group, background=background)


def recorded(videos, splits) -> list[SourceVideo]:
    return [
        SourceVideo(v.id, 0, side, v.group, v.background, "x")
        for v, side in zip(videos, splits, strict=True)
    ]


def test_groups_stay_on_their_side_and_val_keeps_its_share():
    recipe = Recipe("videos", val_fraction=0.2)
    old = tuple(video(f"v{n}", f"g{n % 20}") for n in range(40))
    splits, _ = split_videos(old, recipe)
    known = recorded(old, splits)
    side = {v.group: split for v, split in zip(old, splits, strict=True)}
    new = tuple(video(f"w{n}", f"g{n}") for n in range(40))  # 20 of them in known groups
    more, (rule,) = split_more(new, known, recipe)
    for v, split in zip(new, more, strict=True):
        assert side.get(v.group, split) == split
    groups = {**side, **{v.group: split for v, split in zip(new, more, strict=True)}}
    assert list(groups.values()).count("val") == 8  # a fifth of forty
    assert "4 of 20 new groups" in rule
    assert split_more(new[::-1], known, recipe)[0] == more[::-1]


def test_who_would_join_both_sides_is_on_neither():
    recipe = Recipe("ntu120", val_fraction=0.5)
    old = (video("a", "P1", "S1"), video("b", "P2", "S2"))
    known = recorded(old, ("train", "val"))
    new = (video("c", "P1", "S2"), video("d", "P1", "S3"), video("e", "P3", "S2"))
    splits, _ = split_more(new, known, recipe)
    assert splits == (None, "train", "val")
