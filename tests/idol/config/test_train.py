"""Settings: the paper's by default, mistakes named all at once, plain JSON."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from idol.config import ConfigError, preset
from idol.diffusion.schedule import noise_schedule
from idol.pretrained import PEOPLE64
from idol.train.cli import main, parse
from idol.train.stopping import TrainError
from tests.idol.train.micro import configured, micro

REQUIRED = ["--shards", "a", "b", "--output", "o"]


@pytest.mark.parametrize(
    ("stage", "steps", "rate"),
    [("pretrain", 25_000, 1e-3), ("image", 15_000, 1e-4), ("video", 15_000, 1e-4)],
)
def test_defaults_are_appendix_b(stage: str, steps: int, rate: float) -> None:
    config = parse(["--stage", stage, *REQUIRED])
    optimizer = config.optimizer
    assert (optimizer.steps, optimizer.learning_rate) == (steps, rate)
    assert (optimizer.betas, optimizer.weight_decay) == ((0.9, 0.98), 1e-3)
    assert (optimizer.warm_up, optimizer.clip, optimizer.foreground_dropout) == (0.1, 1.0, 0.05)
    assert (config.loss.motion_weight, config.loss.cross_attention_weight) == (0.01, 0.01)
    assert (config.data.size, config.preset) == (256, "sd14")
    assert config.frames == (8 if stage == "video" else 1)
    assert config.shards == ("a", "b")


def test_everything_can_be_set() -> None:
    options = "--stage=image --preset tiny --model.motion-feature spatial_attention --steps 7"
    config = parse([*options.split(), *REQUIRED, "--loss.average-heads", "--cut", "hap"])
    assert config.model.motion_feature == "spatial_attention"
    assert config.model.latent_channels == 48
    assert (config.optimizer.steps, config.data.cut) == (7, "hap")
    assert config.loss.average_heads
    assert json.loads(json.dumps(config.as_json())) == config.as_json()


def test_only_what_is_given_goes_before_the_defaults_of_stage_and_preset() -> None:
    config = parse(["--stage", "image", "--preset", "tiny", *REQUIRED, "--sample-steps", "50"])
    assert (config.data.size, config.optimizer.steps) == (64, 2400)
    assert (config.report.sample_steps, config.report.checkpoint_every) == (50, 100)
    assert config.loss.denoise_error == "change"
    off = parse(["--stage", "video", *REQUIRED, "--no-tensorboard", "--latents"])
    assert (off.report.tensorboard, off.report.progress, off.data.latents) == (False, True, True)


def test_cached_latents_have_grey_holes() -> None:
    options = ["--stage", "video", *REQUIRED, "--model.background-hole", "filled"]
    assert parse(options).model.background_hole == "filled"
    with pytest.raises(ConfigError, match="backgrounds with a grey hole"):
        parse([*options, "--latents"])


def test_larger_patches_are_of_larger_pictures() -> None:
    """The same model but for its first and last convolutions: its latents are as many."""
    tiny = ["--stage", "image", "--preset", "tiny", *REQUIRED]
    config, large = parse(tiny), parse([*tiny, "--patch", "8"])
    assert (config.model.latent_channels, config.data.size, config.pixels_of_latent) == (48, 64, 4)
    assert (large.model.latent_channels, large.data.size, large.pixels_of_latent) == (192, 128, 8)
    assert large.model.change_spread[:48] == config.model.change_spread
    adapter = parse([*tiny, "--patch", "8", "--variant", "t2i-adapter"])
    assert adapter.model.pose_downscale == 8
    goes_on = parse([*tiny[2:], "--stage", "video", "--patch", "8", "--init-from", str(PEOPLE64)])
    assert goes_on.model.latent_channels == 192


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--preset sd14 --patch 8", "--patch is of preset tiny without --vae"),
        ("--preset tiny --patch 8 --size 96", "--size must be a multiple of 64, not 96"),
    ],
)
def test_patches_that_fit_nothing_are_refused(options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(["--stage", "image", *REQUIRED, *options.split()])


def test_the_depth_of_who_is_posed_is_a_persons() -> None:
    options = ["--preset", "tiny", "--model.posed-foreground", "--model.posed-depth"]
    assert parse(["--stage", "image", *REQUIRED, *options]).model.posed_depth
    with pytest.raises(ConfigError, match=r"--model\.posed-depth is of a person's depth"):
        parse(["--stage", "image", *REQUIRED, *options, "--depth", "frame"])


def test_patches_and_the_models_latents_agree() -> None:
    with pytest.raises(ConfigError, match="--patch 8 makes latents of 192 channels"):
        micro("image", "shards", Path("o"), patch=8)


def test_help_shows_the_defaults_of_all_stages_and_presets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    words = "".join(c for c in capsys.readouterr().out if c not in "│").split()
    text = " ".join(words)
    assert "(default: 256; tiny: 64)" in text
    assert (
        "(default: 25000 in pretrain, 15000 in image and video, 4000 in distill, 10000 in "
        "autoencoder; tiny: 150 in pretrain, 2400 in image, 300 in video and distill, 3000 in "
        "autoencoder)" in text
    )
    # Where a stage or preset has none, that is said; and each setting is explained by itself.
    assert "32 in video; tiny: none)" in text
    assert "(default: none; tiny: 1.99" in text
    assert "(default: ;" not in text
    for own in (
        "--loss.motion-weight FLOAT w_mo,",
        "--loss.cross-attention-weight FLOAT w_xattn,",
        "--model.foreground-depth INT layers of",
        "--model.motion-frames INT the longest clip",
    ):
        assert own in text


def test_all_mistakes_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    mistakes = "--stage video --steps 0 --size 100 --frames 1 --mirror 2 --fsdp --adam-8bit"
    assert main([*mistakes.split(), *REQUIRED]) == 2
    error = capsys.readouterr().err
    for part in ("--steps", "multiple of 64", "--frames", "--mirror", "--adam-8bit"):
        assert part in error


def test_clips_of_a_step_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    both = "--stage video --accumulation 1 --clips-per-step 4"
    assert main([*both.split(), *REQUIRED]) == 2
    assert "--clips-per-step says what --accumulation is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"sample_steps": 1001}, "--sample-steps must be from 1 to 1000, not 1001"),
        ({"sample_steps": 1000, "sample_spacing": "leading"}, "use trailing"),
        ({"sample_steps": 400, "sample_spacing": "trailing"}, "not 400: 250 or 500"),
        ({"sample_steps": 0, "sample_spacing": "trailing"}, "--sample-steps must be from 1 to"),
        ({"seed": 2**64}, "--seed must be from 0 to 18446744073709551615, not"),
        ({"window": 2**31}, "--window must be from 1 to 2147483647"),
        ({"keep": 0}, "--keep must be from 1 "),
        ({"learning_rate": float("inf")}, "--learning-rate must be > 0 and finite, not inf"),
        ({"clip": float("nan")}, "--clip must be >= 0 and finite, not nan"),
        ({"weight_decay": float("inf")}, "--weight-decay must be >= 0 and finite, not inf"),
        ({"guidance": float("nan")}, "--guidance must be >= 0 and finite, not nan"),
        ({"warm_up": float("nan")}, "--warm-up must be from 0 to 1, not nan"),
        ({"ema": 1.0}, "--ema must be >= 0 and < 1, not 1.0"),
        ({"betas": (0.9, float("nan"))}, "--betas must be >= 0 and < 1, not "),
        ({"crop_area": (float("nan"), 1.0)}, "--crop-area must be > 0 and <= 1, not "),
        ({"crop_area": (0.0, 1.0)}, "--crop-area must be > 0 and <= 1, not "),
        ({"crop_area": (0.9, 0.5)}, "--crop-area must rise, not 0.9 0.5"),
        ({"batch_size": 1.5}, "--batch-size must be a whole number, not 1.5"),
        ({"depth": "both"}, "--depth must be one of "),
        (
            {"model": dataclasses.replace(preset("tiny"), foreground_dim=97)},
            "--model.foreground-dim must be a multiple of 4 with preset tiny, not 97",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ConfigError, match=mistake):
        configured("video", "tiny", "a", Path("o"), **settings)


def test_the_largest_settings_are_taken(tmp_path: Path, boxes: Path) -> None:
    """torch takes the seed, NumPy the window, the sampler the steps."""
    from idol.train.train import train

    steps = noise_schedule().config.num_train_timesteps
    largest = {"seed": 2**64 - 1, "window": 2**31 - 1, "max_frame_step": 2**31 - 1}
    train(micro("image", boxes, tmp_path, steps=1, sample_steps=steps, **largest))
    with pytest.raises(ConfigError, match="--sample-steps"):
        micro("image", boxes, tmp_path, sample_steps=steps + 1)


def test_sample_steps_have_the_spacing_that_holds_them() -> None:
    trailing, leading = (1, 2, 8, 1000), (3, 7, 10, 50, 400)
    for steps, spacing in {
        **dict.fromkeys(trailing, "trailing"),
        **dict.fromkeys(leading, "leading"),
    }.items():
        assert configured("video", "tiny", "a", Path("o"), sample_steps=steps).report.spacing == (
            spacing
        )


def test_missing_stage_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(REQUIRED)
    assert "--stage" in capsys.readouterr().err


def test_absent_shards_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "nowhere")
    command = ["--stage", "video", "--preset", "tiny", "--shards", nowhere]
    assert main([*command, "--output", str(tmp_path / "o")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("idol-train: ")
    assert nowhere in error
    assert "Traceback" not in error


def test_eight_bits_need_bitsandbytes(tmp_path: Path, boxes: Path) -> None:
    from idol.train.train import train

    config = configured("pretrain", "tiny", boxes, tmp_path, adam_8bit=True)
    with pytest.raises(TrainError, match="pip install bitsandbytes"):
        train(config)


def test_help_loads_no_heavy_library() -> None:
    heavy = ("torch", "numpy", "accelerate", "diffusers", "cv2", "pyarrow")
    program = (
        "import sys, idol.train.cli\n"
        "idol.train.cli.parse(['--stage', 'video', '--shards', 'a', '--output', 'o'])\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
