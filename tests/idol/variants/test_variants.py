"""Every system of the paper's tables: trained, stopped, resumed, generated from, scored."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from idol.config.autoencoder import LATENTS, Latents
from idol.evaluate.cli import main as evaluate
from idol.generate.cli import main as generate
from idol.generate.pipeline import IdolPipeline
from idol.model_info import read_info
from idol.train.cli import main as train
from idol.train.cli import parse
from idol.train.monitor import Monitor
from idol.variants import VARIANTS, Variant
from tests.idol.evaluate.made import SIZE, dataset
from tests.idol.train.micro import MODEL, losses_of, weights_of

# Those whose parts differ; the others differ by settings.
FAST = ("separate-unets", "dwpose-animatediff-t2i")

SIZES = (
    *("latent_channels", "block_out_channels", "attention_levels", "layers_per_block"),
    *("attention_heads", "norm_groups", "cross_attention_dim", "foreground_dim", "prediction"),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards, and the settings of a model so small that a step takes hundredths of a second."""
    root = tmp_path_factory.mktemp("variants")
    dataset(root / "shards", videos=1, clips=1)
    model = {key: value for key, value in MODEL.to_dict().items() if key in SIZES}
    settings = {
        "preset": "tiny",
        "shards": [str(root / "shards")],
        "model": {**model, "pose_downscale": 4, "change_spread": [], "far_latent": []},
        "loss": {"denoise_error": "v"},
        "data": {"size": SIZE, "frames": 3, "workers": 0},
        "run": {"batch_size": 1, "cpu": True},
        "report": {
            "tensorboard": False,
            "progress": False,
            "sample_every": 0,
            "validate_every": 0,
            "checkpoint_every": 2,
        },
    }
    (root / "settings.json").write_text(json.dumps(settings))
    return root


def run(world: Path, output: Path, name: str, stage: str, steps: int, *more: str) -> int:
    return train(
        [
            *("--config", str(world / "settings.json"), "--variant", name, "--stage", stage),
            *("--steps", str(steps), "--output", str(output), *more),
        ]
    )


def codec(world: Path, name: str) -> list[str]:
    """What ldm3d's latents are: those of colour and depth together."""
    if name != "ldm3d":
        return []
    output = world / "codec"
    channels = ("--autoencoder.latent-channels", str(MODEL.latent_channels))
    more = ("--autoencoder.depth", "--autoencoder.crop", "16", *channels)
    assert output.exists() or run(world, output, "idol", "autoencoder", 2, *more) == 0
    return ["--vae", str(output / "model")]


def pretrained(world: Path, variant: Variant) -> list[str]:
    """What the image stage starts from: pre-training is the same for all that have it."""
    if variant.pretraining == "none":
        return []
    output = world / variant.pretraining
    name = "hap" if variant.pretraining == "hap" else "idol"
    if not output.exists():
        assert run(world, output, name, "pretrain", 2) == 0
    layers = variant.optimizer.get("pretrained_layers")
    if layers:
        before, output = output, world / layers
        name = next(n for n in VARIANTS if VARIANTS[n].optimizer.get("pretrained_layers"))
        if not output.exists():
            assert run(world, output, name, "pretrain", 2, "--init-from", str(before)) == 0
    return ["--init-from", str(output)]


