"""The VAE through its real format, with small random weights."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from idol.encoders import VAECodec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vae")
    AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=2,
        layers_per_block=1,
        scaling_factor=0.18215,
    ).save_pretrained(path)
    return path


def test_posterior_is_a_function_of_the_noise(folder: Path) -> None:
    codec = VAECodec.from_pretrained(folder)
    assert (codec.channels, codec.factor) == (4, 2)
    pixels = torch.rand(3, 3, 8, 8) * 2 - 1
    noise = torch.randn(3, 4, 4, 4)
    posterior = AutoencoderKL.from_pretrained(folder).encode(pixels).latent_dist
    torch.testing.assert_close(codec.encode(pixels), posterior.mode() * 0.18215)
    expected = (posterior.mean + posterior.std * noise) * 0.18215
    torch.testing.assert_close(codec.encode(pixels, noise), expected.detach())


def test_chunks_change_nothing(folder: Path) -> None:
    codec = VAECodec.from_pretrained(folder)
    pixels, noise = torch.rand(5, 3, 8, 8) * 2 - 1, torch.randn(5, 4, 4, 4)
    whole = codec.encode(pixels, noise)
    images = codec.decode(whole)
    codec.chunk = 2
    torch.testing.assert_close(codec.encode(pixels, noise), whole)
    torch.testing.assert_close(codec.decode(whole), images)


def test_it_is_frozen_and_decodes_what_it_scaled(folder: Path) -> None:
    codec = VAECodec.from_pretrained(folder)
    assert not any(parameter.requires_grad for parameter in codec.vae.parameters())
    latents = torch.randn(1, 4, 4, 4)
    expected = codec.vae.decode(latents / 0.18215).sample
    torch.testing.assert_close(codec.decode(latents), expected)
    with pytest.raises(ValueError, match="2x2"):
        codec.encode(torch.zeros(1, 3, 8, 9))


def test_it_is_moved_without_a_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    codec = VAECodec.from_pretrained(folder)
    diffusers = logging.getLogger("diffusers")
    diffusers.addHandler(caplog.handler)
    try:
        codec.to("cpu", torch.bfloat16)
    finally:
        diffusers.removeHandler(caplog.handler)
    assert codec.vae.dtype == torch.bfloat16
    assert not caplog.records


def test_loaded_lazily_it_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eager = VAECodec.from_pretrained(folder)
    pixels, noise = torch.rand(2, 3, 8, 8) * 2 - 1, torch.randn(2, 4, 4, 4)
    posterior = eager.vae.encode(pixels).latent_dist
    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderKL, "from_pretrained", None)  # loading would fail
        lazy = VAECodec.from_pretrained(folder, lazily=True).to("cpu", torch.float64)
        assert (lazy.channels, lazy.factor, lazy.scale) == (4, 2, 0.18215)
        drawn = lazy.sample(posterior.parameters, noise)
    torch.testing.assert_close(drawn, eager.encode(pixels, noise))
    torch.testing.assert_close(lazy.sample(posterior.parameters), eager.encode(pixels))
    assert lazy.encode(pixels).shape == (2, 4, 4, 4)
    assert lazy.vae.dtype == torch.float64


def test_damaged_weights_are_named(folder: Path, tmp_path: Path) -> None:
    torn = Path(shutil.copytree(folder, tmp_path / "torn")) / "diffusion_pytorch_model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-100])
    with pytest.raises(OSError, match=rf"^{re.escape(str(torn))} is damaged .*: copy, fetch or"):
        VAECodec.from_pretrained(torn.parent)
