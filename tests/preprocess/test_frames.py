"""Frames come by index, exactly, whatever the container does."""

import random
from fractions import Fraction

import numpy as np
import pytest

from preprocess.errors import ClipError, InputError
from preprocess.frames import FrameFolder, read_each, read_image
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
    timeline = VideoFile(path).timeline()
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
    frames = VideoFile(path).timeline().frames
    assert 10 < frames < 40
    results = list(read_each(VideoFile(path), range(frames)))
    good = [r for r in results if not isinstance(r, ClipError)]
    assert len(good) > 8
    assert [read_number(f.rgb) for f in good[:8]] == list(range(8))


def test_a_file_that_is_no_video_is_named(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not a video at all" * 100)
    with pytest.raises(InputError, match=r"a\.mp4 cannot be read as a video"):
        VideoFile(path).timeline()


def test_a_frame_beyond_the_end_is_a_clip_error(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", 5)
    with pytest.raises(ClipError, match=r"a\.mp4"):
        list(VideoFile(path).read([3, 7]))


def test_one_broken_image_does_not_cost_the_others(tmp_path, write_image):
    paths = [write_image(tmp_path / f"{i}.png", numbered_frame(i)) for i in range(4)]
    paths[1].write_bytes(b"broken")
    results = list(read_each(FrameFolder(tuple(paths), 30.0), range(4)))
    assert isinstance(results[1], ClipError)
    assert "1.png is not an image" in str(results[1])
    assert [read_number(results[i].rgb) for i in (0, 2, 3)] == [0, 2, 3]
    assert results[3].seconds == pytest.approx(0.1)


def test_images_are_rgb_whatever_their_channels(tmp_path):
    import cv2

    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 2] = 255  # cv2 writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([red, np.full((4, 4), 9, np.uint8)]))
    cv2.imwrite(str(tmp_path / "grey16.png"), np.full((4, 4), 0x8000, np.uint16))
    assert read_image(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]
    assert read_image(tmp_path / "alpha.png")[0, 0].tolist() == [255, 0, 0]
    assert read_image(tmp_path / "grey16.png")[0, 0].tolist() == [128, 128, 128]
