"""A part of a picture is what it is of the whole, and the rest of it is not converted."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from preprocess.annotate import ClipRequest, annotate, survey
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.tracked import Region
from preprocess.frames import Frame
from preprocess.hdr import HLG, PQ
from preprocess.identity import colours_in_box
from preprocess.load import load
from preprocess.picture import ByParts, show
from preprocess.pixels import all_of
from preprocess.shots import Shot
from preprocess.sources.values import Video
from preprocess.video import VideoFile
from tests.conftest import numbered_frame

SIZE = 720, 482


@pytest.fixture
def small_ones_too(monkeypatch):
    """Parts are taken of small pictures, too, for which it would not pay."""
    monkeypatch.setattr("preprocess.picture._LARGE", 0)


MATRICES = [
    (1, 0, 0, 1),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (-1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, -1, -1, 0),
    (0, 1, -1, 0),
    (0, -1, 1, 0),
]


def noise(pixels, size=SIZE, **tags):
    """A decoded frame in which each sample of each plane is random."""
    rng = np.random.default_rng(7)
    frame = av.VideoFrame(*size, pixels)
    bits = frame.format.components[0].bits
    for plane in frame.planes:
        if bits > 8:
            samples = rng.integers(0, 1 << bits, plane.buffer_size // 2).astype("<u2")
        else:
            samples = rng.integers(0, 256, plane.buffer_size).astype(np.uint8)
        plane.update(samples.tobytes())
    for name, value in {"colorspace": 1, "color_range": 1, **tags}.items():
        setattr(frame, name, value)
    return frame


def boxes(size, count=6):
    """Odd and even ones, at the edges and within."""
    width, height = size
    rng = np.random.default_rng(3)
    yield from ((0, 0, 31, 17), (width - 33, height - 21, width, height), (width - 1, 0, width, 1))
    for _ in range(count):
        x, y = int(rng.integers(0, width - 90)), int(rng.integers(0, height - 90))
        yield x, y, x + int(rng.integers(1, 90)), y + int(rng.integers(1, 90))


def check(frame):
    whole = all_of(show(frame, 1)[0])
    size = whole.shape[1], whole.shape[0]
    for box in boxes(size):
        picture, _ = show(frame, 1)
        assert isinstance(picture, ByParts)
        assert picture.shape == whole.shape
        x0, y0, x1, y1 = box
        part = picture.part(*box)
        np.testing.assert_array_equal(part[y0:y1, x0:x1], whole[y0:y1, x0:x1])
        assert picture.converted < whole.shape[0] * whole.shape[1] / 4
        np.testing.assert_array_equal(picture.whole(), whole)


@pytest.mark.parametrize("depth", ["", "10le", "12le"])
@pytest.mark.parametrize("grid", ["yuv420p", "yuv422p", "yuv444p", "gbrp"])
@pytest.mark.parametrize("tags", [{}, {"color_range": 2}, {"colorspace": 2}])
def test_a_part_has_the_bytes_of_the_whole(grid, depth, tags, small_ones_too):
    check(noise(grid + depth, **tags))


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv422p10le"])
def test_a_part_of_hdr_has_the_bytes_of_the_whole(pixels, transfer, small_ones_too):
    check(noise(pixels, color_trc=transfer, color_primaries=9, colorspace=9))


@pytest.mark.parametrize(
    ("matrix", "interlaced", "pixels"),
    [
        *((matrix, False, "yuv420p") for matrix in MATRICES),
        (MATRICES[6], True, "yuv420p"),
        (MATRICES[6], False, "yuv420p10le"),  # the decoder says where its chroma lies
    ],
)
def test_a_part_of_a_turned_file_has_the_bytes_of_the_whole(
    tmp_path, matrix, interlaced, pixels, small_ones_too
):
    path = tmp_path / "a.mp4"
    ones = [value << 16 for value in matrix]
    with av.open(str(path), "w") as container:
        options = {"x264-params": "interlaced=1:tff=1"} if interlaced else {}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 672, 480, pixels
        stream.set_display_matrix([*ones[:2], 0, *ones[2:], 0, 0, 0, 1 << 30])
        container.mux(stream.encode(noise(pixels, (672, 480))))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        (frame,) = container.decode(video=0)
    assert frame.interlaced_frame == interlaced
    assert show(frame, 1)[0].shape[:2] == ((672, 480) if not matrix[0] else (480, 672))
    check(frame)


@pytest.mark.parametrize(
    ("frame", "aspect"),
    [
        (noise("yuv420p", (721, 482)), 1),
        (noise("yuv420p", (720, 481)), 1),
        (noise("yuva420p"), 1),
        (noise("yuv411p"), 1),
        (noise("yuv420p"), 1.5),
    ],
)
def test_what_has_no_parts_is_whole(frame, aspect, small_ones_too):
    assert isinstance(show(frame, aspect)[0], np.ndarray)


def test_parts_are_taken_where_it_pays():
    assert isinstance(show(noise("yuv420p", (1920, 1080)), 1)[0], np.ndarray)
    assert isinstance(show(noise("yuv420p", (3840, 2160)), 1)[0], np.ndarray)
    assert isinstance(show(noise("yuv420p10le", (3840, 2160)), 1)[0], ByParts)
    hdr = {"color_trc": PQ, "color_primaries": 9, "colorspace": 9}
    assert isinstance(show(noise("yuv420p10le", (1280, 720), **hdr), 1)[0], ByParts)


def test_many_parts_are_no_more_than_the_whole(small_ones_too):
    picture, _ = show(noise("yuv420p"), 1)
    assert isinstance(picture, ByParts)
    for box in boxes(SIZE, 200):
        picture.part(*box)
    assert picture.converted <= 2 * SIZE[0] * SIZE[1]
    before = picture.converted
    picture.part(0, 0, *SIZE)
    assert picture.converted == before  # by then all of it is there


@pytest.mark.parametrize(
    "region",
    [
        Region(300.3, 200.7, 120.0, 0.4),
        Region(2.0, 470.0, 90.0, -1.2),
        Region(-80.0, 100.0, 60.0),
        Region(719.0, 481.0, 4.0),
        Region(360.0, 240.0, 3000.0),
    ],
)
def test_what_is_cut_out_of_a_part_is_what_is_cut_out_of_the_whole(region, small_ones_too):
    frame = noise("yuv420p10le")
    whole = all_of(show(frame, 1)[0])
    for zeros in (False, True):
        part = region.crop(show(frame, 1)[0], 48, zeros=zeros)
        np.testing.assert_array_equal(part, region.crop(whole, 48, zeros=zeros))
    box = (region.x - 40, region.y - 40, region.x + 41.5, region.y + 33.2)
    np.testing.assert_array_equal(
        colours_in_box(show(frame, 1)[0], box), colours_in_box(whole, box)
    )


class Kept:
    """A video's reader that keeps the frames that it gives."""

    def __init__(self, path):
        self._file, self.frames = VideoFile(path), []

    def read(self, indices):
        for frame in self._file.read(indices):
            self.frames.append(frame)
            yield frame

    def fingerprint(self):
        return ""


