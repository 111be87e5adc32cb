"""Training on cached latents is training on images, up to the float16 that they are kept in."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from idol.config import ConfigError, TrainConfig
from idol.config.encode import EncodeConfig
from idol.data.datasets import DataError, Datasets, open_datasets
from idol.data.latents import encode_dataset
from idol.data.preparation import LatentBatch, Preparation
from idol.diffusion.noise import Randomness
from idol.encoders import VAECodec
from shards.dataset import open_for_build
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.idol.train.micro import configured
from tests.shards.stream.conftest import full_clip

SIZE = 64


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random, with a posterior wide enough for noise to matter: variances of about 0.1."""
    torch.manual_seed(0)
    network = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIZE,
    )
    with torch.no_grad():
        network.quant_conv.bias[4:] -= 2
    folder = tmp_path_factory.mktemp("base") / "vae"
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, vae: Path) -> Path:
    """Four clips of 48 pixels, one of them for validation, with latents."""
    root = tmp_path_factory.mktemp("shards")
    opened = open_for_build(root, {})
    clips = [full_clip(f"videos-walk-{i}", 6, 48, seed=i) for i in range(4)]
    for split, chosen in (("train", clips[:3]), ("val", clips[3:])):
        samples = [(clip.key, encode_clip(clip)) for clip in chosen]
        commit_shard(root, split, 0, samples, fingerprint=opened.info.fingerprint)
    opened.finish({"train": 1, "val": 1})
    encode_dataset(EncodeConfig(dataset=str(root), base=vae.parent, size=SIZE, device="cpu"))
    return root


def config(shards: Path, vae: Path, stage: Any = "video", **settings: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "vae": vae,
        "size": SIZE,
        "batch_size": 2,
        "clips_per_step": None,
        "workers": 0,
        "frames": 3,
        **settings,
    }
    return configured(stage, "sd14", shards, shards / "unused", **values)


def opened(run: TrainConfig) -> Datasets:
    return open_datasets(run).with_latents(run.vae)


def latents_folder(run: TrainConfig) -> str:
    [latents] = opened(run).mixture.latents or ()
    return latents.info.folder


def tokens(pixels_BHWC: Tensor, mask_BHW: Tensor) -> Tensor:
    mean = pixels_BHWC.float().mean(dim=(1, 2)) + mask_BHW.float().mean()
    return mean[:, None].repeat(1, 2, 2)


def batches(run: TrainConfig, codec: VAECodec, count: int) -> list[LatentBatch]:
    prepare, random = Preparation(codec, tokens, SIZE), Randomness(7)
    stream = opened(run).training_batches(rank=0, processes=1, consumed=4, pin_memory=False)
    some = itertools.islice(stream, count)
    return [prepare(clips, torch.device("cpu"), random=random, dropout=0.3) for clips in some]


@pytest.mark.parametrize("stage", ["pretrain", "image", "video"])
@pytest.mark.parametrize("depth", ["person", "frame"])
def test_batches_agree_to_float16(shards: Path, vae: Path, stage: Any, depth: Any) -> None:
    codec = VAECodec.from_pretrained(vae)
    lazy = VAECodec.from_pretrained(vae, lazily=True)
    images = batches(config(shards, vae, stage, depth=depth), codec, 3)
    cached = batches(config(shards, vae, stage, depth=depth, latents=True), lazy, 3)
    for one, other in zip(images, cached, strict=True):
        assert one.key == other.key
        assert one.modalities == other.modalities
        # Moments of size 1 to 4 are kept to 2^-11 of that, and scaled by 0.18.
        torch.testing.assert_close(
            one.latents_BMFCHW, other.latents_BMFCHW, rtol=0, atol=4 * 2**-10 * codec.scale
        )
        ours, theirs = vars(one.conditions), vars(other.conditions)
        for name, tensor in ours.items():
            if tensor is None:
                assert theirs[name] is None
            else:
                torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=1e-3)
    # The hole of outpainting is drawn again each time, and needs the VAE; all else does not.
    assert ("vae" in vars(lazy)) == (stage == "pretrain")


