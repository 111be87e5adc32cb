"""Computed memory: exact where it is a count, and telling which way is smaller."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from diffusers import AutoencoderKL

from idol.bench.measure import measure
from idol.config import defaults
from idol.config.autoencoder import AutoencoderConfig
from idol.config.checks import ConfigError
from idol.config.model import CLIP_STAGES, PresetName, StageName
from idol.encoders.autoencoder import Reconstruction, new_autoencoder, with_depth_channel
from idol.model.cost import build, parameters
from idol.train.memory import estimate, out_of_memory
from idol.variants import denoiser_class, variant_called
from shards.options import replaced
from tests.idol.train.micro import MODEL, configured, micro


def of(**settings: Any) -> Any:
    return micro("video", Path("shards"), Path("output"), **settings)


def test_weights_gradients_and_states_are_counts() -> None:
    count = parameters(build(MODEL, "video", "meta"))
    found = estimate(of(ema=0.9))
    assert (found.weights, found.gradients, found.optimizer) == (4 * count, 4 * count, 8 * count)
    assert found.average == 4 * count
    assert estimate(of(adam_8bit=True, cpu=False)).optimizer == 2 * count
    assert estimate(of(fsdp=True), 4).optimizer == 8 * count // 4


@pytest.mark.parametrize(
    "name",
    [
        "mm-diffusion",
        "t2i-adapter",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("disco", "ldm3d", "animatediff")),
    ],
)
def test_a_variant_is_counted_with_its_own_networks_and_recomputes_them(name: str) -> None:
    config = defaults("video", "tiny", shards=["shards"], output=Path("output"))
    config = replaced(config, {"variant": name, **variant_called(name).settings("video")})
    with torch.device("meta"):
        model = denoiser_class(name, "video").from_config(config.model)
    found = estimate(config)
    assert found.weights == 4 * parameters(model)
    recomputed = estimate(replaced(config, {"run": {"gradient_checkpointing": True}}))
    assert 0 < recomputed.activations < found.activations


def test_activations_grow_with_the_batch_and_shrink_with_recomputation() -> None:
    one, two = (estimate(of(batch_size=n)).activations for n in (1, 2))
    assert two == 2 * one > 0
    recomputed = estimate(of(batch_size=1, gradient_checkpointing=True)).activations
    assert recomputed < one / 2


def test_autocast_keeps_weights_twice_and_saves_a_third_of_the_rest() -> None:
    one, two = (estimate(of(batch_size=n)).activations for n in (1, 2))
    first, second = (estimate(of(batch_size=n, mixed_precision="bf16")).activations for n in (1, 2))
    assert second - first == pytest.approx(2 / 3 * (two - one), abs=2)
    assert 0 < first - 2 / 3 * one < 2 * parameters(build(MODEL, "video", "meta"))


def test_gradients_come_as_activations_go_unless_they_stay() -> None:
    found = estimate(of())
    lasting = found.weights + found.optimizer
    assert found.total == lasting + max(found.gradients, found.activations)
    for config, processes in ((of(accumulation=2), 1), (of(), 2)):
        stays = estimate(config, processes)
        assert stays.total == lasting + found.gradients + found.activations
    divided = estimate(of(fsdp=True), 2)
    assert divided.total < sum(divided.parts.values())


# Peaks of `idol-train` on one NVIDIA H100 with torch 2.11, in GB (docs/training.md).
@pytest.mark.parametrize(
    ("stage", "settings", "measured"),
    [
        ("pretrain", {"mixed_precision": "bf16"}, 15.0),
        ("image", {}, 28.3),
        ("video", {"mixed_precision": "bf16"}, 30.5),
        ("video", {"mixed_precision": "bf16", "gradient_checkpointing": True}, 24.3),
    ],
)
def test_estimates_are_near_what_was_measured(
    stage: StageName, settings: dict[str, Any], measured: float
) -> None:
    config = configured(stage, "sd14", "shards", Path("output"), **settings)
    assert estimate(config).total == pytest.approx(measured * 1e9, rel=0.05)


@pytest.mark.parametrize("preset_name", ["tiny", pytest.param("sd14", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(stage, marks=() if stage in ("video", "autoencoder") else pytest.mark.slow)
        for stage in get_args(StageName)
    ],
)
def test_every_stage_says_what_would_fit(stage: StageName, preset_name: PresetName) -> None:
    config = configured(stage, preset_name, "shards", Path("output"), batch_size=2)
    if config.run.clips_per_step:
        config = dataclasses.replace(
            config, run=dataclasses.replace(config.run, clips_per_step=None)
        )
    message = str(out_of_memory(config, 1, RuntimeError("CUDA out of memory")))
    assert "--batch-size 1 --accumulation 2" in message
    assert "--mixed-precision bf16" in message
    assert ("--gradient-checkpointing" in message) is (stage != "autoencoder")
    assert ("--autoencoder.crop" in message) is (stage == "autoencoder")
    assert ("fewer --frames" in message) is (stage in CLIP_STAGES)
    cached = preset_name == "sd14" and stage not in ("pretrain", "autoencoder")
    assert ("--latents" in message) is cached


@pytest.mark.slow
def test_ways_that_contradict_a_variant_are_not_named() -> None:
    config = configured("image", "sd14", "shards", Path("output"))
    for name, named in (("idol", True), ("t2i-adapter", False)):
        changed = replaced(config, {"variant": name, **variant_called(name).settings("image")})
        assert ("--latents" in str(out_of_memory(changed, 1, RuntimeError("full")))) is named


def test_an_autoencoder_is_estimated_as_itself() -> None:
    """Its count; and on a CPU the peak of a pass, without the loss's own tensors."""
    config = micro("autoencoder", Path("shards"), Path("output"), size=64, batch_size=32)
    codec = AutoencoderConfig(crop=48)
    config = dataclasses.replace(config, autoencoder=codec)
    model = Reconstruction(new_autoencoder(codec, torch.rand(8, 3, 64, 64)))
    found = estimate(config)
    assert found.weights == found.gradients == 4 * parameters(model)
    pixels, noise = torch.rand(32, 3, 48, 48), torch.randn(32, codec.latent_channels, 6, 6)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        made, mean, logvar = model(pixels, noise)
        (made.square().mean() + mean.square().mean() + logvar.exp().mean()).backward()

    peak = measure(step, "cpu", repeats=1).peak_bytes
    assert found.activations < peak < 1.5 * found.activations


def test_an_autoencoder_of_a_base_is_counted_with_its_depth(tmp_path: Path) -> None:
    network = AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    network.save_pretrained(tmp_path / "vae")
    config = micro("autoencoder", Path("shards"), Path("output"), base=tmp_path)
    config = dataclasses.replace(config, autoencoder=AutoencoderConfig(depth=True))
    widened = parameters(with_depth_channel(network))
    assert estimate(config).weights == 4 * widened > 4 * parameters(network)


def test_a_codec_of_larger_patches_takes_a_quarter_of_the_latents(tmp_path: Path) -> None:
    """8x8 pixels a latent where patches are 4x4: of 32x32 pixels 4x4 latents, of 16x16 patches."""
    codec = new_autoencoder(AutoencoderConfig(latent_channels=48), torch.rand(8, 3, 64, 64))
    codec.save_pretrained(tmp_path)
    patches, coded = of(size=16), of(size=32, vae=tmp_path)
    assert (patches.pixels_of_latent, coded.pixels_of_latent) == (4, 8)
    assert estimate(coded) == estimate(patches)
    with pytest.raises(ConfigError, match="--size must be a multiple of 16 with --vae"):
        of(size=24, vae=tmp_path)
    assert estimate(of(size=24)).activations > 0
