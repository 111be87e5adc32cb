"""What a Stable Diffusion folder in diffusers' layout is: its sizes, and what it predicts."""

import json
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from idol.config.checks import ConfigError
from idol.config.model import Prediction

__all__ = ["read_base"]

# What the 2D U-Net must be besides its sizes; diffusers' defaults where a folder says nothing.
_REQUIRED: dict[str, Any] = {
    "act_fn": "silu",
    "center_input_sample": False,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
    "transformer_layers_per_block": 1,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "time_embedding_type": "positional",
    "resnet_time_scale_shift": "default",
    "num_attention_heads": None,
    "class_embed_type": None,
    "encoder_hid_dim_type": None,
    "addition_embed_type": None,
    "only_cross_attention": False,
    "dual_cross_attention": False,
}

# The noise of Stable Diffusion 1 and 2, `idol.diffusion.schedule`'s.
_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}
_PREDICTIONS: dict[str, Prediction] = {"epsilon": "noise", "v_prediction": "v"}


def read_base(folder: Path) -> dict[str, Any]:
    """Settings of `DualModalUNetConfig` that follow from a folder: Stable Diffusion 1.4, 1.5, 2.1.

    Sizes from `unet/`; what is predicted from `scheduler/`, the noise where there is none; the
    channels of a foreground token from `image_encoder/`, if there is one.

    Raises:
        FileNotFoundError: it is not in diffusers' layout.
        ConfigError: it holds another architecture; the message says what does not fit.
    """
    path = folder / "unet" / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: the folder is not in diffusers' format")
    with _damage_of(path):
        sizes = _sizes(path)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    with _damage_of(scheduler):
        sizes["prediction"] = _prediction(scheduler)
    encoder = folder / "image_encoder" / "config.json"
    with _damage_of(encoder):
        return {**sizes, **_foreground(encoder)}


@contextmanager
def _damage_of(path: Path) -> Iterator[None]:
    """Raise ConfigError where a file has not what is read of it, or something else in its place."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ConfigError(f"{path} is damaged: {type(error).__name__} ({error})") from error


def _sizes(path: Path) -> dict[str, Any]:
    """Of the U-Net's config.json."""
    found = _read(path)
    for key, wanted in _REQUIRED.items():
        if found.get(key, wanted) != wanted:
            raise ConfigError(f"{path} has {key}={found[key]!r}; this model needs {wanted!r}")
    for key in ("cross_attention_dim", "layers_per_block"):
        if not isinstance(found.get(key, 8), int):
            raise ConfigError(f"{path} has {key}={found[key]!r}; this model needs one number")
    downs = found["down_block_types"]
    ups = [name.replace("Up", "Down") for name in reversed(found["up_block_types"])]
    if ups != downs or not set(downs) <= {"CrossAttnDownBlock2D", "DownBlock2D"}:
        raise ConfigError(
            f"{path} has blocks {downs} and {found['up_block_types']}; this model mirrors "
            "CrossAttnDownBlock2D and DownBlock2D"
        )
    if found["in_channels"] != found["out_channels"]:
        raise ConfigError(
            f"{path} reads {found['in_channels']} channels and writes {found['out_channels']}; "
            "this model predicts the noise of its latents (an inpainting U-Net does not fit)"
        )
    return {
        "latent_channels": found["in_channels"],
        "block_out_channels": tuple(map(operator.index, found["block_out_channels"])),
        "attention_levels": tuple(name == "CrossAttnDownBlock2D" for name in downs),
        "layers_per_block": found["layers_per_block"],
        **_heads(path, found),
        "linear_projection": found.get("use_linear_projection", False),
        "norm_groups": found["norm_num_groups"],
        "cross_attention_dim": found["cross_attention_dim"],
    }


def _heads(path: Path, found: dict[str, Any]) -> dict[str, int]:
    """diffusers' `attention_head_dim` of this family is the number of heads, by history: one for
    all levels, or one a level with heads of one size."""
    heads, channels = found.get("attention_head_dim", 8), found["block_out_channels"]
    if isinstance(heads, int):
        return {"attention_heads": heads, "head_channels": 0}
    sizes = {wide / number for wide, number in zip(channels, heads, strict=False)}
    if len(heads) != len(channels) or len(sizes) > 1 or not min(sizes).is_integer():
        raise ConfigError(
            f"{path} has attention_head_dim={heads!r} for channels {channels!r}; this model needs "
            "one number of heads, or heads of one size at all levels"
        )
    return {"head_channels": int(min(sizes))}


def _prediction(path: Path) -> Prediction:
    if not path.is_file():
        return "noise"
    found = _read(path)
    for key, wanted in _SCHEDULE.items():
        if found.get(key, wanted) != wanted:
            raise ConfigError(f"{path} has {key}={found[key]!r}; this model needs {wanted!r}")
    name = found.get("prediction_type", "epsilon")
    if name not in _PREDICTIONS:
        known = " or ".join(_PREDICTIONS)
        raise ConfigError(f"{path} has prediction_type={name!r}; this model needs {known}")
    return _PREDICTIONS[name]


def _foreground(path: Path) -> dict[str, int]:
    if not path.is_file():
        return {}
    found = _read(path)
    hidden = found.get("vision_config", found).get("hidden_size")
    return {"foreground_dim": hidden} if isinstance(hidden, int) else {}


def _read(path: Path) -> dict[str, Any]:
    with _damage_of(path):
        return dict(json.loads(path.read_bytes()))