def stopped_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the run, as Ctrl-C does, after this step: it ends with the next one."""
    original = Monitor.log_step

    def log_step(self: Monitor, done: int, *rest: Any) -> None:
        original(self, done, *rest)
        if done == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Monitor, "log_step", log_step)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *((name, 4) for name in FAST),
        *(pytest.param(name, 50, marks=pytest.mark.slow) for name in VARIANTS),
    ],
)
def test_a_variant_is_trained_resumed_generated_from_and_scored(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, steps: int
) -> None:
    variant = VARIANTS[name]
    image, whole, video = (tmp_path / n for n in ("image", "whole", "video"))
    before = [*pretrained(world, variant), *codec(world, name)]
    assert run(world, whole, name, "image", steps, *before) == 0
    with monkeypatch.context() as patched:
        stopped_after(steps // 2 - 1, patched)
        assert run(world, image, name, "image", steps, *before) == 130
    assert run(world, image, name, "image", steps, *before) == 0
    assert losses_of(image) == losses_of(whole)
    assert weights_of(image / "model") == weights_of(whole / "model")
    assert run(world, video, name, "video", steps, "--init-from", str(image)) == 0
    losses = losses_of(video)[-1]
    for part in ("motion", "cross_attention"):
        weight = json.loads((video / "config.json").read_text())["loss"][f"{part}_weight"]
        if variant.model.get("streams") in ("joint", "video"):
            assert part not in losses  # one stream has no other to agree with
        else:
            assert (losses[part] > 0) == (weight > 0)

    info = read_info(video / "model")
    assert info.variant == name
    pipe = IdolPipeline.from_pretrained(video / "model")
    for key, value in variant.model.items():
        assert getattr(pipe.unet.settings, key) == value
    assert type(pipe.unet) is variant.denoiser().part_classes.unet

    clip = f"{world / 'shards'}::videos-v0-0"
    out = tmp_path / "generated"
    options = ("--model", str(video), "--steps", "2", "--device", "cpu", "--no-watermark")
    options += ("--pose-style", variant.poses or "openpose")
    assert (
        generate([clip, "--driving", clip, "--retarget", "none", "--out", str(out), *options]) == 0
    )
    assert (out / "depth.mp4").stat().st_size > 0

    scored = ["--model", str(video), "--shards", str(world / "shards"), "--steps", "2"]
    scored += ["--out", str(tmp_path / "scored"), "--pose", "none", "--device", "cpu"]
    assert evaluate(["run", *scored, "--metrics", "depth_rmse", "psnr"]) == 0
    scores = json.loads((tmp_path / "scored" / "scores.json").read_text())
    assert scores["metrics"]["depth_rmse"]["value"] > 0
    estimated = variant.model.get("streams") == "video"
    assert scores["depth_estimated_by"] == ("lite" if estimated else None)


def test_an_adapter_sees_pictures_of_the_codecs_size(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"patch": 8}')
    latents = Latents(
        spread=(1.0,) * 6, far=(0.0,) * 6, depth=False, psnr={}, size=16, pictures=1, step=1
    )
    (tmp_path / LATENTS).write_text(json.dumps(latents.as_json()))
    given = ["--stage", "image", "--preset", "tiny", "--shards", "s", "--output", "o"]
    adapter = [*given, "--variant", "t2i-adapter"]
    assert parse(adapter).model.pose_downscale == 4
    assert parse([*adapter, "--vae", str(tmp_path)]).model.pose_downscale == 8
    # Where nothing reads it, runs of before go on.
    assert parse([*given, "--vae", str(tmp_path)]).model.pose_downscale == 4


def test_an_adapter_learns_beside_latents_of_another_size(world: Path, tmp_path: Path) -> None:
    settings = json.loads((world / "settings.json").read_text())
    del settings["model"]["pose_downscale"]
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    sizes = ("--autoencoder.patch", "8", "--autoencoder.crop", "16")
    channels = ("--autoencoder.latent-channels", str(MODEL.latent_channels))
    assert run(tmp_path, tmp_path / "codec", "idol", "autoencoder", 1, *sizes, *channels) == 0
    vae = ["--vae", str(tmp_path / "codec" / "model")]
    before: list[str] = []
    for name, stage in (("idol", "pretrain"), ("t2i-adapter", "image"), ("t2i-adapter", "video")):
        assert run(tmp_path, tmp_path / stage, name, stage, 1, *before, *vae) == 0
        before = ["--init-from", str(tmp_path / stage)]
    assert IdolPipeline.from_pretrained(tmp_path / "video/model").unet.settings.pose_downscale == 8
