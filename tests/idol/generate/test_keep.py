"""What is kept of a given background, on pictures of which it is known where the person is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.generate.errors import GenerationError
from idol.generate.generator import ClipGenerator, Generated, conditions_of
from idol.generate.keep import background_psnr, keep_background, person_mask
from idol.generate.loading import load_pipeline
from idol.pretrained import PEOPLE64
from shards import open_dataset
from shards.sample.colormap import depth_to_hot

SIZE, FRAMES = 64, 3
EXAMPLES = Path(__file__).parents[3] / "examples" / "people.tar"


def coverage() -> np.ndarray:
    """How much of each pixel a walking figure covers, (F, S, S); its arm is 2 pixels wide."""
    fine = np.zeros((FRAMES, 4 * SIZE, 4 * SIZE), np.float32)
    for t in range(FRAMES):
        left = 80 + 10 * t
        fine[t, 40:230, left : left + 50] = 1
        fine[t, 90:98, left + 50 : left + 110] = 1
    return fine.reshape(FRAMES, SIZE, 4, SIZE, 4).mean(axis=(2, 4))


def pictures(cover: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """The person's depth, from near to far down the image, mixed with white at soft edges."""
    near_to_far = np.linspace(0, 0.75, SIZE, dtype=np.float32)[:, None].repeat(SIZE, 1)
    person = depth_to_hot(near_to_far) / 255
    mixed = cover[..., None] * person + (1 - cover[..., None])
    mixed += np.random.default_rng(0).normal(0, noise, mixed.shape)
    return (mixed.clip(0, 1) * 255).round().astype(np.uint8)


def generated(depth_pictures: np.ndarray) -> Generated:
    shape = depth_pictures.shape[:3]
    return Generated(
        frames=np.full((*shape, 3), 90, np.uint8),
        depth=np.ones(shape, np.float32),
        confidence=np.ones(shape, np.float32),
        depth_pictures=depth_pictures,
        depth_kind="person",
        fps=25.0,
    )


BACKGROUND = np.full((SIZE, SIZE, 3), 100, np.uint8)
NO_HOLE = np.zeros((SIZE, SIZE), np.uint8)


def test_a_hole_is_filled_with_what_surrounds_it_where_nobody_is() -> None:
    cover = coverage()
    hole = NO_HOLE.copy()
    hole[10:30, 2:14] = 255  # where nobody stands
    hole[20:40, 22:30] = 255  # where somebody does, for a while
    background = BACKGROUND.copy()
    background[hole > 0] = 255
    before = generated(pictures(cover))
    after, kept = keep_background(before, background, hole, fill_hole=True)
    unfilled, same = keep_background(before, background, hole)
    assert not (kept & ~same).any()
    border = cv2.dilate(hole, np.ones((3, 3), np.uint8)) > 0  # soft, and filled as well
    assert not (same & ~kept)[:, ~border].any()
    assert not kept[:, hole > 0].any()
    assert (np.abs(after.frames[:, 12:28, 4:12].astype(int) - 100) <= 5).all()
    assert (unfilled.frames[:, 12:28, 4:12] == 90).all()
    assert (after.frames[cover > 0.1] == 90).all()
    assert np.array_equal(after.frames[kept], unfilled.frames[kept])


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1, 0.15])
def test_background_is_kept_and_the_person_is_not_lost(noise: float) -> None:
    cover = coverage()
    _, kept = keep_background(generated(pictures(cover, noise)), BACKGROUND, NO_HOLE)
    assert not kept[cover > 0.1].any()
    assert kept[cover == 0].mean() >= 0.9


def test_kept_pixels_are_the_given_ones_and_others_as_generated() -> None:
    before = generated(pictures(coverage()))
    after, kept = keep_background(before, BACKGROUND, NO_HOLE)
    assert (after.frames[kept] == 100).all()
    assert (after.frames[~kept] == 90).all()
    assert (before.frames == 90).all()
    assert after.depth is before.depth
    assert after.depth_pictures is before.depth_pictures


def test_nothing_is_kept_in_the_hole() -> None:
    hole = NO_HOLE.copy()
    hole[:, :20] = 255
    hole[:, 20] = 30  # its soft edge, where the photo has the person's colours in it
    after, kept = keep_background(generated(pictures(coverage())), BACKGROUND, hole)
    assert not kept[:, :, :21].any()
    assert kept[:, :4, 21:].all()
    assert (after.frames[:, :, :21] == 90).all()


