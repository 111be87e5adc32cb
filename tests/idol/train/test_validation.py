"""Validation says the same of the same clips, however they are dealt out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import pytest
import torch

from idol.data.preparation import LatentBatch
from idol.diffusion.conditions import Conditions
from idol.diffusion.schedule import noise_schedule
from idol.model import DEPTH, VIDEO, DualModalDenoiser
from idol.model.unet import DenoiserOutput
from idol.train.stopping import TrainError
from idol.train.validation import validate


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(clips: Sequence[int], streams: int = 2) -> LatentBatch:
    """Clips by their numbers: what a number stands for is always the same clip."""
    return LatentBatch(
        key=tuple(f"clip-{n}" for n in clips),
        latents_BMFCHW=torch.cat([draw(1, 2, 2, 4, 8, 8, seed=n)[:, :streams] for n in clips]),
        conditions=Conditions(
            torch.cat([draw(1, 5, 20, seed=100 + n) for n in clips]),
            torch.cat([draw(1, 4, 8, 8, seed=200 + n) for n in clips]),
            torch.cat([draw(1, 2, 4, 8, 8, seed=300 + n) for n in clips]),
        ),
        modalities=(VIDEO, DEPTH)[:streams],
    )


def run(model: torch.nn.Module, *batches: LatentBatch, **options: object) -> dict[str, float]:
    return validate(model, batches, noise_schedule(), **options)  # type: ignore[arg-type]


class Returns(torch.nn.Module):
    """Predicts what it is told to, and remembers the noisy latents."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.seen = value, []

    def forward(self, latents: torch.Tensor, *_: object, **__: object) -> DenoiserOutput:
        self.seen.append(latents)
        return DenoiserOutput(torch.full_like(latents, self.value), ())


def test_a_prediction_of_nothing_has_the_noises_variance() -> None:
    result = run(Returns(0.0), batch([0, 1, 2, 3]), timesteps=(0, 400, 999))
    # Of 6144 values the mean square deviates from 1 by 0.018.
    assert result["denoise_video"] == pytest.approx(1, abs=0.1)
    assert result["denoise"] == result["denoise_video"] + result["denoise_depth"]


def test_noise_of_a_clip_is_new_for_each_timestep_modality_and_clip() -> None:
    model = Returns(0.0)
    run(model, batch([0, 1]), timesteps=(999, 998))
    latents = torch.stack(model.seen).flatten(0, 2).flatten(1)
    correlations = torch.corrcoef(latents) - torch.eye(len(latents))
    assert correlations.abs().max() < 0.2


def test_losses_are_those_of_each_modality_and_band(trained: DualModalDenoiser) -> None:
    whole = run(trained, batch([0, 1]), timesteps=(10, 20, 600))
    early, late = (run(trained, batch([0, 1]), timesteps=t) for t in ((10, 20), (600,)))
    assert whole["denoise_video/000-249"] == pytest.approx(early["denoise_video"], rel=1e-6)
    assert whole["denoise_depth/500-749"] == pytest.approx(late["denoise_depth"], rel=1e-6)
    expected = (2 * early["denoise_video"] + late["denoise_video"]) / 3
    assert whole["denoise_video"] == pytest.approx(expected, rel=1e-6)
    assert set(whole) == {
        "denoise",
        *(f"denoise_{name}{band}" for name in ("video", "depth") for band in ("", *BANDS)),
    }


BANDS = ("/000-249", "/500-749")


def test_batches_order_and_ranks_change_nothing(trained: DualModalDenoiser) -> None:
    together = run(trained, batch([0, 1, 2]), timesteps=(50, 950))
    for deal in ([[2], [0], [1]], [[1, 0], [2]]):
        apart = run(trained, *map(batch, deal), timesteps=(50, 950))
        assert apart == pytest.approx(together, rel=1e-5)

    others: list[torch.Tensor] = []
    run(trained, batch([1]), timesteps=(50, 950), reduce=lambda x: others.append(x) or x)

    def add(sums: torch.Tensor) -> torch.Tensor:
        return sums + others[0]

    result = run(trained, batch([0, 2]), timesteps=(50, 950), reduce=add)
    assert result == pytest.approx(together, rel=1e-5)


def test_validating_twice_gives_the_same_numbers(trained: DualModalDenoiser) -> None:
    assert run(trained, batch([0])) == run(trained, batch([0]))


def test_without_depth_the_loss_is_that_of_video(trained: DualModalDenoiser) -> None:
    both, alone = run(Returns(0.5), batch([0])), run(Returns(0.5), batch([0], streams=1))
    assert "denoise_depth" not in alone
    assert alone["denoise"] == alone["denoise_video"] == both["denoise_video"]


def test_validation_leaves_modes_and_random_state_alone(trained: DualModalDenoiser) -> None:
    trained.train()
    trained.controlnet.eval()
    modes = {name: module.training for name, module in trained.named_modules()}

    def drawing() -> Iterator[LatentBatch]:
        """As a loader does that seeds its workers."""
        torch.rand(3)
        assert not any(module.training for module in trained.modules())
        yield batch([0])

    state = torch.get_rng_state()
    validate(trained, drawing(), noise_schedule(), timesteps=(50,))
    assert torch.equal(torch.get_rng_state(), state)
    assert {name: module.training for name, module in trained.named_modules()} == modes
    assert all(p.grad is None for p in trained.parameters())


def test_validating_no_clips_is_an_error(trained: DualModalDenoiser) -> None:
    with pytest.raises(TrainError, match="val split is empty"):
        run(trained)


def test_other_conditions_give_another_validation_loss(trained: DualModalDenoiser) -> None:
    told = batch([0])
    untold = dataclasses.replace(told, conditions=batch([1]).conditions)
    assert run(trained, told, timesteps=(500,)) != run(trained, untold, timesteps=(500,))
