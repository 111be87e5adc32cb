"""Stage autoencoder: it learns pictures, resumes to the byte, and is preset tiny's codec."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from idol.config.autoencoder import AutoencoderConfig, factor_of, read_latents
from idol.config.checks import ConfigError
from idol.config.presets import with_latents
from idol.data.datasets import open_datasets
from idol.encoders import SmallAutoencoder, VAECodec
from idol.encoders.autoencoder import new_autoencoder, with_depth_channel
from idol.encoders.joint import joined, parted
from idol.generate import IdolPipeline
from idol.generate.loading import load_pipeline
from idol.saved import load_trained
from idol.train.autoencoder import AutoencoderMonitor
from idol.train.stopping import TrainError
from idol.train.train import train
from idol.variants import VARIANTS
from tests.idol.generate.small import vae
from tests.idol.train.micro import MODEL, clip, losses_of, micro, weights_of, write_shards

SMALL = AutoencoderConfig(latent_channels=5, patch=4, width=8, blocks=1, crop=16)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = [clip(number) for number in range(4)]
    return write_shards(tmp_path_factory.mktemp("shards"), clips[:3], clips[3:])


def run_of(shards: Path, output: Path, codec: AutoencoderConfig = SMALL, **settings: Any) -> Path:
    config = micro("autoencoder", shards, output, **{"checkpoint_every": 2, **settings})
    return train(dataclasses.replace(config, autoencoder=codec))


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    return run_of(shards, output, validate_every=2, validation_clips=1, sample_every=2)


def test_it_is_a_small_autoencoder_whose_latents_have_a_deviation_of_one(
    trained: Path, shards: Path
) -> None:
    network = SmallAutoencoder.from_pretrained(trained)
    assert network.config["latent_channels"] == 5
    codec = VAECodec.from_pretrained(trained)
    assert (codec.channels, codec.factor) == (5, 4)
    told = read_latents(trained)
    assert len(told.spread) == len(told.far) == 5
    white = codec.encode(torch.ones(1, 3, 16, 16)).mean(dim=(0, 2, 3))
    assert white.tolist() == pytest.approx(told.far, abs=1e-4)
    data = open_datasets(micro("autoencoder", shards, trained))
    pictures = torch.cat(
        [
            images[:, 0].permute(0, 3, 1, 2).float() / 127.5 - 1
            for clips in data.first_clips("train", 3)
            for images in (clips.rgb, clips.depth)
        ]
    )
    assert codec.encode(pictures).std() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("depth", [False, True])
def test_a_small_one_has_at_most_a_million_parameters(depth: bool) -> None:
    config = AutoencoderConfig(depth=depth)
    network = new_autoencoder(config, torch.zeros(1, config.picture_channels, 16, 16))
    assert sum(parameter.numel() for parameter in network.parameters()) <= 1_000_000


def test_it_learns(shards: Path, tmp_path: Path) -> None:
    run_of(shards, tmp_path, steps=60, learning_rate=1e-2, checkpoint_every=60, batch_size=4)
    errors = [row["reconstruction"] for row in losses_of(tmp_path)]
    assert sum(errors[-20:]) < 0.8 * sum(errors[:20])


@pytest.mark.parametrize("within", ["_validate", "_sample"])
def test_a_stopped_run_resumes_to_the_byte(
    trained: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: str
) -> None:
    original = getattr(AutoencoderMonitor, within)

    def stopped(self: AutoencoderMonitor, done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt
        original(self, done)

    settings: dict[str, Any] = {"validate_every": 2, "validation_clips": 1, "sample_every": 2}
    with monkeypatch.context() as context:
        context.setattr(AutoencoderMonitor, within, stopped)
        with pytest.raises(KeyboardInterrupt):
            run_of(shards, tmp_path, **settings)
    assert weights_of(run_of(shards, tmp_path, **settings)) == weights_of(trained)
    for name in ("losses.jsonl", "validation.jsonl", "model/latents.json", "model/config.json"):
        assert (tmp_path / name).read_bytes() == (trained.parent / name).read_bytes()


def test_the_vae_of_a_base_is_fine_tuned_with_depth_as_a_fourth_channel(
    shards: Path, tmp_path: Path
) -> None:
    vae().save_pretrained(tmp_path / "base" / "vae")
    with_depth = dataclasses.replace(SMALL, depth=True)
    config = micro("autoencoder", shards, tmp_path / "run", base=tmp_path / "base")
    config = dataclasses.replace(config, preset="sd14", autoencoder=with_depth)
    model = train(config)
    codec = VAECodec.from_pretrained(model)
    assert (codec.holds_depth, codec.factor, codec.channels) == (True, 8, 4)
    assert codec.decode(codec.encode(torch.zeros(1, 3, 32, 32))).shape == (1, 4, 32, 32)
    assert set(read_latents(model).psnr) == {"frame", "background", "pose"}


def test_a_widened_autoencoder_starts_as_it_was() -> None:
    network = vae().eval()
    widened = with_depth_channel(network).eval()
    pixels = torch.rand(2, 3, 32, 32) * 2 - 1
    latents = network.encode(pixels).latent_dist.mode()
    joint = joined(pixels, torch.rand_like(pixels))
    assert torch.equal(widened.encode(joint).latent_dist.mode(), latents)
    made = widened.decode(latents).sample
    assert torch.equal(made[:, :3], network.decode(latents).sample)
    torch.testing.assert_close(made[:, 3], made[:, :3].mean(dim=1))


@pytest.mark.parametrize("colours", ["hot", "grey"])
def test_depth_comes_back_from_the_fourth_channel(colours: Any) -> None:
    from shards.sample.colormap import depth_to_hot

    depth = torch.linspace(0, 1, 64).view(1, 8, 8)
    picture = torch.from_numpy(depth_to_hot(depth.numpy())) if colours == "hot" else None
    pixels = (
        depth[:, None].expand(1, 3, 8, 8) * 2 - 1
        if picture is None
        else picture.permute(0, 3, 1, 2) / 127.5 - 1
    )
    frames = torch.rand(1, 3, 8, 8)
    back = parted(joined(frames, pixels), colours)
    assert torch.equal(back[0], frames)
    torch.testing.assert_close(back[1], pixels, atol=0.01, rtol=0)


def test_preset_tiny_trains_and_generates_with_it(
    trained: Path, shards: Path, tmp_path: Path
) -> None:
    config = micro("image", shards, tmp_path / "run", vae=trained)
    config = dataclasses.replace(config, model=with_latents(config.model, read_latents(trained)))
    model = train(config)
    whole, info = load_trained(model)
    assert isinstance(whole.codec, VAECodec)
    assert (info.settings.latent_channels, info.vae_factor) == (5, 4)
    pipeline = load_pipeline(model)
    assert isinstance(pipeline.vae, SmallAutoencoder)
    index = json.loads((model / "model_index.json").read_bytes())
    assert index["vae"] == ["idol.encoders.small", "SmallAutoencoder"]
    assert isinstance(IdolPipeline.from_pretrained(model).vae, SmallAutoencoder)


def test_a_model_goes_on_with_the_codec_whose_latents_it_learnt(
    trained: Path, shards: Path, tmp_path: Path
) -> None:
    """Another's channels are other waves, and the deviations that it was told would not fit."""
    change = {"prediction": "change", "change_spread": (1,) * 48, "far_latent": (1,) * 48}
    model = with_latents(dataclasses.replace(MODEL, **change), read_latents(trained))
    before = train(micro("image", shards, tmp_path / "before", vae=trained, model=model))
    settings: dict[str, Any] = {"init_from": before, "model": model}
    other = run_of(shards, tmp_path / "other", seed=1)
    with pytest.raises(TrainError, match=rf"--vae {other} is another autoencoder than that of"):
        train(micro("image", shards, tmp_path / "run", vae=other, **settings))
    again = shutil.copytree(trained, tmp_path / "again")
    train(micro("image", shards, tmp_path / "run", vae=again, steps=1, **settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init_from": Path("before")}, "--init-from"),
        ({"patch": 4}, "--patch is nothing that stage autoencoder starts from"),
        ({"motion_adapter": Path("m")}, "--motion-adapter is nothing that"),
        ({"base": Path("base")}, "--base is for preset sd14"),
        (
            {
                "variant": "disco",
                "model": dataclasses.replace(MODEL, **VARIANTS["disco"].model),
            },
            "leave --variant out",
        ),
    ],
)
def test_what_it_cannot_start_from_is_refused(
    shards: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        run_of(shards, tmp_path / "run", **settings)


def test_a_codec_whose_latents_do_not_divide_is_refused(shards: Path, tmp_path: Path) -> None:
    codec = run_of(shards, tmp_path / "codec", dataclasses.replace(SMALL, patch=8))
    with pytest.raises(ConfigError, match="--size must be a multiple of 16 with --vae"):
        micro("image", shards, tmp_path / "run", vae=codec, size=24)


def test_a_latent_larger_than_its_patch_is_refused() -> None:
    with pytest.raises(ConfigError, match="latent_channels=60 is more than the 48 values"):
        AutoencoderConfig(patch=4)


def test_a_square_that_does_not_divide_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--autoencoder\.crop must be a multiple of 4, not 10"):
        run_of(shards, tmp_path, dataclasses.replace(SMALL, crop=10))


def test_a_codec_without_what_was_measured_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="autoencoder left"):
        read_latents(tmp_path)


@pytest.mark.parametrize("spread", [None, ["x"], [[1.0]]])
def test_what_was_measured_of_it_must_be_numbers(
    trained: Path, tmp_path: Path, spread: Any
) -> None:
    told = json.loads((trained / "latents.json").read_text())
    (tmp_path / "latents.json").write_text(json.dumps({**told, "spread": spread}))
    with pytest.raises(ConfigError, match=r"latents\.json is damaged"):
        read_latents(tmp_path)
    with pytest.raises(ValueError, match="patch is 0"):
        factor_of({"patch": 0})
