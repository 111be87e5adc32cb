"""Hands and faces: the published squares, and joints where they were drawn."""

import numpy as np
import pytest
import torch

from preprocess.annotators.openpose.parts import (
    Square,
    face_square,
    find_faces,
    find_hands,
    hand_square,
)
from preprocess.annotators.torch.loading import import_controlnet_aux
from tests.preprocess.annotators.openpose.drawn import STANDING, DrawnPart, network

UTIL, BODY, HAND = import_controlnet_aux("open_pose.util", "open_pose.body", "open_pose.hand")
FRAME = np.random.default_rng(0).integers(0, 256, (368, 368, 3), dtype=np.uint8)


def published(body):
    """The package's own value for a body."""
    joints = [BODY.Keypoint(*joint) if joint[2] else None for joint in body]
    return BODY.BodyResult(joints, 0.0, 18)


def corner_of(square):
    return (square.x, square.y, square.side) if square else None


@pytest.mark.parametrize("missing", [[], [3], [6, 7], [14, 16], [0], [14, 15, 16, 17]])
@pytest.mark.parametrize("size", [1.0, 0.45, 0.2])
def test_squares_are_the_published_ones(missing, size):
    body = STANDING * (size, size, 1)
    body[missing] = 0
    ours = {s: corner_of(hand_square(FRAME, body, s)) for s in ("left", "right")}
    theirs = {
        "left" if at[3] else "right": at[:3] for at in UTIL.handDetect(published(body), FRAME)
    }
    assert ours == {"left": None, "right": None} | theirs
    assert corner_of(face_square(FRAME, body)) == UTIL.faceDetect(published(body), FRAME)


def test_squares_stay_within_the_frame():
    """The published face square may hang over the right edge, and is then squeezed."""
    body = STANDING + (176, 0, 0)
    squares = [face_square(FRAME, body), *(hand_square(FRAME, body, s) for s in ("left", "right"))]
    for square in filter(None, squares):
        assert square.image().shape == (square.side, square.side, 3)
    assert squares[0].x + squares[0].side == 368


def test_random_maps_give_the_published_hand():
    torch.manual_seed(0)
    module = torch.nn.Conv2d(3, 22, 8, 8, bias=False)
    module.weight.data *= 3
    square = Square(FRAME, 100, 120, 90)
    (hand,) = find_hands(network(module), [square])
    published_hand = HAND.Hand.__new__(HAND.Hand)
    published_hand.model = module
    expected = published_hand(square.image())
    seen = expected.any(1)
    assert seen.sum() > 10
    np.testing.assert_array_equal(hand[~seen], 0)
    # The published position is the pixel of a map of 128, scaled and cut off to whole pixels.
    pixels = np.rint((hand[seen, :2] - (100, 120) + 0.5) * 128 / 90 - 0.5)
    np.testing.assert_array_equal((pixels * 90 / 128).astype(int), expected[seen])


@pytest.mark.parametrize("side", [40, 97, 200])
def test_hands_and_faces_come_back_where_they_were_drawn(side):
    rng = np.random.default_rng(1)
    drawn = rng.uniform(0.1, 0.9, (70, 3))
    drawn[[4, 30], 2] = 0  # out of sight
    squares = [Square(FRAME, 10, 20, side), Square(FRAME, 100, 50, side)]
    hands = find_hands(network(DrawnPart(drawn[:21], 22), 1), squares)
    faces = find_faces(network(DrawnPart(drawn, 71)), squares)
    for found, count in ((hands, 21), (faces, 68)):
        seen = drawn[:count, 2] > 0
        for part, square in zip(found, squares, strict=True):
            expected = drawn[:count, :2] * side - 0.5 + (square.x, square.y)
            assert abs(part[seen, :2] - expected[seen]).max() < max(0.5, side / 128)
            np.testing.assert_allclose(part[seen, 2], drawn[:count][seen, 2], atol=0.02)
            np.testing.assert_array_equal(part[~seen], 0)
