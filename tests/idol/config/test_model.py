"""One frozen configuration: it names what it refuses, and why."""

from __future__ import annotations

import dataclasses
import json

import pytest

from idol.config import ConfigError, DualModalUNetConfig, preset


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"cross_modal_attention": "everywhere"}, "must be one of block_end, layer_end, none"),
        ({"motion_feature": "temporal"}, "motion_feature must be one of .*, not 'temporal'"),
        ({"background_init": "random"}, "must be one of copy, zero"),
        ({"consistency_layers": "first"}, "must be one of last, all"),
        ({"temporal_layers": 1}, "must be true or false"),
        ({"layers_per_block": 0}, "layers_per_block must be from 1 to 2147483647, not 0"),
        ({"layers_per_block": 1.5}, "must be a whole number, not 1.5"),
        ({"block_out_channels": (0, 64, 64, 64)}, "block_out_channels must be from 1 to "),
        ({"block_out_channels": (), "attention_levels": ()}, "block_out_channels is empty"),
        ({"attention_levels": (True,)}, "1 entries for 4 levels"),
        ({"attention_heads": 7}, "attention_heads=7 does not divide the 320 channels"),
        ({"norm_groups": 3}, "norm_groups=3 does not divide the 320 channels"),
        ({"attention_levels": (False,) * 4}, "turns attention off everywhere"),
        ({"group_norm_across_frames": True, "temporal_layers": False}, "one-frame model"),
        (
            {"modality_embedding": False, "cross_modal_attention": "none"},
            "depth could not be told from video",
        ),
        ({"posed_depth": True}, "set posed_foreground=True, prediction='change'"),
        ({"posed_depth": True, "posed_foreground": True}, "set posed_foreground=True"),
    ],
)
def test_refuses_with_the_reason(settings: dict, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason.replace("(", r"\(")):
        DualModalUNetConfig(**settings)


def test_refuses_unknown_settings() -> None:
    with pytest.raises(ConfigError, match="unknown setting cross_model_attention; the settings"):
        DualModalUNetConfig.from_dict({"cross_model_attention": "none"})


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DualModalUNetConfig().attention_heads = 4  # type: ignore[misc]


def test_survives_json() -> None:
    for name in ("sd14", "tiny"):
        config = preset(name)
        assert DualModalUNetConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"^no preset 'sdxl': there are sd14, tiny$"):
        preset("sdxl")  # type: ignore[arg-type]


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        DualModalUNetConfig(prediction="x0", norm_groups=0, temporal_layers=1)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "norm_groups must be from 1 to 2147483647, not 0; temporal_layers must be true or false, "
        "not 1; prediction must be one of noise, v, change, not 'x0'"
    )


def test_single_frame_model_has_no_temporal_settings() -> None:
    config = DualModalUNetConfig(group_norm_across_frames=True).for_single_frames()
    assert not config.temporal_layers
    assert not config.group_norm_across_frames
    assert config.motion_feature == "spatial_attention"


def test_the_change_takes_a_number_for_each_latent_channel() -> None:
    with pytest.raises(ConfigError, match="change_spread has 0 numbers, and prediction='change'"):
        DualModalUNetConfig(prediction="change")
    with pytest.raises(ConfigError, match=r"far_latent has 1 numbers, .*takes 4, one a"):
        DualModalUNetConfig(prediction="change", change_spread=(1,) * 4, far_latent=(1,))
    with pytest.raises(ConfigError, match="change_spread has 4 numbers, and prediction='v' takes"):
        DualModalUNetConfig(prediction="v", change_spread=(1,) * 4)
    with pytest.raises(ConfigError, match="change_spread must be > 0"):
        DualModalUNetConfig(prediction="change", change_spread=(1, 1, 0, 1), far_latent=(1,) * 4)
