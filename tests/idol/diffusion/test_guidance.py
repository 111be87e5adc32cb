"""Classifier-free guidance against its formula."""

from __future__ import annotations

import torch

from idol.diffusion.sampling import guided_noise
from idol.model import DEPTH, VIDEO
from tests.idol.diffusion.stubs import Stub, conditions, draw

TIMESTEPS = torch.tensor([7, 7])


def of_tokens(latents: torch.Tensor, _: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """A prediction that is the latents plus what the tokens sum to."""
    return latents + tokens.sum(dim=(1, 2))[:, None, None, None, None, None]


def test_follows_the_formula() -> None:
    known, latents = conditions(), draw(2, 2, 3, 4, 8, 8)
    told = known.encoded_foreground_BTD.sum(dim=(1, 2))[:, None, None, None, None, None]
    for guidance in (0.0, 1.0, 1.5, 7.0):
        got = guided_noise(Stub(of_tokens), latents, TIMESTEPS, known, guidance=guidance)
        torch.testing.assert_close(got, latents + guidance * told, rtol=1e-4, atol=1e-4)


def test_one_forward_of_two_b_in_which_only_the_foreground_differs() -> None:
    stub, known = Stub(of_tokens), conditions()
    guided_noise(stub, draw(2, 2, 3, 4, 8, 8), TIMESTEPS, known, guidance=1.5)
    (call,) = stub.calls
    assert call["modalities"] == (VIDEO, DEPTH)
    for name in ("latents", "timesteps", "background", "pose"):
        without, with_foreground = call[name].chunk(2)
        assert torch.equal(without, with_foreground)
    assert torch.equal(call["pose"][:2], known.pose_BFCHW)
    without, with_foreground = call["tokens"].chunk(2)
    assert not without.any()
    assert torch.equal(with_foreground, known.encoded_foreground_BTD)


def test_without_guidance_nothing_is_computed_twice() -> None:
    stub = Stub(of_tokens)
    guided_noise(stub, draw(2, 2, 3, 4, 8, 8), TIMESTEPS, conditions(), guidance=1)
    assert [len(call["latents"]) for call in stub.calls] == [2]


def test_without_pose_there_is_none_in_either_half() -> None:
    stub = Stub(of_tokens)
    known = conditions(pose=False)
    guided_noise(stub, draw(2, 1, 1, 4, 8, 8), TIMESTEPS, known, guidance=2, modalities=(VIDEO,))
    assert stub.calls[0]["pose"] is None
