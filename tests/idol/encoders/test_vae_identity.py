"""A VAE is its weights: not their file, nor their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from idol.encoders.vae_identity import WEIGHTS, identify_vae
from shards.errors import ShardsError

CONFIG = {"_class_name": "AutoencoderKL", "latent_channels": 4, "block_out_channels": [8, 8, 8, 8]}


def write(folder: Path, tensors: dict[str, np.ndarray], **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    save_file(tensors, folder / WEIGHTS)
    return folder


def test_names_and_order_do_not_matter_but_values_do(tmp_path: Path) -> None:
    a, b = np.arange(6, dtype=np.float32), np.ones((2, 3), np.float32)
    first = identify_vae(write(tmp_path / "a", {"query": a, "conv": b}))
    again = identify_vae(write(tmp_path / "b", {"to_q": a.reshape(2, 3), "conv": b}, x=1))
    other = identify_vae(write(tmp_path / "c", {"query": a + 1, "conv": b}))
    assert (first.channels, first.factor) == (4, 8)
    assert first == again
    assert first.sha256 != other.sha256
    halved = identify_vae(write(tmp_path / "d", {"query": a.astype(np.float16), "conv": b}))
    assert first.sha256 != halved.sha256


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {"x": np.zeros(4, np.float32)})
    before = identify_vae(folder)
    save_file({"x": np.ones(400, np.float32)}, folder / WEIGHTS)
    assert identify_vae(folder) != before


def test_a_base_folder_has_its_vae_within(tmp_path: Path) -> None:
    vae = write(tmp_path / "base" / "vae", {"x": np.zeros(4, np.float32)})
    assert identify_vae(tmp_path / "base") == identify_vae(vae)
    with pytest.raises(ShardsError, match="no AutoencoderKL"):
        identify_vae(tmp_path)
