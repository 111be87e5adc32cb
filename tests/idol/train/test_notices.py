"""Options that mean nothing in a run are refused, or a line at its start says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from idol.config import ConfigError, LossConfig, preset
from idol.data.datasets import open_datasets
from idol.model import DualModalUNetConfig
from idol.train.cli import main, run_config
from idol.train.notices import notices
from idol.train.resume import read_config
from idol.train.train import train
from idol.variants import VARIANTS
from shards.dataset import open_for_build
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.idol.train.micro import MODEL, clip, micro, write_shards
from tests.idol.train.test_train import CHANGE


def of_variant(name: str) -> DualModalUNetConfig:
    return dataclasses.replace(MODEL, background_init="zero", **VARIANTS[name].model)


def told(stage: Any, shards: Path, **settings: Any) -> list[str]:
    config = micro(stage, shards, Path("o"), **{"gradient_norms_every": 50, **settings})
    # What the tests' own small configuration sets is not what is tried.
    words = ("--frames", "--init-from")
    lines = notices(config, open_datasets(config))
    return [line for line in lines if not any(word in line for word in words)]


def test_a_model_of_one_step_is_judged_by_samples(boxes: Path) -> None:
    lines = told("video", boxes, max_frame_step=2, pure_noise=1.0, validate_every=5)
    assert any(x.startswith("--pure-noise 1 trains the first step of sampling") for x in lines)
    assert told("video", boxes, max_frame_step=2, pure_noise=1.0) == []
    assert not any(
        "pure-noise" in x
        for x in told("video", boxes, max_frame_step=2, pure_noise=0.5, validate_every=5)
    )
    lines = told("distill", boxes, pure_noise=1.0, validate_every=5)
    [line] = [x for x in lines if "pure-noise" in x]
    assert line.startswith("--pure-noise 1.0 is not used: stage distill follows its teacher")


def test_a_plain_run_has_nothing_to_be_told(boxes: Path) -> None:
    assert told("pretrain", boxes) == []
    assert told("image", boxes) == []
    assert told("video", boxes, max_frame_step=2) == []


@pytest.mark.parametrize(
    ("stage", "settings", "line"),
    [
        ("image", {"cut": "hap"}, "--cut hap is not used: pre-training alone cuts images"),
        ("image", {"max_frame_step": 2}, "--max-frame-step 2 is not used: stage image takes one"),
        ("pretrain", {"depth": "frame"}, "--depth frame is not used: pre-training has no depth"),
        ("pretrain", {"gradient_norms_every": 7}, "--gradient-norms-every 7 is not used"),
        ("image", {"sample_steps": 7}, "--sample-steps 7 is not used: --sample-every is 0"),
        ("image", {"guidance": 3.0}, "--guidance 3.0 is not used"),
        ("image", {"validation_clips": 9}, "--validation-clips 9 is not used: --validate-every is"),
        ("image", {"cache_limit": 9}, "--cache-limit 9 is not used: there is no --cache"),
        ("image", {"cache": "c"}, "--cache c is not used: the shards are local files"),
        (
            "pretrain",
            {"loss": LossConfig(huber_depth=0.1)},
            "--loss.huber-depth 0.1 is not used: pre-training has no depth",
        ),
        (
            "pretrain",
            {"loss": LossConfig(denoise_error="v", average_heads=True)},
            "--loss.average-heads is not used: pre-training has no depth",
        ),
        (
            "video",
            {
                "max_frame_step": 1,
                "loss": LossConfig(denoise_error="v", motion_weight=0, motion_divisor="frames"),
            },
            "--loss.motion-divisor frames is not used: --loss.motion-weight is 0",
        ),
        (
            "image",
            {"variant": "disco", "depth": "frame", "model": of_variant("disco")},
            "--depth frame is not used: variant disco makes video alone",
        ),
        (
            "image",
            {"model": dataclasses.replace(MODEL, motion_frames=16)},
            "--model.motion-frames 16 is not used: variant idol has no motion modules",
        ),
        (
            "image",
            {"model": dataclasses.replace(MODEL, motion_mid_block=False)},
            "--model.no-motion-mid-block is not used: variant idol has no motion modules",
        ),
        (
            "image",
            {"model": dataclasses.replace(MODEL, pose_downscale=2)},
            "--model.pose-downscale 2 is not used: variant idol has no T2I-Adapter",
        ),
        (
            "image",
            {"model": dataclasses.replace(CHANGE, background_init="copy")},
            "--model.background-init copy is not used: a model that predicts the change",
        ),
    ],
)
def test_an_option_that_means_nothing_is_told(
    boxes: Path, stage: Any, settings: dict[str, Any], line: str
) -> None:
    lines = told(stage, boxes, **settings)
    assert len(lines) == 1
    assert lines[0].startswith(line)


@pytest.mark.parametrize("stage", ["pretrain", "image", "distill"])
@pytest.mark.parametrize("variant", ["ldm3d", "disco", "motion-loss"])
def test_what_comes_with_a_variant_was_not_asked_for(boxes: Path, stage: Any, variant: str) -> None:
    own = VARIANTS[variant].loss
    loss = dataclasses.replace(LossConfig(denoise_error="v"), **own)
    lines = told(stage, boxes, variant=variant, model=of_variant(variant), loss=loss)
    assert [line for line in lines if "loss." in line] == []
    loss = dataclasses.replace(loss, motion_divisor="frames")
    lines = told(stage, boxes, variant=variant, model=of_variant(variant), loss=loss)
    assert [line for line in lines if "loss.motion-divisor frames is not used" in line]


def test_stage_autoencoder_has_no_use_for_settings_of_a_denoiser(boxes: Path) -> None:
    usual = preset("tiny")
    assert told("autoencoder", boxes, model=usual) == []
    filled = dataclasses.replace(usual, background_hole="filled")  # it learns of backgrounds
    assert told("autoencoder", boxes, model=filled) == []
    [line] = told("autoencoder", boxes, model=dataclasses.replace(usual, attention_heads=4))
    assert line == "--model.attention-heads 4 is not used: stage autoencoder trains no denoiser"
    [line] = told("autoencoder", boxes, model=usual, variant="dwpose")
    assert line == "--variant dwpose is not used: a codec is of no variant"


def test_a_step_that_no_clip_has_room_for_is_told(tmp_path: Path) -> None:
    """The defaults on clips of 16 frames: 8 frames four apart would need 29."""
    shards = write_shards(tmp_path / "shards", [clip(0, frames=16), clip(1, frames=9)])
    [line] = told("video", shards, frames=8, max_frame_step=4)
    assert line == (
        "clips have at most 16 frames, of which 8 are taken with a step of at most 2: of "
        "--max-frame-step 4 1 to 2 are drawn"
    )
    assert told("video", shards, frames=8, max_frame_step=2) == []
    [line] = told("video", shards, frames=16, max_frame_step=2)
    assert line.endswith("only 1 is")


def test_steps_that_begin_late_are_told(boxes: Path) -> None:
    settings = {"sample_every": 1, "max_frame_step": 2}
    [line] = told("video", boxes, sample_steps=400, **settings)
    assert "begins at timestep 799 of 999" in line
    for steps in (20, 50, 250, 500, 999, 1000):
        assert told("video", boxes, sample_steps=steps, **settings) == []


def test_weights_that_are_not_what_was_asked_for_are_told(
    boxes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(micro("pretrain", boxes, tmp_path / "pretrain", steps=1))
    assert "--init-from" not in caplog.text
    train(micro("image", boxes, tmp_path / "fresh", steps=1))
    assert (
        "starts from fresh weights: --init-from takes the output of stage pretrain" in caplog.text
    )
    caplog.clear()
    config = micro("image", boxes, tmp_path / "run", steps=1, init_from=tmp_path / "pretrain")
    train(config)
    (config.output / "model").rename(tmp_path / "model")
    train(config)
    assert "--init-from" not in caplog.text
    (config.output / "model").rename(tmp_path / "model 2")
    train(dataclasses.replace(config, init_from=Path("/nowhere")))
    assert "--init-from /nowhere is not used: the run resumes from" in caplog.text
    assert f"began with {tmp_path / 'pretrain'}" in caplog.text
    # Nor is it said to be where it began.
    told = (config.output / "model/README.md").read_text()
    assert (f"{tmp_path / 'pretrain'}" in told, "/nowhere" in told) == (True, False)
    saved = read_config(config.output) or {}
    assert saved["init_from"] == str(tmp_path / "pretrain")


def test_what_needs_a_gpu_is_refused_without_one(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="--mixed-precision fp16 needs a GPU"):
        micro("image", boxes, tmp_path / "run", mixed_precision="fp16")
    with pytest.raises(ConfigError, match="--adam-8bit needs a GPU"):
        micro("image", boxes, tmp_path / "run", adam_8bit=True)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    config = micro("image", boxes, tmp_path / "run", cpu=False, mixed_precision="fp16")
    assert run_config(config) == 2
    assert "--mixed-precision fp16: use another" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_networks_of_the_other_preset_are_refused(
    boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--stage", "pretrain", "--preset", "tiny", "--shards", str(boxes)]
    command += ["--size", "32", "--output", str(tmp_path / "run")]
    assert main([*command, "--image-encoder", "a"]) == 2
    assert "--image-encoder is for preset sd14: tiny has its own" in capsys.readouterr().err
    assert main([*command, "--vae", "a"]) == 2
    assert "a has no latents.json: give the model/ that idol-train" in capsys.readouterr().err


def test_training_on_what_was_held_out_is_told(tmp_path: Path) -> None:
    build = open_for_build(tmp_path / "shards", {})
    held_out = [(c.key, encode_clip(c)) for c in (clip(0), clip(1))]
    commit_shard(tmp_path / "shards", "val", 0, held_out)
    build.finish({"val": 1})
    (line,) = [line for line in told("image", tmp_path / "shards") if "val split alone" in line]
    assert "the clips trained on are those that validation measures" in line
