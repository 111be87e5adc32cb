"""Randomness depends on seed, purpose and position, and on nothing else."""

from __future__ import annotations

import torch

from idol.diffusion.noise import Randomness, named_noise

RANDOM = Randomness(3)


def test_a_sample_draws_the_same_in_any_batch() -> None:
    whole = RANDOM.normal("noise", range(6), (2, 5))
    torch.testing.assert_close(
        RANDOM.normal("noise", [4, 1], (2, 5)), whole[[4, 1]], rtol=0, atol=0
    )
    steps = RANDOM.timesteps(range(6))
    assert RANDOM.timesteps([4, 1]).tolist() == steps[[4, 1]].tolist()
    dropped = RANDOM.dropped(range(6), 0.5)
    assert RANDOM.dropped([4, 1], 0.5).tolist() == dropped[[4, 1]].tolist()


def test_seeds_purposes_and_positions_draw_apart() -> None:
    drawn = [
        RANDOM.normal("noise", [0, 1], (8,)),
        RANDOM.normal("posterior", [0, 1], (8,)),
        Randomness(4).normal("noise", [0, 1], (8,)),
    ]
    values = torch.stack(drawn).flatten(0, 1)
    assert len(torch.unique(values, dim=0)) == 6


def test_noise_is_standard_normal() -> None:
    noise = RANDOM.normal("noise", range(40), (50, 50))
    # Standard errors of mean and variance of 10^5 draws are .0032 and .0045.
    assert abs(float(noise.mean())) < 0.016
    assert abs(float(noise.var()) - 1) < 0.023
    frames = torch.corrcoef(noise[:, :2].transpose(0, 1).flatten(1))
    assert abs(float(frames[0, 1])) < 0.11  # 5 standard errors of 2000 pairs


def test_timesteps_and_dropout_have_their_shares() -> None:
    steps = RANDOM.timesteps(range(4000))
    assert steps.min() >= 0
    assert steps.max() <= 999
    assert abs(float(steps.float().mean()) - 499.5) < 23  # 5 standard errors
    assert abs(float(RANDOM.dropped(range(4000), 0.05).float().mean()) - 0.05) < 0.018


def test_a_name_always_gives_the_same_noise() -> None:
    """Numbers of validations of before and after a change of code must compare."""
    noise = named_noise("clip/50/0", (2, 3))
    expected = torch.tensor([[1.379683, 2.060150, 0.269289], [0.803404, 0.352652, -1.241705]])
    torch.testing.assert_close(noise, expected, rtol=0, atol=1e-6)
    assert not torch.equal(noise, named_noise("clip/50/1", (2, 3)))