def test_noise_is_that_of_the_position(shards: Path, vae: Path) -> None:
    """Sampled, not the mode: the posterior's spread is far beyond what float16 loses."""
    codec = VAECodec.from_pretrained(vae)
    [clips] = opened(config(shards, vae, latents=True)).first_clips("val", 1)
    prepare = Preparation(codec, tokens, SIZE)

    def latents(position: int, random: Randomness | None = None) -> Tensor:
        at = dataclasses.replace(clips, positions=(position,))
        return prepare(at, torch.device("cpu"), random=random).latents_BMFCHW

    drawn = latents(5, Randomness(7))
    assert (drawn - latents(5)).std() > 0.02
    torch.testing.assert_close(drawn, latents(5, Randomness(7)), rtol=0, atol=0)
    assert not torch.allclose(drawn, latents(6, Randomness(7)), atol=1e-2)


def test_sample_sheets_are_drawn_from_images(shards: Path, vae: Path) -> None:
    run = config(shards, vae, latents=True)
    [clips] = opened(run).first_clips("val", 1, images=True)
    assert clips.rgb.shape == (1, 3, 48, 48, 3)
    assert clips.rgb_latents is None


def test_latents_are_found_by_the_vae(
    shards: Path, vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = config(shards, vae, latents=True)
    assert (shards / latents_folder(run)).is_dir()
    assert opened(config(shards, vae)).mixture.latents is None
    monkeypatch.setattr(AutoencoderKL, "from_pretrained", None)  # nothing is loaded for this
    opened(run)
    opened(config(shards, vae, latents=False, size=128))
    with pytest.raises(DataError, match=r"latents-\w+-128; there are .*--size 128"):
        opened(config(shards, vae, latents=True, size=128))
    torch.manual_seed(1)
    AutoencoderKL(norm_num_groups=4, block_out_channels=(8,)).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="of another VAE or size"):
        opened(config(shards, tmp_path, latents=True))


def test_every_part_of_a_mixture_needs_them(shards: Path, vae: Path, tmp_path: Path) -> None:
    paths = [{"path": str(shards), "weight": 1}]
    mix = tmp_path / "mix.json"
    mix.write_text(json.dumps({"schema": 1, "paths": paths}))
    run = config(mix, vae, latents=True)
    data = opened(run)
    stream = data.training_batches(rank=0, processes=1, consumed=0, pin_memory=False)
    assert next(stream).rgb_latents is not None
    [clips] = data.first_clips("val", 1)
    assert clips.rgb_latents is not None
    clip = full_clip("videos-walk-9", 6, 48, seed=9)
    commit_shard(bare := tmp_path / "bare", "train", 0, [(clip.key, encode_clip(clip))])
    paths.append({"path": str(bare), "weight": 1})
    mix.write_text(json.dumps({"schema": 1, "paths": paths}))
    with pytest.raises(DataError, match=rf"{bare}: has no latents.*idol-prep encode {bare} "):
        opened(run)


def test_settings_that_exclude_latents_are_refused(shards: Path, vae: Path) -> None:
    with pytest.raises(ConfigError, match="leave them out, or --crop-area and --mirror"):
        config(shards, vae, latents=True, mirror=0.5)
    with pytest.raises(ConfigError, match="preset tiny has none"):
        configured("image", "tiny", "x", Path("x"), latents=True)


def test_a_resaved_model_has_the_same_vae(shards: Path, vae: Path, tmp_path: Path) -> None:
    """Final models hold a copy of the VAE, with which the next stage finds the same latents."""
    VAECodec.from_pretrained(vae).vae.save_pretrained(tmp_path / "vae")
    same = config(shards, tmp_path / "vae", latents=True)
    assert latents_folder(same) == latents_folder(config(shards, vae, latents=True))