class Whole(Kept):
    """The same, all of each frame converted."""

    def read(self, indices):
        return (replace(frame, picture=frame.rgb) for frame in super().read(indices))


def test_of_a_wide_picture_the_clip_s_square_alone_is_converted(tmp_path, small_ones_too):
    """And the clip's bytes are those of pictures that were converted whole."""
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1920, 480, "yuv420p10le"
        for number in range(4):
            rgb = np.tile(numbered_frame(number), (8, 20, 1))[:480]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    made = []
    choice = AnnotatorChoice(mask="none", pose="none", depth=("none",), crop="center")
    for reader in (Kept(path), Whole(path)):
        video = Video("wide", 4, 25.0, reader, "wide")
        annotators = load(choice)
        shot = Shot(0, 3, 0)
        shared = survey(video, shot, annotators, 64)
        reader.frames.clear()
        frames: list[Frame] = list(reader.read([0, 1, 2, 3]))
        request = ClipRequest("k", "videos", "train", (0, 1, 2, 3), shot)
        made.append(annotate(request, video, frames, shared, annotators, size=64))
        if isinstance(reader, Whole):
            continue
        for frame in reader.frames:
            assert isinstance(frame.picture, ByParts)
            assert frame.picture.converted < 640 * 480
    for name, array in made[0].arrays.items():
        np.testing.assert_array_equal(array, made[1].arrays[name])
    assert made[0].info == made[1].info


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_clips_of_4k_pictures_of_10_bits_are_made_of_parts():
    """`bench/crop_first.py` compares the bytes of the clips, and says what was converted."""
    bench = Path(__file__).parents[2] / "bench" / "crop_first.py"
    done = subprocess.run(
        [sys.executable, str(bench), "--frames", "8"], stdout=subprocess.PIPE, text=True, check=True
    )
    print(done.stdout)
    shares = [int(share) for share in re.findall(r"(\d+)% of the pixels", done.stdout)]
    assert shares[::2] == [100] * 6
    assert max(shares[1:8:2]) < 75  # of 4K, with a tracker too
