"""No picture that is damaged, or was predicted from one that is, is given out as whole."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from preprocess import picture_index, video
from preprocess.errors import ClipError
from preprocess.frames import read_each
from preprocess.sources.videos import probe_videos
from preprocess.video import VideoFile
from tests.preprocess.video_files import encode, numbered, packets, remux


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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


@pytest.mark.parametrize("name", ["a.ivf", "b.ivf", "a.mpg", "b.mpg"])
def test_files_without_an_index_that_were_cut_off_are_named(tmp_path, name):
    kind = {"ivf": {"codec": "libvpx-vp9"}, "mpg": {"codec": "mpeg2video", "b_frames": 2}}
    path = encode(tmp_path / name, moving(40), **kind[name[2:]])
    assert not VideoFile(path).index().cut_off
    if name == "b.ivf":  # between two frames
        path.write_bytes(path.read_bytes().split(bytes(packets(path)[25]))[0][:-12])
        assert VideoFile(path).index().cut_off == "25 of 40 frames are there"
    left = probe_videos([cut(path, 0.7)], ["a"], ["a"], lambda: None)
    assert f"{name} is cut off: " in left.unreadable[0].reason


@pytest.mark.parametrize("kind", ["undecodable", "whole"])
def test_a_last_packet_that_does_not_decode_is_a_cut_off_end(tmp_path, kind):
    source = encode(tmp_path / "a.webm", numbered(20), "libvpx-vp9")
    content = [(bytes(p), n, n, p.is_keyframe) for n, p in enumerate(packets(source))]
    if kind == "undecodable":
        content[-1] = (content[-1][0][:4], *content[-1][1:])
    path = remux(source, tmp_path / "b.nut", content)
    assert VideoFile(path).index().cut_off == (
        "its last packet is damaged" if kind == "undecodable" else ""
    )


def scratched(path: Path, at: int) -> Path:
    """60 bytes overwritten: the heads of the container's parts among them."""
    data = bytearray(path.read_bytes())
    data[at : at + 60] = np.random.default_rng(at).bytes(60)
    path.with_name(f"{at}_{path.name}").write_bytes(data)
    return path.with_name(f"{at}_{path.name}")


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libvpx"])
def test_what_a_container_lost_is_named_and_spoils_no_clip(tmp_path, codec):
    """A demuxer goes on at the next cluster, and says nothing."""
    options = {"x265-params": "log-level=none:open-gop=1"} if codec == "libx265" else {}
    container = {"cluster_size_limit": "6000"}
    path = encode(
        tmp_path / "a.mkv", moving(48), codec, b_frames=2, options=options, container=container
    )
    whole = VideoFile(path)
    right = {round(f.seconds, 3): f.rgb for f in whole.read(range(48))}
    assert not whole.index().lost
    found = packets(path)
    ends = [found[number].pos + found[number].size - 20 for number in (16, 19, 26)]
    for at in (*ends, found[18].pos):  # the last: a block's own head
        damaged = scratched(path, at)
        reader = VideoFile(damaged)
        index = reader.index()
        left = probe_videos([damaged], ["a"], ["a"], lambda: None)
        assert left.videos[0].frames == index.frames < 48
        assert "is damaged: " in left.unreadable[0].reason
        assert " missing at " in left.unreadable[0].reason
        given = [f for _, f in read_each(reader, range(index.frames)) if hasattr(f, "rgb")]
        assert given
        for frame in given:
            assert np.array_equal(frame.rgb, right[round(frame.seconds, 3)])


def test_a_pause_of_a_recording_is_no_damage(tmp_path):
    stamps = [24 * i + (6000 if i >= 17 else 0) for i in range(30)]
    path = encode(tmp_path / "a.mkv", numbered(30), b_frames=2, pts=stamps)
    found = probe_videos([path], ["a"], ["a"], lambda: None)
    assert found.videos[0].frames == 30
    assert not found.unreadable


def test_why_there_is_no_frame_is_said(tmp_path):
    source = encode(tmp_path / "a.webm", numbered(20), "libvpx-vp9", gop=100)
    content = [(bytes(p), n, n, p.is_keyframe) for n, p in enumerate(packets(source))][5:]
    path = remux(source, tmp_path / "tail.webm", content)
    found = probe_videos([path], ["a"], ["a"], lambda: None)
    assert not found.videos
    assert "need a key frame that came before the file's beginning" in found.unreadable[0].reason


def test_a_title_that_is_no_text_does_not_matter(tmp_path):
    path = encode(tmp_path / "a.mkv", numbered(12))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Lavf", b"\xff\xfeav").replace(b"Lavc", b"\xff\xfeav"))
    assert path.read_bytes() != data
    assert VideoFile(path).index().frames == 12
    assert not lost(path)


def test_what_is_known_of_damage_goes_with_the_index_and_is_found_again(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(24), "mpeg4", gop=8)
    damage(path, 11)
    assert lost(path) == list(range(11, 16))
    known = len(video._DAMAGE)
    picture_index._HELD.__init__()
    gc.collect()
    assert len(video._DAMAGE) < known
    assert lost(path, [12, 16]) == [12]
