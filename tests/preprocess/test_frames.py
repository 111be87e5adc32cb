"""Frames come by index, exactly, whatever the container does."""

import random
from fractions import Fraction

import numpy as np
import pytest

from preprocess.errors import ClipError, FramesLost, InputError
from preprocess.frames import (
    Frame,
    FrameFolder,
    frame_rate,
    frame_times,
    gaps,
    read_each,
)
from preprocess.video import VideoFile
from tests.conftest import numbered_frame, read_number


def numbers(path, indices):
    frames = list(VideoFile(path).read(indices))
    assert [f.index for f in frames] == list(indices)
    return [read_number(f.rgb) for f in frames]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.mov", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.mpg", "mpeg2video"),
        ("a.ts", "libx264"),
        ("a.webm", "libvpx-vp9"),
    ],
)
def test_any_indices_give_those_frames(tmp_path, make_video, name, codec):
    path = make_video(tmp_path / name, 40, codec=codec)
    timeline = VideoFile(path).index()
    assert (timeline.frames, round(timeline.fps)) == (40, 30)
    assert numbers(path, range(40)) == list(range(40))
    draw = random.Random(0)
    for _ in range(8):
        wanted = sorted(draw.sample(range(40), 5))
        assert numbers(path, wanted) == wanted


def test_a_seek_gives_the_same_pixels_as_decoding_from_the_start(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", 40)
    everything = {f.index: f.rgb for f in VideoFile(path).read(range(40))}
    for index in (0, 11, 12, 13, 29, 39):
        (alone,) = VideoFile(path).read([index])
        np.testing.assert_array_equal(alone.rgb, everything[index])


def test_variable_frame_rate_counts_frames_and_keeps_their_times(tmp_path, make_video):
    pts = [0, 20, 80, 81, 300, 320, 1000, 1020, 1021, 1300]
    path = make_video(tmp_path / "a.mp4", 10, pts=pts)
    frames = list(VideoFile(path).read(range(10)))
    assert [read_number(f.rgb) for f in frames] == list(range(10))
    assert [f.seconds for f in frames] == pytest.approx([p / 600 for p in pts], abs=1e-3)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_metadata_is_undone(tmp_path, make_video, rotation):
    turns = rotation // 90 % 4
    upright = [numbered_frame(i, 96, 64) for i in range(4)]
    stored = [np.ascontiguousarray(np.rot90(f, -turns)) for f in upright]
    height, width = stored[0].shape[:2]
    path = make_video(
        tmp_path / "a.mp4", 4, width=width, height=height, rotation=rotation, images=stored
    )
    frames = list(VideoFile(path).read(range(4)))
    assert frames[0].rgb.shape == (64, 96, 3)
    assert [read_number(f.rgb) for f in frames] == list(range(4))
    assert np.abs(frames[2].rgb.astype(int) - upright[2]).mean() < 8


def test_pixels_that_are_not_square_become_so(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", 3, width=48, height=64, aspect=Fraction(2, 1))
    (frame,) = VideoFile(path).read([2])
    assert frame.rgb.shape == (64, 96, 3)
    assert read_number(frame.rgb) == 2


@pytest.mark.parametrize("size", [(97, 65), (65, 97), (17, 128)])
def test_odd_sizes_and_portrait(tmp_path, make_video, size):
    path = make_video(tmp_path / "a.mkv", 3, width=size[0], height=size[1])
    frames = list(VideoFile(path).read([0, 2]))
    assert frames[1].rgb.shape == (size[1], size[0], 3)


def test_a_truncated_file_gives_the_frames_it_has(tmp_path, make_video):
    whole = make_video(tmp_path / "whole.ts", 40).read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    frames = VideoFile(path).index().frames
    assert 10 < frames < 40
    results = dict(read_each(VideoFile(path), range(frames)))
    assert list(results) == list(range(frames))
    good = {i: read_number(r.rgb) for i, r in results.items() if not isinstance(r, ClipError)}
    assert len(good) > 8
    assert [good[index] for index in range(8)] == list(range(8))


def test_a_file_that_is_no_video_is_named(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not a video at all" * 100)
    with pytest.raises(InputError, match=r"a\.mp4 cannot be read as a video"):
        VideoFile(path).index()


def test_a_frame_beyond_the_end_is_a_clip_error(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", 5)
    with pytest.raises(ClipError, match=r"a\.mp4"):
        list(VideoFile(path).read([3, 7]))


def test_one_broken_image_does_not_cost_the_others(tmp_path, write_image):
    paths = [write_image(tmp_path / f"{i}.png", numbered_frame(i)) for i in range(4)]
    paths[1].write_bytes(b"broken")
    results = dict(read_each(FrameFolder(tuple(paths), 30.0), range(4)))
    assert isinstance(results[1], ClipError)
    assert "1.png is not an image" in str(results[1])
    assert [read_number(results[i].rgb) for i in (0, 2, 3)] == [0, 2, 3]
    assert results[3].seconds == pytest.approx(0.1)


class Broken:
    """Gives some of the frames that it is asked for, and says that others are lost."""

    def read(self, indices):
        for index in indices:
            if index == 5:
                raise FramesLost("5 to 7 are damaged", 7)
            if index == 9:
                raise ClipError("9 is damaged")
            if index not in (0, 1, 12):
                yield Frame(index, np.zeros((2, 2, 3), np.uint8), index / 10)


def test_frames_stand_at_their_own_index_whatever_a_reader_leaves_out():
    results = list(read_each(Broken(), (0, 1, 2, 4, 5, 6, 8, 9, 10, 12)))
    assert [index for index, _ in results] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 12]
    for index, result in results:
        if index in (2, 4, 8, 10):
            assert result.index == index
        else:
            assert isinstance(result, ClipError)
    assert [str(dict(results)[i]) for i in (0, 5, 6)] == [
        "frame 0 was not found",
        "5 to 7 are damaged",
        "5 to 7 are damaged",
    ]


def test_a_pause_is_a_gap_and_does_not_change_the_rate():
    times = [i / 25 for i in range(30)] + [3600 + i / 25 for i in range(30)]
    assert frame_rate(times) == pytest.approx(25)
    assert gaps(times, 4) == [30]
    assert gaps(times, 1e6) == []


def test_a_rhythm_is_no_row_of_pauses():
    """Screens are recorded when something moves: steps of 16, 16 and 110 ms, over and over."""
    rhythm = np.tile([0.016, 0.016, 0.110], 20)
    assert gaps(np.cumsum([0, *rhythm]), 2.5) == []
    assert gaps(np.cumsum([0, *rhythm[:18]]), 2.5) == []
    assert len(gaps(np.cumsum([0, *rhythm]), 2.5, rhythm=False)) == 20
    for pause in (1, 3600):
        steps = np.insert(rhythm, 30, pause)
        assert gaps(np.cumsum([0, *steps]), 2.5) == [31]


def test_a_rhythm_in_one_part_does_not_hide_pauses_in_another():
    steps = np.full(400, 0.04)
    steps[:60] = np.tile([0.016, 0.016, 0.110], 20)
    steps[[200, 300]] = 0.16
    assert gaps(np.cumsum([0, *steps]), 2.5) == [201, 301]


def test_waits_of_any_length_are_a_rhythm():
    steps = np.random.default_rng(0).exponential(0.05, 2000) + 0.008
    assert len(gaps(np.cumsum([0, *steps]), 2.5)) < 60


def test_pauses_in_regular_frames_are_gaps_few_or_several():
    for places in ([9], [9, 20, 31], [4, 10, 17, 25, 33]):
        for length in (0.16, 1, 3600):
            steps = np.full(40, 0.04)
            steps[places] = length
            assert gaps(np.cumsum([0, *steps]), 2.5) == [place + 1 for place in places]


def test_the_rate_of_uneven_steps_is_that_of_the_usual_one():
    steps = [33, 33, 17, 33, 50, 33, 17, 33, 66, 33]
    assert frame_rate(np.cumsum([0, *steps]) / 1000) == pytest.approx(1000 / 33)


def test_rounded_time_stamps_give_the_rate():
    """Matroska counts milliseconds: steps of 33, 33 and 34."""
    assert frame_rate([round(i / 30, 3) for i in range(61)]) == pytest.approx(30, abs=1e-6)
    assert frame_rate([0.0, 0.0]) == 0


def test_a_film_whose_steps_are_half_of_one_length_and_half_of_another_has_their_mean_rate():
    film = np.cumsum([0, *[2, 3] * 8]) / 60  # 24 a second, told as 2 and 3 fields
    assert frame_rate(film) == pytest.approx(24)
    assert gaps([0.0, 0.0, 0.0], 4) == []


def test_numbered_images_are_evenly_spaced(tmp_path):
    assert frame_times(FrameFolder((tmp_path, tmp_path), 4.0), 2, 4.0) == [0, 0.25]
    assert frame_times(Broken(), 3, 10.0) == pytest.approx([0, 0.1, 0.2])
