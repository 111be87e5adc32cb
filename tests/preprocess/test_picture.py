"""A decoded frame becomes what a viewer shows."""

import av
import numpy as np
import pytest

from preprocess.picture import ON_WHITE, laid_on, oriented
from preprocess.video import VideoFile
from tests.conftest import numbered_frame

ONE = 1 << 16


def write(path, images, codec, pixels, matrix=None, pixel_format="rgb24", options=None):
    """A video of images, of which the display matrix [a, b, c, d] may be given in ones."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        if matrix:
            a, b, c, d = (value * ONE for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format=pixel_format)))
        container.mux(stream.encode())
    return path


def shown(path):
    (frame,) = VideoFile(path).read([0])
    return frame


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # clockwise, as phones held upright write
        ((0, -1, 1, 0), lambda p: np.rot90(p)),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_all_eight_orientations_of_a_display_matrix(tmp_path, matrix, turn, suffix):
    image = numbered_frame(5)
    frame = shown(write(tmp_path / f"a.{suffix}", [image] * 2, "libx264", "yuv444p", matrix))
    expected = turn(image)
    assert frame.rgb.shape == expected.shape
    assert np.abs(frame.rgb.astype(int) - expected).mean() < 6
    a, b, c, d = matrix
    assert bool(frame.notes) == (a * d - b * c < 0)


def test_a_matrix_that_turns_by_other_than_quarters_shows_the_nearest():
    image = numbered_frame(5)
    np.testing.assert_array_equal(oriented(image, 65000, 8000, -8000, 65000), image)
    np.testing.assert_array_equal(oriented(image, -8000, 65000, -65000, -8000), np.rot90(image, -1))


def test_transparent_pixels_are_laid_on_white_in_proportion():
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    rgb, laid = laid_on(rgba, 255)
    assert rgb.tolist() == [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]
    assert laid
    assert not laid_on(rgba[:, :1], 255)[1]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mov", "png", "rgba"),
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.avi", "ffv1", "bgra"),
    ],
)
def test_what_a_video_hides_under_its_transparency_is_not_shown(tmp_path, name, codec, pixels):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    alpha = np.zeros((64, 96, 1), np.uint8)
    alpha[:, :48] = 255
    noise[:, :48] = (200, 40, 40)
    rgba = np.concatenate([noise, alpha], -1)
    frame = shown(write(tmp_path / name, [rgba] * 2, codec, pixels, pixel_format="rgba"))
    assert frame.notes == (ON_WHITE,)
    assert frame.rgb[4:-4, 52:-4].min() > 250
    assert np.abs(frame.rgb[4:-4, 4:44].astype(int) - (200, 40, 40)).max() < 8


def test_a_video_whose_alpha_is_opaque_is_not_touched(tmp_path):
    rgba = np.dstack([numbered_frame(3), np.full((64, 96), 255, np.uint8)])
    frame = shown(write(tmp_path / "a.mov", [rgba] * 2, "png", "rgba", pixel_format="rgba"))
    np.testing.assert_array_equal(frame.rgb, rgba[..., :3])
    assert frame.notes == ()