def test_an_edge_softer_than_a_pixel_stays_the_persons() -> None:
    ramp = np.clip(1.2 - np.abs(np.arange(SIZE) - 30) / 4, 0, 1).astype(np.float32)
    cover = np.broadcast_to(ramp, (1, SIZE, SIZE))
    _, kept = keep_background(generated(pictures(cover)), BACKGROUND, NO_HOLE)
    assert not kept[cover > 0.15].any()
    assert kept[cover == 0].mean() > 0.9


def test_the_margin_grows_with_the_image() -> None:
    for size, margin in ((64, 1), (128, 2), (256, 4)):
        cover = np.zeros((1, size, size), np.float32)
        cover[:, :, size // 2 :] = 1
        given = np.zeros((size, size, 3), np.uint8)
        white = np.where(cover[..., None] > 0, 0, 255).astype(np.uint8).repeat(3, -1)
        _, kept = keep_background(generated(white), given, given[..., 0])
        assert kept[0, 0].sum() == size // 2 - margin


def test_nobody_and_everybody() -> None:
    white = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    assert keep_background(generated(white), BACKGROUND, NO_HOLE)[1].all()
    assert not person_mask(white).any()
    black = np.zeros_like(white)
    assert not keep_background(generated(black), BACKGROUND, NO_HOLE)[1].any()
    assert background_psnr(generated(black), BACKGROUND, NO_HOLE) is None


def test_psnr_of_the_background_with_and_without() -> None:
    before = generated(pictures(coverage()))
    # 10 levels everywhere.
    expected = 20 * np.log10(255 / 10)
    assert background_psnr(before, BACKGROUND, NO_HOLE) == pytest.approx(expected)
    after, kept = keep_background(before, BACKGROUND, NO_HOLE)
    places = ~person_mask(before.depth_pictures)
    left = 1 - kept[places].mean()
    assert 0 < left < 0.1
    assert background_psnr(after, BACKGROUND, NO_HOLE) == pytest.approx(
        expected - 10 * np.log10(left)
    )
    same = dataclasses.replace(before, frames=np.full_like(before.frames, 100))
    assert background_psnr(same, BACKGROUND, NO_HOLE) == np.inf


def test_what_cannot_be_kept_is_refused() -> None:
    whole = dataclasses.replace(generated(pictures(coverage())), depth_kind="frame")
    with pytest.raises(GenerationError, match="depth is that of the whole frame"):
        keep_background(whole, BACKGROUND, NO_HOLE)
    with pytest.raises(GenerationError, match="mask has 32x64 pixels, and the frames 64x64"):
        keep_background(generated(pictures(coverage())), BACKGROUND, NO_HOLE[:, :32])


@pytest.mark.slow
@pytest.mark.parametrize("many", [True, False])
def test_on_people_that_the_packages_own_model_draws(many: bool) -> None:
    """Against the truth of rendered people: background kept, nobody lost, and nearer to it.

    In its own two steps the model draws the place, with its shadows, as well as it is given.
    """
    given_steps = {"scheduler": "ddim", "steps": 6, "guidance": 1.5} if many else {}
    generator = ClipGenerator(load_pipeline(PEOPLE64), **given_steps)
    background = kept_of_it = person = lost = 0
    errors = np.zeros(2)
    for clip in open_dataset(EXAMPLES).clips():
        assert clip.mask is not None
        given = conditions_of(clip)
        made = generator(given.part(slice(8)), seed=0)
        with_it, kept = keep_background(made, given.background, given.background_mask)
        known = (clip.mask[:8] == 0) & (given.background_mask == 0)
        background += known.sum()
        kept_of_it += (kept & known).sum()
        person += (clip.mask[:8] > 127).sum()
        lost += (kept & (clip.mask[:8] > 127)).sum()
        for i, frames in enumerate((made.frames, with_it.frames)):
            errors[i] += np.square(frames[known].astype(float) - clip.rgb[:8][known]).sum()
    psnr = 10 * np.log10(255**2 * 3 * background / errors)
    print(f"kept {kept_of_it / background:.4f}, lost {lost} of {person}, PSNR {psnr}")
    assert kept_of_it / background > 0.9
    assert lost < 0.001 * person
    assert psnr[1] > (psnr[0] if many else 33)
