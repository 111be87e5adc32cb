"""Every picture that a viewer sees is there once, in order, under its index, with its time."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from preprocess import picture_index
from preprocess.errors import ClipError
from preprocess.frames import gaps, read_each
from preprocess.user_cache import cache_folder
from preprocess.video import VideoFile
from tests.conftest import read_number
from tests.preprocess.video_files import (
    PACKED_MARK,
    encode,
    field_pairs,
    numbered,
    packets,
    remux,
)

STEP = 1 / 25


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def shown(path: Path, indices=None) -> list[int | str]:
    """What the frames show, under the indices that were asked for."""
    reader = VideoFile(path)
    wanted = list(indices if indices is not None else range(reader.index().frames))
    results = dict(read_each(reader, wanted))
    assert list(results) == wanted
    return [str(r) if isinstance(r, ClipError) else read_number(r.rgb) for r in results.values()]


def assert_whole(path: Path, count: int, *, first: int = 0, rate: float = 25) -> None:
    """All pictures in order, at a steady rate, however they are asked for."""
    assert shown(path) == list(range(first, first + count))
    index = VideoFile(path).index()
    assert index.fps == pytest.approx(rate, abs=0.02)
    np.testing.assert_allclose(index.times, np.arange(count) / rate, atol=2e-3)
    draw = random.Random(0)
    for _ in range(3):
        wanted = sorted(draw.sample(range(count), min(count, 4)))
        assert shown(path, wanted) == [first + i for i in wanted]


KINDS = {
    "h264.mp4": {"b_frames": 2},
    "h264.mkv": {"b_frames": 2},
    "h264.avi": {"b_frames": 2},
    "h264.ts": {"b_frames": 2},
    "h264.flv": {"b_frames": 2},
    "h264.mpg": {"b_frames": 2},
    "h264.asf": {"b_frames": 2},
    "h264.h264": {"b_frames": 2},
    "h265.hevc": {"codec": "libx265", "b_frames": 2},
    "h265.mp4": {"codec": "libx265", "b_frames": 2},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 2},
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 2},
    "mpeg2.mpg": {"codec": "mpeg2video", "b_frames": 2},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2},
    "wmv2.wmv": {"codec": "wmv2"},
    "flv1.flv": {"codec": "flv"},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "vp8.avi": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"lag-in-frames": "16"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix": "yuvj420p"},
    "ffv1.mkv": {"codec": "ffv1"},
    "refresh.ts": {"options": {"x264-params": "intra-refresh=1:keyint=12"}},
    "refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=12"}},
    "intra.mp4": {"gop": 1},
}


@pytest.mark.parametrize("name", KINDS)
def test_codecs_and_containers(tmp_path, name):
    assert_whole(encode(tmp_path / name, numbered(30), **KINDS[name]), 30)


@pytest.mark.parametrize("name", ["a.ts", "a.mp4", "a.mkv"])
def test_two_fields_are_one_picture(tmp_path, name):
    path = field_pairs(tmp_path / name, numbered(14))
    assert len(packets(path)) == 28
    assert_whole(path, 14)


def test_packed_bitstreams_of_xvid(tmp_path):
    """Two pictures in one packet, and a packet that says there is none, in their turn."""
    source = encode(tmp_path / "a.m4v", numbered(24), "mpeg4", b_frames=1, container={"f": "m4v"})
    found = [bytes(p) for p in packets(source)]
    kinds = [data[data.index(b"\0\0\1\xb6") + 4] >> 6 for data in found]
    packed: list[bytes] = []
    place = 0
    while place < len(found):
        if kinds[place] == 1 and place + 1 < len(found) and kinds[place + 1] == 2:
            packed += [found[place] + found[place + 1], b"\0\0\1\xb6\x51\x00\x7f"]
            place += 2
        else:
            packed.append(found[place])
            place += 1
    packed[0] = packed[0].replace(b"\0\0\1\xb6", PACKED_MARK + b"\0\0\1\xb6", 1)
    content = [(data, n, n, kinds[n] == 0) for n, data in enumerate(packed)]
    path = remux(source, tmp_path / "packed.avi", content)
    assert shown(path) == list(range(VideoFile(path).index().frames))
    assert VideoFile(path).index().frames >= 23
    assert not VideoFile(path).index().cut_off


def test_a_copy_of_reordered_avi_in_mp4_has_wrong_times(tmp_path):
    """`ffmpeg -c copy` from AVI: an MP4 whose times are those of decoding."""
    source = encode(tmp_path / "a.avi", numbered(30), b_frames=2)
    content = [(bytes(p), n, n, p.is_keyframe) for n, p in enumerate(packets(source))]
    assert_whole(remux(source, tmp_path / "a.mp4", content), 30)


def joined(tmp_path: Path, offsets: tuple[float, ...], **kind) -> Path:
    images = numbered(12 * len(offsets))
    data = b""
    for part, offset in enumerate(offsets):
        path = tmp_path / "part.ts"
        options = {"output_ts_offset": f"{offset}"}
        encode(path, images[12 * part : 12 * part + 12], container=options, **kind)
        data += path.read_bytes()
    whole = tmp_path / "whole.ts"
    whole.write_bytes(data)
    return whole


@pytest.mark.parametrize("offsets", [(100, 0), (0, 0, 0), (0, 95443.0), (5, 1, 90)])
@pytest.mark.parametrize("kind", [{}, {"b_frames": 2}, {"codec": "mpeg2video", "b_frames": 2}])
def test_joined_transport_streams_hold_all_pictures(tmp_path, offsets, kind):
    path = joined(tmp_path, offsets, **kind)
    count = 12 * len(offsets)
    assert shown(path) == list(range(count))
    assert shown(path, [3, 13, count - 1]) == [3, 13, count - 1]
    index = VideoFile(path).index()
    assert index.fps == pytest.approx(25, abs=0.01)
    assert (np.diff(index.times) > 0).all()


def test_an_hours_pause_is_a_gap_and_not_slow_motion(tmp_path):
    index = VideoFile(joined(tmp_path, (0, 3600))).index()
    assert index.fps == 25
    assert gaps(index.times.tolist(), 4) == [12]


def test_pictures_before_the_first_key_frame_are_none(tmp_path):
    """A recording that begins anywhere: what was predicted from before cannot be decoded."""
    options = {"x264-params": "open-gop=1:repeat-headers=1:keyint=12:scenecut=0"}
    for name, kind in {
        "h264": {"b_frames": 2, "options": options},
        "mpeg2": {"codec": "mpeg2video", "b_frames": 2},
        "hevc": {
            "codec": "libx265",
            "b_frames": 2,
            "options": {"x265-params": "log-level=none:repeat-headers=1:open-gop=1"},
        },
    }.items():
        data = encode(tmp_path / "whole.ts", numbered(40), **kind).read_bytes()
        path = tmp_path / f"{name}.ts"
        path.write_bytes(data[188 * int(len(data) // 188 * 0.2) :])
        found = shown(path)
        assert found[-1] == 39, name
        assert found == list(range(found[0], 40)), name
        assert 5 < found[0] <= 24


def test_what_an_edit_list_hides_is_not_there(tmp_path):
    source = encode(tmp_path / "a.mp4", numbered(36))
    content = [(bytes(p), n - 5, n - 5, p.is_keyframe) for n, p in enumerate(packets(source))]
    path = remux(source, tmp_path / "cut.mp4", content, container={"avoid_negative_ts": "disabled"})
    assert_whole(path, 31, first=5)


def test_repeated_and_missing_time_stamps(tmp_path):
    """Pictures keep their order; times rise, evenly between those that are known."""
    source = encode(tmp_path / "a.mkv", numbered(24))
    stamps = [n * 40 - (40 if n % 7 == 3 else 0) for n in range(24)]
    content = [
        (bytes(p), s, s, p.is_keyframe) for p, s in zip(packets(source), stamps, strict=True)
    ]
    path = tmp_path / "b.mkv"
    with av.open(str(source)) as taken, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(taken.streams.video[0])
        for data, pts, _, key in content:
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = pts
            packet.is_keyframe = key
            output.mux(packet)
    assert shown(path) == list(range(24))
    times = VideoFile(path).index().times
    assert (np.diff(times) > 0).all()
    np.testing.assert_allclose(times, np.arange(24) / 25, atol=0.041)


def test_hidden_frames_of_vp8_are_no_pictures(tmp_path):
    """Alt-ref frames have packets of their own, and are never shown."""
    source = encode(tmp_path / "a.webm", numbered(30), "libvpx")
    content = []
    for n, packet in enumerate(packets(source)):
        data = bytearray(bytes(packet))
        if n in (5, 11, 23):
            data[0] &= ~0x10  # show_frame
        content.append((bytes(data), n, n, packet.is_keyframe))
    path = remux(source, tmp_path / "b.webm", content)
    assert shown(path) == [n for n in range(30) if n not in (5, 11, 23)]
    assert shown(path, [4, 5, 12]) == [4, 6, 14]
    assert VideoFile(path).index().times[5] == pytest.approx(6 / 25, abs=1e-3)


def test_every_packet_claims_to_be_a_key_frame(tmp_path):
    source = encode(tmp_path / "a.mp4", numbered(30), b_frames=0)
    content = [(bytes(p), n, n, True) for n, p in enumerate(packets(source))]
    assert_whole(remux(source, tmp_path / "b.mp4", content), 30)


def test_common_mp4s_are_not_decoded_to_be_counted(tmp_path):
    for name in (
        "h264.mp4",
        "h264.mkv",
        "h265.mp4",
        "mpeg4.mp4",
        "av1.mp4",
        "vp9.webm",
        "mjpeg.avi",
    ):
        assert not VideoFile(encode(tmp_path / name, numbered(12), **KINDS[name])).index().decoded


def test_what_the_decoder_said_is_kept(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.avi", numbered(12), b_frames=2)
    first = picture_index.picture_index(path)
    (kept,) = cache_folder("pictures").iterdir()
    picture_index._HELD.__init__()
    monkeypatch.setattr(picture_index, "make_index", None)
    again = picture_index.picture_index(path)
    np.testing.assert_array_equal(again.packets, first.packets)
    np.testing.assert_array_equal(again.times, first.times)
    assert (again.fps, again.cut_off, again.counted) == (first.fps, first.cut_off, first.counted)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for damaged in (b"", b"PK", kept.read_bytes()[:-40], b"x" + kept.read_bytes()[1:]):
        picture_index._HELD.__init__()
        kept.write_bytes(damaged)
        assert picture_index.picture_index(path).frames == 12
        assert kept.stat().st_size > 300


def test_a_decoder_is_calm_when_counting_is_interrupted(tmp_path, monkeypatch):
    """Its threads would wait for Python's lock, under which it is freed."""
    path = encode(tmp_path / "a.avi", numbered(12), b_frames=2)
    calmed = []

    def interrupted(frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(picture_index, "calm", lambda context: calmed.append(context.is_open))
    monkeypatch.setattr(picture_index, "number_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        picture_index.picture_index(path)
    assert calmed == [True]


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert_whole(encode(tmp_path / "a.avi", numbered(12), b_frames=2), 12)
