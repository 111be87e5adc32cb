"""From a TorchScript program's outputs to V, U and part of each pixel."""

import numpy as np
import pytest
import torch

from preprocess.annotators.densepose.annotator import DensePoseProgram, image_of
from preprocess.errors import ClipError, InputError
from tests.preprocess.annotators.densepose import small

BOX = (10, 20, 26, 44)  # x0, y0, x1, y1


@pytest.fixture
def frame():
    """Red, with a blue person."""
    image = np.zeros((60, 40, 3), np.uint8)
    image[..., 0] = 255
    x0, y0, x1, y1 = BOX
    image[y0:y1, x0:x1] = (0, 0, 255)
    return image


def expected():
    """V, U, part: the box is four by four squares of the grid, of which the left ones are no body;
    a linear edge between two squares lies halfway between their middles, where they meet."""
    iuv = np.zeros((60, 40, 3), np.uint8)
    x0, y0, x1, y1 = BOX
    quarter, middle = x0 + (x1 - x0) // 4, (y0 + y1) // 2
    iuv[y0:middle, quarter:x1] = (63, 31, 1)
    iuv[middle:y1, quarter:x1] = (127, 63, 2)
    return iuv


@pytest.mark.parametrize("program", [small.Stand, small.Bare])
def test_charts_become_an_image(tmp_path, frame, program):
    path = small.save(tmp_path / "densepose.pt", program())
    found = DensePoseProgram(path, "cpu")(frame)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected())


def test_nobody_is_a_black_image(tmp_path, frame):
    red = np.full_like(frame, (255, 0, 0))
    assert not DensePoseProgram(small.save(tmp_path / "densepose.pt"), "cpu")(red).any()


def test_the_unsure_are_nobody(tmp_path, frame):
    path = small.save(tmp_path / "densepose.pt", small.Stand((0.79,)))
    assert not DensePoseProgram(path, "cpu")(frame).any()


def people(*described):
    """What a program finds, of (score, box, part): each is all of its box."""
    count = len(described)
    fine = torch.zeros(count, 25, 2, 2)
    for one, (_, _, part) in zip(fine, described, strict=True):
        one[part] = 1
    coarse = torch.zeros(count, 2, 2, 2)
    coarse[:, 1] = 1
    return {
        "scores": torch.tensor([score for score, _, _ in described]),
        "pred_boxes": torch.tensor([box for _, box, _ in described], dtype=torch.float32),
        "pred_densepose_coarse_segm": coarse,
        "pred_densepose_fine_segm": fine,
        "pred_densepose_u": torch.ones(count, 25, 2, 2),
        "pred_densepose_v": torch.full((count, 25, 2, 2), -0.5),
    }


def test_the_surest_is_on_top():
    found = image_of(people((0.95, (0, 0, 6, 6), 7), (0.85, (4, 4, 9, 9), 3)), (10, 10))
    assert found[5, 5].tolist() == [0, 255, 7]  # V below 0 is 0, U of 1 is 255
    assert found[8, 8, 2] == 3
    assert found[9, 9, 2] == 0


def test_boxes_beyond_the_image_are_cut_off():
    found = image_of(people((0.9, (-3, -2, 4, 5), 7), (0.9, (8, 8, 14, 12), 9)), (10, 10))
    assert (found[:5, :4, 2] == 7).all()
    assert (found[8:, 8:, 2] == 9).all()
    assert (found[..., 2] > 0).sum() == 5 * 4 + 2 * 2


def test_whole_pixels_are_detectron2s():
    """A box of 4.9 pixels from 1.9 on begins at pixel 1 and is 4 wide."""
    found = image_of(people((0.9, (1.9, 2.9, 6.8, 5.0), 4)), (10, 10))
    rows, columns = np.nonzero(found[..., 2])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 3, 1, 4)


class Wrong(torch.nn.Module):
    def forward(self, image):
        return image.float().mean()


class Fails(torch.nn.Module):
    def forward(self, image):
        return image.reshape(7, 3)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (Wrong(), "gives Tensor, not DensePose's pred_boxes"),
        (Fails(), "fails on an image"),
        (small.Stand(fine=15), r"gives pred_densepose_fine_segm of shape \(1, 15, 4, 4\)"),
    ],
)
def test_a_program_of_something_else_is_refused(tmp_path, frame, program, said):
    path = small.save(tmp_path / "other.pt", program)
    with pytest.raises(InputError, match=said):
        DensePoseProgram(path, "cpu")(frame)


class FailsOnBlack(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stand = small.Stand()

    def forward(self, image):
        return self.stand(image if image.any() else image.reshape(7, 3))


def test_a_program_that_worked_and_fails_on_a_frame_fails_its_clip_alone(tmp_path, frame):
    program = DensePoseProgram(small.save(tmp_path / "stand.pt", FailsOnBlack()), "cpu")
    black = np.zeros_like(frame)
    with pytest.raises(InputError, match=r"stand\.pt fails on an image"):
        program(black)
    program(frame)
    with pytest.raises(ClipError, match=r"DensePose fails on a frame: .*shape"):
        program(black)


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no DensePose program at .*densepose\.pt"):
        DensePoseProgram(tmp_path / "densepose.pt", "cpu")
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="is no TorchScript program of DensePose"):
        DensePoseProgram(tmp_path / "weights.pt", "cpu")
