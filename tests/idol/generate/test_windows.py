"""Windows over the frames of a long video: where they lie, and what fusing them gives."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from idol.config.checks import ConfigError
from idol.diffusion.schedule import ddim_scheduler
from idol.generate.continuity import seam
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
    fused = fuse(lambda parts: [prediction[:, :, *parts]], latents, 5, Windows())
    assert fused.dtype == torch.float16
    assert torch.equal(fused, prediction)


@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_what_windows_agree_on_is_kept(windows: Windows) -> None:
    latents = draw(19)
    for step in range(4):
        for at_once in (1, 3):
            fused = fuse(
                lambda parts: [2 * latents[:, :, part] for part in parts],
                latents,
                step,
                windows,
                at_once=at_once,
            )
            torch.testing.assert_close(fused, 2 * latents)


def test_what_they_disagree_on_is_weighed() -> None:
    """Two windows of 4 frames over 6: each says its own number everywhere."""
    says = iter([0.0, 1.0])
    fused = fuse(lambda _: [torch.full((1, 2, 4, 4, 2, 2), next(says))], draw(6), 0, Windows(4, 2))
    # In the frames that both see, the weights are 2 : 1, then 1 : 2.
    expected = torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1])[:, None, None, None].expand(
        1, 2, 6, 4, 2, 2
    )
    torch.testing.assert_close(fused, expected)


@pytest.mark.parametrize("at_once", [1, 2])
def test_each_window_is_predicted_once(at_once: int) -> None:
    seen: list[slice] = []

    def predict(parts: list[slice]) -> list[torch.Tensor]:
        assert len(parts) <= at_once
        seen.extend(parts)
        return [torch.zeros(1, 2, part.stop - part.start, 4, 2, 2) for part in parts]

    fuse(predict, draw(20), 1, Windows(), at_once=at_once)
    assert [(part.start, part.stop) for part in seen] == grid(20, 1, Windows())


def seam_of(windows: Windows, frames: int = 96, steps: int = 20) -> float:
    """Seam of a video that rises by 2 levels a frame, made in windows that disagree.

    Each believes the brightness to be normally distributed about a mean of its own, and predicts
    the clean video that this and the noisy one make likely, as a perfect model would.
    """
    scheduler = ddim_scheduler(4.0, spacing="trailing")
    scheduler.set_timesteps(steps)
    truth, variance = torch.arange(frames) / 64, 1.0
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 1, 1, 1, 1, 1, generator=generator).repeat(1, 1, frames, 1, 1, 1)
    for step, timestep in enumerate(scheduler.timesteps):
        a = scheduler.alphas_cumprod[timestep]

        def predict(
            parts: list[slice], a: torch.Tensor = a, latents: torch.Tensor = latents
        ) -> Any:
            (part,) = parts
            own = torch.randn(1, generator=torch.Generator().manual_seed(part.start)) / 16
            mean = (truth[part] + own)[None, None, :, None, None, None]
            surprise = latents[:, :, part] - a.sqrt() * mean
            return [surprise * (1 - a).sqrt() / (a * variance + 1 - a)]

        noise = fuse(predict, latents, step, windows)
        latents = scheduler.step(noise, timestep, latents).prev_sample
    levels = (30 + latents.flatten() * 128).round().clamp(0, 255).to(torch.uint8).numpy()
    found = seam(np.broadcast_to(levels[:, None, None, None], (frames, 2, 2, 3)), windows.stride)
    assert found is not None
    return found


def test_windows_that_overlap_hide_what_they_disagree_on() -> None:
    assert seam_of(Windows(8, 0, shift=False)) > 1.7
    assert seam_of(Windows(8, 4, shift=False)) < 1.2
    assert seam_of(Windows(8, 4)) < 1.2


@pytest.mark.parametrize(
    ("length", "overlap", "says"),
    [(8, 8, "overlap of 7 at most"), (0, 0, "length must be"), (8, -1, "overlap must be")],
)
def test_impossible_windows(length: int, overlap: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Windows(length, overlap)


# Prints the peak of its process in bytes: one process a length, since a peak never falls.
PEAK = """
import resource, sys
import numpy as np
from idol.config.presets import preset
from idol.diffusion.schedule import ddim_scheduler
from idol.encoders import PatchCodec, TinyEncoder
from idol.generate.generator import ClipConditions, ClipGenerator
from idol.generate.pipeline import IdolPipeline
from idol.generate.windows import Windows
from idol.model import DualModalDenoiser
from idol.model_info import ModelInfo

settings = preset("tiny")
denoiser = DualModalDenoiser.from_config(settings)
scheduler = ddim_scheduler(PatchCodec.bound)
info = ModelInfo(stage="video", preset="tiny", settings=settings, size=64, frames=8, step=0)
encoder, codec = TinyEncoder(settings.foreground_dim), PatchCodec()
pipeline = IdolPipeline.of(denoiser, encoder, codec, scheduler, info)
pipeline.set_progress_bar_config(disable=True)
image = np.zeros((64, 64, 3), np.uint8)
skeletons = np.zeros((int(sys.argv[1]), 64, 64, 3), np.uint8)
given = ClipConditions(image, image[..., 0], image, image[..., 0], skeletons, fps=25)
# Windows that do not overlap hold as much in memory as those that do, in half the time.
steps = {"scheduler": sys.argv[2], "steps": 1, "guidance": 1.0}
made = ClipGenerator(pipeline, **steps, windows=Windows(8, 0))(given, 0)
assert len(made.frames) == len(skeletons)
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, made.frames.shape)
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["ddim", "unipc"])
def test_memory_grows_by_no_more_than_the_output(scheduler: str) -> None:
    """From 16 to 512 frames: at most 1.3 MB a frame, of latents, conditions and output together.

    The same code took .79 MB on one machine and 1.02 to 1.17 on another.
    """
    peaks = []
    for frames in (16, 512):
        command = [sys.executable, "-c", PEAK, str(frames), scheduler]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        print(run.stdout)
        peaks.append(int(run.stdout.split()[0]))
    # A frame's latents are 98 kB, its pictures, depth and confidence 57 kB.
    assert (peaks[1] - peaks[0]) / (512 - 16) < 1.3e6
