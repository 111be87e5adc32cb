"""`bench/codec.py`: what pictures are after they went through a code."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import codec
from idol.encoders.small import SmallAutoencoder
from idol.errors import IdolError
from shards.errors import ShardsError
from tests.idol.train.micro import clip, write_shards


def test_psnr_is_the_mean_of_pictures() -> None:
    given = torch.zeros(2, 3, 4, 4)
    made = torch.stack([given[0] + 20 / 127.5, given[1] + 40 / 127.5])  # 20 and 40 of 255
    expected = np.mean([20 * math.log10(255 / error) for error in (20, 40)])
    assert codec.psnr(given, made) == pytest.approx(expected, abs=0.01)


def test_a_linear_code_of_as_many_numbers_as_vary_loses_nothing() -> None:
    """Patches are sums of two patterns: two numbers say which, and one does not."""
    torch.manual_seed(0)
    patterns = torch.randn(2, 48)
    weights = torch.rand(2, 8, 2, 2, 2) - 0.5
    patches = (weights @ patterns).clamp(-9, 9).movedim(-1, 2)
    frame, depth = (torch.nn.functional.pixel_shuffle(p, 4) for p in patches)
    learnt = {"frame": frame, "depth": depth}
    for count, exact in ((1, False), (2, True)):
        made = codec.linear(4, count, learnt)(frame)
        assert torch.allclose(made, frame, atol=1e-4) is exact


def test_every_code_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = write_shards(tmp_path / "shards", [clip(0)], [clip(1)])
    SmallAutoencoder(3, 4, patch=4, width=4, blocks=1).save_pretrained(tmp_path / "vae")
    given = ["--shards", str(shards), "--size", "16", "--learnt", str(shards)]
    assert codec.main([*given, "--models", str(tmp_path / "vae")]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first == "4 frames of 16x16 pixels, and as many depth pictures; dB:"
    assert [line.split(":")[0] for line in lines] == [
        f"linear, {count} numbers a {patch}x{patch} patch" for patch, count in codec.LINEAR
    ]
    assert last.startswith(f"{tmp_path / 'vae'}, 4 numbers a 4x4 patch, ")

    with pytest.raises(ShardsError, match="none/val: is empty or absent"):
        codec.main(["--shards", str(tmp_path / "none")])
    with pytest.raises(IdolError, match="none holds no autoencoder"):
        codec.main([*given, "--models", str(tmp_path / "none")])
    assert capsys.readouterr().out == ""  # before any work
