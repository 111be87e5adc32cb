"""Motion fields: a shift is seen as that shift, in the loss's own field."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idol.losses import motion_consistency
from idol.losses.literal import motion_field
from idol.train.samples import colour_motion, displacements


def features(frames: int = 3, channels: int = 400) -> torch.Tensor:
    """One clip of 6x6 features, each like no other, that move two right and one down a frame."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(6, 6, channels, generator=generator)
    return torch.stack([first.roll((n, 2 * n), dims=(0, 1)) for n in range(frames)])[None]


def test_a_shift_of_features_is_their_displacement() -> None:
    moved = displacements(features())
    assert moved.shape == (1, 2, 6, 6, 2)
    # Positions that leave the image in neither direction of time.
    inside = moved[0, :, 1:5, 2:4]
    shift = torch.tensor([2.0, 1.0]).expand(2, 4, 2, 2)
    torch.testing.assert_close(inside, shift, rtol=0, atol=0.1)


def test_it_is_float32_where_a_model_is_run_by_autocast() -> None:
    given = features()
    with torch.autocast("cpu", torch.bfloat16):
        moved = displacements(given)
    torch.testing.assert_close(moved, displacements(given), rtol=0, atol=0)


def test_what_stands_still_does_not_move_however_wide_the_field() -> None:
    still = torch.randn(1, 1, 5, 7, 4).expand(1, 3, 5, 7, 4)
    field = motion_field(still, 4**-0.5)
    assert field.max() < 0.5
    assert not displacements(still).any()


def test_noise_alone_has_no_direction() -> None:
    """Expected targets of features like no other are all the middle; displacements are not."""
    noise = torch.randn(1, 2, 9, 9, 16, generator=torch.Generator().manual_seed(0))
    field = motion_field(noise, 16**-0.5)[0, 0].unflatten(1, (9, 9))
    expected_x = (field.sum(dim=1) @ torch.arange(9.0)).unflatten(0, (9, 9))
    assert (expected_x[:, 0] - 0).mean() > 3
    left, right = (displacements(noise)[0, 0, :, column, 0].mean() for column in (0, 8))
    assert abs(left - right) < 0.5


def test_equal_displacements_are_what_the_loss_rewards() -> None:
    """The field drawn is the loss's: features with equal fields have no loss and one image."""
    video = features(channels=16)
    depth = 3 * video @ torch.linalg.qr(torch.randn(16, 16)).Q
    assert motion_consistency(video, depth, 0.25) < 1e-9
    torch.testing.assert_close(displacements(video), displacements(depth), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("displacement", "colour"),
    [
        ((0, 0), (255, 255, 255)),
        ((2, 0), (255, 0, 0)),
        ((9, 0), (255, 0, 0)),
        ((-2, 0), (0, 255, 255)),
        ((1, 0), (255, 128, 128)),
        ((-1, 3**0.5), (0, 255, 0)),
    ],
)
def test_colours_of_directions(
    displacement: tuple[float, float], colour: tuple[int, int, int]
) -> None:
    image = colour_motion(np.array(displacement, np.float32).reshape(1, 1, 2), longest=2)
    assert image.dtype == np.uint8
    assert np.abs(image[0, 0].astype(int) - colour).max() <= 1
