"""Orientations by EXIF; those of display matrices are tested where videos are read."""

import io

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from shards.sample.upright import Turn


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_of_exif(orientation):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", exif=exif)
    turn = Turn.of_image(file.getvalue())
    shown = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(turn.apply(image), shown)
    np.testing.assert_array_equal(turn.apply(image[..., 0]), shown[..., 0])
    assert turn.size(7, 5) == shown.shape[1::-1]


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe1\0\x10Exif\0\0MM"])
def test_what_says_nothing_is_left_as_it_is(content):
    assert Turn.of_image(content) == Turn()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_frame_that_says_more_than_pyav_has_names_for_is_turned(orientation):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    Image.fromarray(image).save(file, "TIFF", exif=exif)
    with av.open(io.BytesIO(file.getvalue())) as container:
        frame = next(container.decode(video=0))
    assert Turn.of_frame(frame) == Turn.of_image(file.getvalue())
