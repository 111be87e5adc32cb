"""Cuts are looked for once, and what is kept of them is trusted only where it is whole."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from preprocess.cut_scan import cuts_of
from preprocess.errors import ClipError
from preprocess.frames import FrameFolder
from preprocess.shots import Break
from preprocess.sources.values import Video
from preprocess.user_cache import cache_folder
from preprocess.video import VideoFile


def scene(seed, frames, size=(64, 96)):
    """Something textured that drifts."""
    noise = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    large = cv2.resize(noise, (180, 120), interpolation=cv2.INTER_CUBIC)
    return [large[: size[0], i : i + size[1]] for i in range(frames)]


@pytest.fixture
def video(tmp_path, make_video, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "a.mp4"
    make_video(path, images=[*scene(1, 20), *scene(2, 20)])
    return Video("a", 40, 30.0, VideoFile(path), "a")


class Unread(VideoFile):
    def glances(self, indices):
        raise AssertionError("read again")


def test_cuts_are_kept_in_the_users_cache(video):
    looked = []
    assert cuts_of(video, looked.append) == [Break(19, 20, "cut")]
    assert sum(looked) == 40
    again = replace(video, reader=Unread(video.reader.path))
    assert cuts_of(again, looked.append) == [Break(19, 20, "cut")]
    assert sum(looked) == 80


class Offline(VideoFile):
    def glances(self, indices):
        raise ClipError(f"{self.path}: Input/output error") from OSError(5, "Input/output error")


def test_nothing_is_found_while_the_disk_fails(video):
    with pytest.raises(ClipError, match="Input/output error"):
        cuts_of(replace(video, reader=Offline(video.reader.path)))
    assert cuts_of(video) == [Break(19, 20, "cut")]


def test_what_was_kept_and_is_damaged_is_made_again(video):
    found = cuts_of(video)
    (kept,) = cache_folder("cuts").iterdir()
    whole = kept.read_bytes()
    for damaged in (
        whole[:-5],
        whole.replace(b"20", b"21"),
        b"",
        b"[]",
        b'{"breaks":[["x",1,"cut"]],"check":""}',
        b"\xff\x00",
    ):
        kept.write_bytes(damaged)
        assert cuts_of(video) == found
        assert kept.read_bytes() == whole


def test_a_changed_file_is_looked_at_again(video, make_video):
    assert cuts_of(video) == [Break(19, 20, "cut")]
    make_video(video.reader.path, images=[*scene(1, 10), *scene(2, 30)])
    assert cuts_of(video) == [Break(9, 10, "cut")]


def test_a_cache_that_cannot_be_written_does_no_harm(video, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cuts_of(video) == [Break(19, 20, "cut")]


def test_a_folder_of_images_has_cuts_too(tmp_path, write_image, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths = [tmp_path / f"{i}.png" for i in range(24)]
    for path, frame in zip(paths, [*scene(1, 12), *scene(2, 12)], strict=True):
        write_image(path, frame)
    video = Video("a", 24, 30.0, FrameFolder(tuple(paths), 30.0), "a")
    assert cuts_of(video) == cuts_of(video) == [Break(11, 12, "cut")]
    paths[3].write_bytes(b"no image")
    assert cuts_of(video) == [Break(11, 12, "cut")]
