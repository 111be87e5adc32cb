"""Models are saved and loaded in diffusers' format, strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from idol.model import CheckpointError, ConfigError, DualModalDenoiser, DualModalUNet

WEIGHTS = "diffusion_pytorch_model.safetensors"


def test_a_saved_model_loads_equal(trained: DualModalDenoiser, tmp_path: Path) -> None:
    trained.save_pretrained(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "controlnet",
        "foreground_projection",
        "unet",
    ]
    assert sorted(p.name for p in (tmp_path / "unet").iterdir()) == ["config.json", WEIGHTS]
    loaded = DualModalDenoiser.from_pretrained(tmp_path)
    assert loaded.settings == trained.settings
    assert loaded.state_dict().keys() == trained.state_dict().keys()
    for name, value in trained.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_loads_in_half_precision(trained: DualModalDenoiser, tmp_path: Path) -> None:
    trained.unet.save_pretrained(tmp_path)
    assert DualModalUNet.from_pretrained(tmp_path, torch_dtype=torch.float16).dtype == torch.float16


def test_missing_and_unexpected_parameters_are_named(
    trained: DualModalDenoiser, tmp_path: Path
) -> None:
    trained.unet.save_pretrained(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    save_file({k: v for k, v in weights.items() if k != "conv_in.bias"}, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"1 parameters missing from it: conv_in\.bias"):
        DualModalUNet.from_pretrained(tmp_path)
    save_file({**weights, "conv_on.bias": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"the model has not: conv_on\.bias"):
        DualModalUNet.from_pretrained(tmp_path)


def test_unknown_settings_in_a_file_are_refused(trained: DualModalDenoiser, tmp_path: Path) -> None:
    trained.unet.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "temporal_heads": 3}))
    with pytest.raises(ConfigError, match="unknown setting temporal_heads"):
        DualModalUNet.from_pretrained(tmp_path)


def test_parts_with_different_settings_are_refused(
    trained: DualModalDenoiser, tmp_path: Path
) -> None:
    trained.save_pretrained(tmp_path)
    path = tmp_path / "controlnet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "consistency_layers": "all"}))
    with pytest.raises(ConfigError, match="differ"):
        DualModalDenoiser.from_pretrained(tmp_path)


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing_here"):
        DualModalUNet.from_pretrained(tmp_path / "nothing_here")
