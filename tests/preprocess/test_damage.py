"""No picture that is damaged, or was predicted from one that is, is given out as whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preprocess import picture_index
from preprocess.errors import ClipError
from preprocess.frames import read_each
from preprocess.sources.videos import probe_videos
from preprocess.video import VideoFile
from tests.preprocess.video_files import encode, numbered, packets


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_index, "cache_folder", lambda: tmp_path / "cache")


def moving(count: int) -> list[np.ndarray]:
    """A texture in motion: every packet has something to damage."""
    coarse = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    texture = np.kron(coarse, np.ones((10, 10, 1), np.uint8))
    return [np.ascontiguousarray(texture[i : i + 96, 2 * i : 2 * i + 128]) for i in range(count)]


def damage(path: Path, number: int, *, noise: bool = False) -> None:
    """The second half of a packet is overwritten."""
    packet = bytes(packets(path)[number])
    data = bytearray(path.read_bytes())
    at, size = data.find(packet) + len(packet) // 2, len(packet) // 2 - 8
    assert data.count(packet) == 1
    data[at : at + size] = np.random.default_rng(number).bytes(size) if noise else bytes(size)
    path.write_bytes(data)


def lost(path: Path, indices=None) -> list[int]:
    reader = VideoFile(path)
    wanted = range(reader.index().frames) if indices is None else indices
    return [i for i, found in read_each(reader, wanted) if isinstance(found, ClipError)]


CODECS = {
    "h264.mp4": {"options": {"preset": "ultrafast"}},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg2.mkv": {"codec": "mpeg2video"},
    "flv1.flv": {"codec": "flv"},
}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("number", [8, 11])
def test_damage_reaches_to_the_next_key_frame(tmp_path, name, number):
    path = encode(tmp_path / name, moving(24), gop=8, **CODECS[name])
    assert lost(path) == []
    damage(path, number)
    expected = list(range(number, 16))
    assert lost(path) == expected
    # Whatever is asked for, and in which order.
    assert lost(path, [15]) == [15]
    assert lost(path, [2, number, 17]) == [number]
    assert lost(path, [16, 20]) == []


def test_pictures_shown_before_a_damaged_one_that_they_hang_on(tmp_path):
    """B-frames come out of the decoder before the frame that spoilt them."""
    path = encode(tmp_path / "a.mp4", moving(24), "mpeg4", gop=12, b_frames=2)
    found = packets(path)
    order = np.argsort([p.pts for p in found]).tolist()  # the packet of each picture
    number = next(n for n in range(4, 12) if found[n].pts > found[n + 1].pts)
    key = next(n for n in range(number + 1, 24) if found[n].is_keyframe)
    damage(path, number)
    spoilt = [i for i, n in enumerate(order) if number <= n < key]
    assert spoilt[0] < order.index(number)
    assert lost(path) == list(range(spoilt[0], order.index(key)))


@pytest.mark.parametrize("name", ["mjpeg.avi", "prores.mov", "ffv1.mkv"])
def test_where_each_picture_stands_alone_one_is_lost(tmp_path, name):
    kind = {
        "mjpeg.avi": {"codec": "mjpeg", "pix": "yuvj420p"},
        "prores.mov": {"codec": "prores_ks", "pix": "yuv422p10le"},
        "ffv1.mkv": {"codec": "ffv1", "gop": 1, "options": {"slicecrc": "1", "level": "3"}},
    }[name]
    path = encode(tmp_path / name, moving(12), **kind)
    assert lost(path) == []
    damage(path, 5, noise=True)
    assert lost(path) == [5]


def cut(path: Path, part: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


CUT = {
    "a.mkv": {"b_frames": 2},
    "a.webm": {"codec": "libvpx"},
    "a.avi": {"codec": "mpeg4"},
    "a.flv": {"b_frames": 2},
    "a.wmv": {"codec": "wmv2"},
    "a.ogv": {"codec": "libvpx"},
    "a.ts": {},
    "a.mp4": {"container": {"movflags": "faststart"}},
    "a.mov": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "a.gif": {"codec": "gif", "pix": "rgb8"},
}


@pytest.mark.parametrize("name", CUT)
def test_files_that_were_cut_off_are_named_and_their_rate_is_right(tmp_path, name):
    images = moving(60) if name == "a.avi" else numbered(60)
    path = encode(tmp_path / name, images, **CUT[name])
    whole = probe_videos([path], ["a"], ["a"], lambda: None)
    assert not whole.unreadable
    assert whole.videos[0].frames == 60
    left = probe_videos([cut(path, 0.55)], ["a"], ["a"], lambda: None)
    assert f"{name} is cut off: " in left.unreadable[0].reason
    assert 5 < left.videos[0].frames < 60
    assert left.videos[0].fps == pytest.approx(25, abs=0.1)
