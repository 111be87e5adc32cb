"""The pipeline on a GPU: whatever moves its parts about, the result is that of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idol.generate import IdolPipeline
from tests.idol.generate.small import given, sd14, seeded, small_vae, tiny

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def frames_of(pipe: IdolPipeline) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"num_inference_steps": 3, "output_type": "np"}
    return pipe(**given(pipe.size), generator=seeded(), **options).frames


WAYS: dict[str, Callable[[IdolPipeline], Any]] = {
    "to": lambda pipe: pipe.to("cuda"),
    "model": lambda pipe: pipe.enable_model_cpu_offload(),
    "sequential": lambda pipe: pipe.enable_sequential_cpu_offload(),
    "layers": lambda pipe: pipe.enable_group_offload(
        "cuda", offload_type="leaf_level", use_stream=True
    ),
    "blocks": lambda pipe: pipe.enable_group_offload(
        "cuda", offload_type="block_level", num_blocks_per_group=1
    ),
}


@pytest.mark.parametrize("make", [tiny, sd14, small_vae])
@pytest.mark.parametrize("how", WAYS)
def test_it_is_as_on_the_cpu(make: Any, how: str) -> None:
    expected, pipe = frames_of(make()), make()
    WAYS[how](pipe)
    for _ in range(2):  # what was offloaded comes back
        np.testing.assert_allclose(frames_of(pipe), expected, atol=2e-2)
    assert np.abs(frames_of(pipe) - expected).mean() < 1e-3


@pytest.mark.parametrize("make", [tiny, sd14])
def test_half_precision_is_close(make: Any, tmp_path: Path) -> None:
    expected = frames_of(make())
    make().save_pretrained(tmp_path)
    pipe = IdolPipeline.from_pretrained(tmp_path, dtype=torch.float16).to("cuda")
    assert np.abs(frames_of(pipe) - expected).mean() < 0.02


def test_after_a_call_nothing_is_left_on_the_gpu() -> None:
    pipe = sd14()
    pipe.enable_model_cpu_offload()
    frames_of(pipe)
    assert all(p.device.type == "cpu" for p in pipe.unet.parameters())
    assert all(p.device.type == "cpu" for p in pipe.vae.parameters())
