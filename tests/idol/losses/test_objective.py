"""Eq. 2 and Eq. 7: which terms are summed, over what, and how they are weighted."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from idol.config import ConfigError
from idol.diffusion.schedule import noise_of_v, noise_schedule, signal_fraction
from idol.losses import (
    LossConfig,
    cross_attention_consistency,
    denoising_losses,
    feature_gradient_norms,
    motion_consistency,
    training_losses,
)
from idol.model import ConsistencyFeatures


def layer(seed: int, frames: int = 3) -> ConsistencyFeatures:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    return ConsistencyFeatures(
        draw(2, 2, frames, 4, 4, 9), draw(2, 2, frames, 2, 16, 8), draw(2, 2, frames, 2, 5, 8)
    )


def noises(modalities: int = 2, frames: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    shape = (2, modalities, frames, 4, 8, 8)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_denoising_is_the_mean_squared_error_of_each_modality() -> None:
    prediction, noise = noises()
    found = denoising_losses(prediction, noise)
    for modality in range(2):
        expected = torch.nn.functional.mse_loss(prediction[:, modality], noise[:, modality])
        torch.testing.assert_close(found[modality], expected)


def test_the_error_of_v_is_that_of_the_noise_weighed_by_timestep() -> None:
    clean, noise = noises()
    schedule, timesteps = noise_schedule(), torch.tensor([3, 960])
    noisy = schedule.add_noise(clean, noise, timesteps)
    v = schedule.get_velocity(clean, noise, timesteps)
    wrong = v + 0.1 * noises()[0].flip(0)
    config = LossConfig(denoise_error="v")
    found = training_losses(noise_of_v(wrong, noisy, timesteps), noise, [], config, timesteps)
    expected = (wrong - v).square().transpose(0, 1).flatten(1).mean(dim=1).sum()
    torch.testing.assert_close(found.total, expected, rtol=1e-3, atol=0)
    # What is reported is the error of the noise either way.
    plain = training_losses(noise_of_v(wrong, noisy, timesteps), noise, [], LossConfig())
    assert torch.equal(found.denoise_M, plain.denoise_M)
    assert found.total > 2 * plain.total
    with pytest.raises(ValueError, match="give them"):
        training_losses(noise, noise, [], config)


def test_the_error_of_the_clean_latents_counts_alike_at_all_timesteps() -> None:
    clean, noise = noises()
    timesteps = torch.tensor([3, 960])
    fraction = signal_fraction(timesteps)[:, None, None, None, None, None]
    noisy = noise_schedule().add_noise(clean, noise, timesteps)
    wrong = clean + 0.1 * noises()[0].flip(0)
    said = (noisy - fraction.sqrt() * wrong) / (1 - fraction).sqrt()
    config = LossConfig(denoise_error="change")
    found = training_losses(said, noise, [], config, timesteps)
    expected = (wrong - clean).square().transpose(0, 1).flatten(1).mean(dim=1).sum()
    torch.testing.assert_close(found.total, expected, rtol=1e-3, atol=0)
    with pytest.raises(ValueError, match="denoise_error='change' weighs clips"):
        training_losses(noise, noise, [], config)


@pytest.mark.parametrize("error", ["noise", "v", "change"])
def test_huber_counts_large_errors_linearly_and_is_the_squared_error_else(error: str) -> None:
    prediction, noise = noises()
    timesteps = torch.tensor([3, 960])

    def total(prediction: torch.Tensor, huber: float) -> torch.Tensor:
        config = LossConfig(denoise_error=error, huber=huber)  # type: ignore[arg-type]
        return training_losses(prediction, noise, [], config, timesteps).total

    squared = total(prediction, 0.0)
    torch.testing.assert_close(total(prediction, 1e4), squared)
    # Far beyond c an error ten times as large counts ten times, and not a hundred.
    further = noise + 10 * (prediction - noise)
    tenfold = 10 * total(prediction, 1e-4)
    torch.testing.assert_close(total(further, 1e-4), tenfold, rtol=1e-2, atol=0)
    torch.testing.assert_close(total(further, 0.0), 100 * squared)
    assert total(noise, 0.02) == 0


def test_huber_is_that_of_a_pixel_over_its_channels_and_learns_what_mostly_is() -> None:
    noise = torch.zeros(1, 1, 1, 4, 1, 2)
    prediction = torch.zeros_like(noise)
    prediction[0, 0, 0, :, 0, 1] = torch.tensor([3.0, 0, 4, 0])
    found = training_losses(prediction, noise, [], LossConfig(huber=0.5)).total
    # Two pixels: no error, and one whose mean square is 25 / 4.
    expected = (0 + 2 * 0.5 * ((25 / 4 + 0.5**2) ** 0.5 - 0.5)) / 2
    assert found.item() == pytest.approx(expected)

    # Of three clips two have 0 where one has 1. What is best for all is nearly 0, not a third.
    targets = torch.tensor([0.0, 0.0, 1.0])[:, None, None, None, None, None]

    def best(huber: float) -> float:
        guesses = torch.linspace(0, 1, 101)
        config = LossConfig(huber=huber)
        losses = [
            training_losses(guess.expand_as(targets), targets, [], config).total
            for guess in guesses[:, None, None, None, None, None, None]
        ]
        return guesses[int(torch.stack(losses).argmin())].item()

    assert best(0.0) == pytest.approx(1 / 3, abs=0.01)
    assert best(0.02) < 0.03


def test_depth_may_have_another_huber_than_video_or_none() -> None:
    prediction, noise = noises()

    def of_stream(index: int, config: LossConfig) -> torch.Tensor:
        alone = torch.zeros_like(noise)
        alone[:, index] = (prediction - noise)[:, index]
        return training_losses(alone, torch.zeros_like(alone), [], config).total

    robust, squared = LossConfig(huber=0.02), LossConfig()
    for depth, wanted in ((None, robust), (0.0, squared), (0.1, LossConfig(huber=0.1))):
        config = LossConfig(huber=0.02, huber_depth=depth)
        torch.testing.assert_close(of_stream(0, config), of_stream(0, robust))
        torch.testing.assert_close(of_stream(1, config), of_stream(1, wanted))
    torch.testing.assert_close(of_stream(1, LossConfig(huber_depth=0.02)), of_stream(1, robust))


def test_objective_is_equation_7() -> None:
    prediction, noise = noises()
    layers = [layer(1), layer(2)]
    config = LossConfig(motion_weight=0.5, cross_attention_weight=2.0)
    losses = training_losses(prediction, noise, layers, config)
    motion = sum(
        motion_consistency(f.motion_BMFHWC[:, 0], f.motion_BMFHWC[:, 1], 1 / 3) for f in layers
    )
    attention = sum(
        cross_attention_consistency(
            *(x[:, m].flatten(0, 1) for m in (0, 1) for x in (f.queries_BMFhLD, f.keys_BMFhTD))
        )
        for f in layers
    )
    expected = denoising_losses(prediction, noise).sum() + 0.5 * motion + 2.0 * attention
    torch.testing.assert_close(losses.total, expected)
    torch.testing.assert_close(losses.motion, motion)
    torch.testing.assert_close(losses.cross_attention, attention)


def test_default_weights_are_the_papers() -> None:
    assert LossConfig() == LossConfig(motion_weight=0.01, cross_attention_weight=0.01)


def test_the_one_frame_stage_has_no_motion_loss() -> None:
    losses = training_losses(*noises(frames=1), [layer(1, frames=1)], LossConfig())
    assert losses.motion == 0
    assert losses.cross_attention > 0


def test_pre_training_is_equation_8() -> None:
    prediction, noise = noises(modalities=1)
    losses = training_losses(prediction, noise, (), LossConfig())
    torch.testing.assert_close(losses.total, torch.nn.functional.mse_loss(prediction, noise))


def test_a_weight_of_zero_leaves_a_loss_out() -> None:
    config = LossConfig(motion_weight=0, cross_attention_weight=0)
    losses = training_losses(*noises(), [layer(1)], config)
    assert losses.motion == losses.cross_attention == 0
    with pytest.raises(ConfigError, match="motion_weight must be >= 0 and finite, not -1"):
        LossConfig(motion_weight=-1)
    with pytest.raises(
        ConfigError, match="cross_attention_weight must be >= 0 and finite, not inf"
    ):
        LossConfig(cross_attention_weight=float("inf"))


def test_gradient_norms_are_those_of_the_unweighted_losses() -> None:
    layers = [layer(1)]
    losses = training_losses(*noises(), layers, LossConfig())
    norms = feature_gradient_norms(losses, layers)
    losses.motion.backward(retain_graph=True)
    assert norms["motion"] == pytest.approx(layers[0].motion_BMFHWC.grad.norm().item(), rel=1e-5)
    assert norms["cross_attention"] > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradient_norms_of_features_in_half_do_not_vanish(dtype: torch.dtype) -> None:
    """As in a run of fp16: these gradients lie below what half precision can hold, 6e-8."""
    whole = layer(1, frames=2)
    size = 32  # the mean over (HW)^2 entries makes gradients tiny
    generator = torch.Generator().manual_seed(3)
    motion = torch.randn(1, 2, 2, size, size, 9, generator=generator)
    whole = dataclasses.replace(whole, motion_BMFHWC=motion)

    def norms_in(dtype: torch.dtype, scale: float) -> dict[str, float]:
        features = dataclasses.replace(
            whole,
            **{
                f.name: (getattr(whole, f.name).detach() * scale).to(dtype).requires_grad_()
                for f in dataclasses.fields(whole)
            },
        )
        losses = training_losses(*noises(), [features], LossConfig())
        norms = feature_gradient_norms(losses, [features])
        # What was taken before, unscaled.
        [plain] = torch.autograd.grad(losses.motion, features.motion_BMFHWC, retain_graph=True)
        return norms | {"plain": float(plain.float().norm())}

    for scale in (1.0, 100.0, 0.01):  # larger features have smaller gradients, smaller ones larger
        found, expected = norms_in(dtype, scale), norms_in(torch.float32, scale)
        assert found["motion"] == pytest.approx(expected["motion"], rel=0.02)
        assert found["cross_attention"] == pytest.approx(expected["cross_attention"], rel=0.02)
    if dtype == torch.float16:
        assert norms_in(dtype, 100.0)["plain"] == 0


def test_losses_have_their_names_in_logs() -> None:
    losses = training_losses(*noises(), [layer(1)], LossConfig())
    named = losses.named()
    assert [*named] == ["total", "denoise_video", "denoise_depth", "motion", "cross_attention"]
    assert named["denoise_depth"] == losses.denoise_M[1]
    assert named["motion"] == losses.motion
    assert not any(scalar.requires_grad for scalar in named.values())
    alone = training_losses(*noises(modalities=1), (), LossConfig()).named()
    assert [*alone] == ["total", "denoise_video"]


def test_gradients_flow_into_both_streams() -> None:
    layers = [layer(1)]
    training_losses(*noises(), layers, LossConfig()).total.backward()
    for tensor in (layers[0].motion_BMFHWC, layers[0].queries_BMFhLD, layers[0].keys_BMFhTD):
        assert (tensor.grad.abs().amax(dim=(0, 2, 3, 4, 5)) > 0).all()


@pytest.mark.parametrize("huber", [0, 0.5])
@pytest.mark.parametrize("error", ["noise", "v", "change"])
def test_scores_weigh_the_error_of_depth_frame_by_frame(error: str, huber: float) -> None:
    prediction, noise = noises()
    timesteps = torch.tensor([3, 960])
    config = LossConfig(denoise_error=error, huber=huber)  # type: ignore[arg-type]

    def total(prediction: torch.Tensor, scores: torch.Tensor | None) -> torch.Tensor:
        return training_losses(prediction, noise, [], config, timesteps, scores).total

    plain = total(prediction, None)
    torch.testing.assert_close(total(prediction, torch.ones(2, 3)), plain)
    # Without weight a frame's depth may be anything; of a half it counts half.
    scores = torch.tensor([[0.0, 1, 1], [1, 0.5, 1]])
    spoilt = prediction.clone()
    spoilt[0, 1, 0] = 7
    torch.testing.assert_close(total(spoilt, scores), total(prediction, scores))
    spoilt = prediction.clone()
    spoilt[0, 0, 0] = 7
    assert total(spoilt, scores) > total(prediction, scores)
    alone = prediction.clone()
    alone[1, 1, 1] = noise[1, 1, 1]  # no error there
    half = total(prediction, scores) - total(alone, scores)
    torch.testing.assert_close(2 * half, plain - total(alone, None))
    # What is logged is the error as it is.
    logged = training_losses(prediction, noise, [], config, timesteps, scores).denoise_M
    assert torch.equal(logged, denoising_losses(prediction, noise))
