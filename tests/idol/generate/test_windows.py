"""Windows over the frames of a long video: where they lie, and what fusing them gives."""

from __future__ import annotations

import pytest
import torch

from idol.config.checks import ConfigError
from idol.generate.windows import Windows, fuse, grid, weights

SHAPES = [
    Windows(),
    Windows(8, 0),
    Windows(8, 7),
    Windows(5, 2),
    Windows(1, 0),
    Windows(8, 4, False),
]


def draw(frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 2, frames, 4, 2, 2, generator=generator)


@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_every_frame_is_in_a_whole_window_at_every_step(windows: Windows) -> None:
    for frames in (1, 2, 7, 8, 9, 12, 16, 17, 50):
        for step in range(12):
            places = grid(frames, step, windows)
            assert {t for start, stop in places for t in range(start, stop)} == set(range(frames))
            assert {stop - start for start, stop in places} == {min(frames, windows.length)}
            assert places == sorted(set(places))


def test_the_grid_moves_and_no_place_stays_a_border() -> None:
    frames, borders = 64, [0] * 64
    for step in range(20):
        for start, _ in grid(frames, step, Windows()):
            borders[start] += 1
    # Away from the ends each frame begins a window in a fair share of the steps: a quarter.
    assert all(3 <= count <= 7 for count in borders[8:52])
    fixed = {tuple(grid(frames, step, Windows(shift=False))) for step in range(20)}
    assert fixed == {tuple((start, start + 8) for start in range(0, 60, 4))}


def test_the_work_is_what_the_overlap_says() -> None:
    assert len(grid(512, 3, Windows(8, 4))) / (512 / 8) == pytest.approx(2, rel=0.03)
    assert len(grid(512, 3, Windows(8, 0))) / (512 / 8) == pytest.approx(1, rel=0.03)


def test_weights_are_a_pyramid() -> None:
    assert weights(4).tolist() == pytest.approx([1 / 6, 2 / 6, 2 / 6, 1 / 6])
    assert weights(5).tolist() == pytest.approx([1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9])
    assert weights(1).tolist() == [1]


def test_one_window_is_the_prediction_itself() -> None:
    latents = draw(8)
    prediction = latents.half() * 3
    fused = fuse(lambda frames: prediction[:, :, frames], latents, 5, Windows())
    assert fused.dtype == torch.float16
    assert torch.equal(fused, prediction)


@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_what_windows_agree_on_is_kept(windows: Windows) -> None:
    latents = draw(19)
    for step in range(4):
        fused = fuse(lambda frames: 2 * latents[:, :, frames], latents, step, windows)
        torch.testing.assert_close(fused, 2 * latents)


def test_what_they_disagree_on_is_weighed() -> None:
    """Two windows of 4 frames over 6: each says its own number everywhere."""
    says = iter([0.0, 1.0])
    fused = fuse(
        lambda frames: torch.full((1, 2, 4, 4, 2, 2), next(says)), draw(6), 0, Windows(4, 2)
    )
    # In the frames that both see, the weights are 2 : 1, then 1 : 2.
    expected = torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1])[:, None, None, None].expand(
        1, 2, 6, 4, 2, 2
    )
    torch.testing.assert_close(fused, expected)


def test_each_window_is_predicted_once_and_alone() -> None:
    seen: list[slice] = []

    def predict(frames: slice) -> torch.Tensor:
        seen.append(frames)
        return torch.zeros(1, 2, frames.stop - frames.start, 4, 2, 2)

    fuse(predict, draw(20), 1, Windows())
    assert [(frames.start, frames.stop) for frames in seen] == grid(20, 1, Windows())


@pytest.mark.parametrize(
    ("length", "overlap", "says"),
    [(8, 8, "overlap of 7 at most"), (0, 0, "length must be"), (8, -1, "overlap must be")],
)
def test_impossible_windows(length: int, overlap: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Windows(length, overlap)
