"""Preset sd14 through the real file formats, with small random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, LCMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from idol.config.encode import EncodeConfig
from idol.data.datasets import DataError, open_datasets
from idol.data.latents import encode_dataset
from idol.encoders import CLIPEncoder, VAECodec
from idol.generate import IdolPipeline
from idol.generate.errors import GenerationError
from idol.generate.generator import ClipGenerator, conditions_of
from idol.model import DualModalUNetConfig
from idol.saved import load_trained
from idol.train.cached_latents import caches_latents
from idol.train.run import Run
from idol.train.stopping import TrainError
from idol.train.train import train
from tests.idol.train.micro import SIZE, clip, configured, in_processes, losses_of

MODEL = DualModalUNetConfig(
    block_out_channels=(8, 8),
    attention_levels=(True, False),
    layers_per_block=1,
    attention_heads=2,
    norm_groups=4,
    cross_attention_dim=12,
    foreground_dim=16,
)
QUIET: dict[str, Any] = {
    "size": SIZE,
    "frames": 2,
    "workers": 0,
    "steps": 2,
    "batch_size": 1,
    "clips_per_step": None,
    "cpu": True,
    "tensorboard": False,
    "progress": False,
    "sample_every": 0,
    "validate_every": 0,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as sd-image-variations."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=12,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(4, 4),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=2,
    ).save_pretrained(folder / "vae")
    clip = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=12,
    )
    CLIPVisionModelWithProjection(clip).save_pretrained(folder / "image_encoder")
    return folder


def config(stage: Any, shards: Path, output: Path, **settings: Any) -> Any:
    values = {**QUIET, "model": MODEL, **settings}
    return configured(stage, "sd14", shards, output, **values)


def test_all_stages_from_a_base_folder(boxes: Path, base: Path, tmp_path: Path) -> None:
    starts: dict[str, dict[str, Path]] = {
        "pretrain": {"base": base},
        "image": {"init_from": tmp_path / "pretrain"},
        "video": {"init_from": tmp_path / "image"},
        "distill": {"init_from": tmp_path / "video"},
    }
    for stage, start in starts.items():
        train(config(stage, boxes, tmp_path / stage, **start))
    trained, info = load_trained(tmp_path / "video")
    assert info.stage == "video"
    # The final model stands alone: what is frozen lies beside it, unchanged.
    assert isinstance(trained.codec, VAECodec)
    assert isinstance(trained.image_encoder, CLIPEncoder)
    frozen = AutoencoderKL.from_pretrained(base / "vae").state_dict()
    for name, tensor in trained.codec.vae.state_dict().items():
        assert torch.equal(tensor, frozen[name]), name
    # A student of it is sampled in steps of its own.
    student = IdolPipeline.from_pretrained(tmp_path / "distill/model")
    assert isinstance(student.scheduler, LCMScheduler)
    assert student.scheduler.config.clip_sample is False
    # And it is the folder of a pipeline.
    pipe = IdolPipeline.from_pretrained(tmp_path / "video/model")
    assert pipe.info == info
    assert pipe.vae_scale_factor == info.vae_factor == 2
    made = ClipGenerator(pipe, steps=2)(conditions_of(clip(0)), 0)
    assert made.frames.shape == (3, SIZE, SIZE, 3)
    larger = AutoencoderKL(
        block_out_channels=(4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=2,
    )
    with pytest.raises(GenerationError, match="4 times smaller, and the model was trained"):
        IdolPipeline.from_pretrained(tmp_path / "video/model", vae=larger)


@pytest.mark.parametrize("option", ["vae", "image_encoder"])
def test_other_frozen_networks_are_refused_when_a_run_resumes(
    boxes: Path, base: Path, tmp_path: Path, option: str
) -> None:
    settings: dict[str, Any] = {"steps": 1, "base": base}
    train(config("pretrain", boxes, tmp_path / "run", **settings))
    copied, other = tmp_path / "copied", tmp_path / "other"
    for folder in (copied, other):
        shutil.copytree(base / option, folder)
    # The same tensors elsewhere will do.
    train(config("pretrain", boxes, tmp_path / "run", **settings, **{option: copied}))
    [weights] = other.glob("*.safetensors")
    tensors = load_file(weights)
    save_file({name: tensor * 1.001 for name, tensor in tensors.items()}, weights, {"format": "pt"})
    with pytest.raises(TrainError, match=f"--{option.replace('_', '-')}: give the one that it"):
        train(config("pretrain", boxes, tmp_path / "run", **settings, **{option: other}))
    # What was refused has left no trace, and the first command goes on.
    train(config("pretrain", boxes, tmp_path / "run", **settings))


def test_a_run_resumes_without_the_folders_it_started_from(
    boxes: Path, base: Path, tmp_path: Path
) -> None:
    settings = {"steps": 4, "checkpoint_every": 2, "mixed_precision": "bf16"}

    def run(**start: Path) -> None:
        # Apart, for Accelerate takes one precision in the life of a process.
        [process] = in_processes(config("pretrain", boxes, tmp_path / "run", **start, **settings))
        process.join(250)
        assert process.exitcode == 0

    run(base=base)
    whole = losses_of(tmp_path / "run")
    for gone in ("checkpoints/step-00000004", "model"):
        (tmp_path / "run" / gone).rename(tmp_path / gone.replace("/", "-"))
    run()
    assert losses_of(tmp_path / "run") == whole


def test_what_is_missing_is_named_before_anything_is_loaded(
    boxes: Path, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainError) as refused:
        train(config("pretrain", boxes, tmp_path / "run"))
    for part in ("no VAE is known: give --vae", "--image-encoder", "starts from --base"):
        assert part in str(refused.value)
    with pytest.raises(TrainError, match="stage video starts from --init-from"):
        train(config("video", boxes, tmp_path / "run", base=base))
    wider = DualModalUNetConfig.from_dict({**MODEL.to_dict(), "layers_per_block": 2})
    with pytest.raises(TrainError, match="layers_per_block: saved 1, given 2"):
        train(config("pretrain", boxes, tmp_path / "run", base=base, model=wider))
    other = DualModalUNetConfig.from_dict({**MODEL.to_dict(), "prediction": "v"})
    with pytest.raises(TrainError, match=r"predicts the noise: leave out --model\.prediction v"):
        train(config("pretrain", boxes, tmp_path / "run", base=base, model=other))


def test_cached_latents_give_the_losses_of_images(
    boxes: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(boxes, shards)
    encode_dataset(EncodeConfig(dataset=str(shards), base=base, size=SIZE, device="cpu"))
    train(config("pretrain", shards, tmp_path / "before", base=base))
    start = {"init_from": tmp_path / "before"}
    train(config("image", shards, tmp_path / "images", **start))
    monkeypatch.setattr(VAECodec, "encode", lambda *_: pytest.fail("an image met the VAE"))
    train(config("image", shards, tmp_path / "latents", latents=True, **start))
    images, latents = losses_of(tmp_path / "images"), losses_of(tmp_path / "latents")
    assert len(images) == QUIET["steps"]
    for one, other in zip(images, latents, strict=True):
        assert other == pytest.approx(one, rel=1e-2)
    assert images != latents  # float16 lies between


def test_a_run_that_shows_images_often_encodes_them_once(
    boxes: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    settings: dict[str, Any] = {"batch_size": 14, "steps": 4, "checkpoint_every": 2}
    often = config("image", boxes, run, base=base, **settings)  # 56 images shown, of 27 frames
    monkeypatch.setattr(VAECodec, "encode", lambda *_: pytest.fail("an image met the VAE"))
    train(often)
    assert json.loads((run / "config.json").read_text())["cached_latents"] is True
    assert not (run / "latents").exists()  # they were this run's alone
    assert "--latents" not in (run / "model/README.md").read_text()  # nor the command's
    whole = losses_of(run)
    with monkeypatch.context() as finished:
        finished.setattr(VAECodec, "moments", lambda *_: pytest.fail("nothing is left to do"))
        train(often)
    for gone in ("checkpoints/step-00000004", "model"):
        shutil.rmtree(run / gone)
    train(often)
    assert losses_of(run) == whole


def test_another_vae_is_refused_too_where_latents_stand_for_images(
    boxes: Path, base: Path, tmp_path: Path
) -> None:
    run, other, copied = tmp_path / "run", tmp_path / "other", tmp_path / "copied"
    settings: dict[str, Any] = {"batch_size": 14, "steps": 4, "checkpoint_every": 2}
    train(config("image", boxes, run, base=base, **settings))
    for folder in (copied, other):
        shutil.copytree(base / "vae", folder)
    [weights] = other.glob("*.safetensors")
    tensors = load_file(weights)
    save_file({name: tensor * 1.001 for name, tensor in tensors.items()}, weights, {"format": "pt"})
    for gone in ("checkpoints/step-00000004", "model"):
        shutil.rmtree(run / gone)
    with pytest.raises(TrainError, match="--vae: give the one that it began with"):
        train(config("image", boxes, run, base=base, vae=other, **settings))
    assert not (run / "latents").exists()  # nor were any made
    train(config("image", boxes, run, base=base, vae=copied, **settings))


def test_latents_for_which_there_is_no_room_stop_the_run(
    boxes: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(TrainError, match=r"free: give an --output with .*--no-cache-latents"):
        train(config("image", boxes, tmp_path / "run", base=base, batch_size=14, steps=4))
    assert not (tmp_path / "run/latents").exists()


def test_images_that_move_or_are_shown_seldom_are_encoded_when_shown(
    boxes: Path, base: Path, tmp_path: Path
) -> None:
    def caches(stage: Any = "image", **settings: Any) -> bool:
        values = {"vae": base / "vae", "batch_size": 14, "steps": 4, **settings}
        return caches_latents(config(stage, boxes, tmp_path, **values), data, 1)

    data = open_datasets(config("image", boxes, tmp_path))
    assert caches()
    assert caches("video", steps=2)
    assert not caches(steps=3)
    assert not caches(mirror=0.5)
    assert not caches("pretrain")
    assert not caches(cache_latents=False)
    [bare] = (shutil.copy(tar, tmp_path) for tar in boxes.glob("train/*.tar"))
    data = open_datasets(config("image", Path(bare), tmp_path))
    assert not caches()


@pytest.mark.slow
def test_processes_encode_together(boxes: Path, base: Path, tmp_path: Path) -> None:
    settings = {"base": base, "steps": 4, "validate_every": 2}
    train(
        config("image", boxes, tmp_path / "images", **settings, batch_size=14, cache_latents=False)
    )
    train(config("image", boxes, tmp_path / "alone", **settings, batch_size=14))
    both = config("image", boxes, tmp_path / "both", **settings, batch_size=7)
    for process in in_processes(both, 2):
        process.join(250)
        assert process.exitcode == 0
    images, alone, together = (losses_of(tmp_path / n) for n in ("images", "alone", "both"))
    assert alone != images  # float16 lies between
    for one, other, divided in zip(images, alone, together, strict=True):
        assert other["total"] == pytest.approx(one["total"], rel=1e-2)
        assert divided["total"] == pytest.approx(other["total"], rel=1e-4)
    assert not (both.output / "latents").exists()


def test_absent_latents_are_an_error_before_anything_is_loaded(
    boxes: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "start", None)
    with pytest.raises(DataError, match=r"has no latents-.*idol-prep encode .*--size"):
        train(config("pretrain", boxes, tmp_path / "run", base=base, latents=True))
