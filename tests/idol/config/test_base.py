"""A folder of Stable Diffusion whose files are damaged is named in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idol.config.base import read_base
from idol.config.checks import ConfigError

_UNET: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [8, 8],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
    "cross_attention_dim": 12,
}
_PLACES = ("unet/config.json", "scheduler/scheduler_config.json", "image_encoder/config.json")


def write(folder: Path, place: str, content: Any) -> None:
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_text(json.dumps(content))


def test_a_whole_one_is_read(tmp_path: Path) -> None:
    write(tmp_path, _PLACES[0], _UNET)
    write(tmp_path, _PLACES[1], {"prediction_type": "v_prediction"})
    write(tmp_path, _PLACES[2], {"vision_config": {"hidden_size": 16}})
    found = read_base(tmp_path)
    assert (found["block_out_channels"], found["attention_heads"]) == ((8, 8), 2)
    assert (found["prediction"], found["foreground_dim"]) == ("v", 16)


@pytest.mark.parametrize(
    ("place", "content"),
    [
        (0, []),
        (0, {}),
        (0, {**_UNET, "block_out_channels": 8}),
        (0, {**_UNET, "block_out_channels": ["a", "b"]}),
        (0, {**_UNET, "up_block_types": [{}]}),
        (0, {**_UNET, "attention_head_dim": [0, 0]}),
        (0, {**_UNET, "attention_head_dim": "x"}),
        (0, {key: _UNET[key] for key in _UNET if key != "norm_num_groups"}),
        (1, [1]),
        (1, {"prediction_type": ["epsilon"]}),
        (2, {"vision_config": None}),
        (2, {"vision_config": [1]}),
    ],
)
def test_a_damaged_one_is_named(tmp_path: Path, place: int, content: Any) -> None:
    write(tmp_path, _PLACES[0], _UNET)
    write(tmp_path, _PLACES[place], content)
    with pytest.raises(ConfigError, match=f"{_PLACES[place]} is damaged: ") as refused:
        read_base(tmp_path)
    assert "\n" not in str(refused.value)
