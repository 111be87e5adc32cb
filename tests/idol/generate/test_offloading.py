"""Weights that are elsewhere until a layer is called: offloaded from the CPU to nowhere.

What is offloaded is on the meta device, or was written to a file and is NaN in memory, so that
whatever reads it in another way than by calling the layer fails, as it does where one device is a
GPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook, dispatch_model
from torch import nn

from idol.encoders.small import SmallAutoencoder
from idol.generate import IdolPipeline
from idol.model import DualModalDenoiser
from idol.variants import VARIANTS
from tests.idol.generate.small import given, sd14, seeded, small_vae, tiny
from tests.idol.train.micro import MODEL

CPU = torch.device("cpu")

# Those that differ in their networks, by the first of their names.
SYSTEMS = {
    (kind.denoiser(), *sorted(kind.model.items())): name
    for name, kind in reversed(VARIANTS.items())
}


@pytest.fixture(autouse=True)
def nothing_in_memory_is_left_to_chance() -> Iterator[None]:
    """Memory that is only reserved is NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def system(name: str) -> IdolPipeline:
    kind = VARIANTS[name]
    settings = dataclasses.replace(MODEL, **kind.model, pose_downscale=4)
    return tiny(settings, kind.denoiser())


def frames_of(pipe: IdolPipeline, **options: Any) -> np.ndarray:
    pipe.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 1, "output_type": "np", **options}
    frames: np.ndarray = pipe(**given(pipe.size), generator=seeded(), **options).frames
    return frames


def sequentially(pipe: IdolPipeline, _: Path) -> None:
    """As `enable_sequential_cpu_offload` does to each part."""
    for name, part in pipe.components.items():
        if isinstance(part, nn.Module) and name not in pipe._exclude_from_cpu_offload:
            cpu_offload(part, CPU, offload_buffers=bool(part._parameters))


def by_layers(pipe: IdolPipeline, folder: Path) -> None:
    pipe.enable_group_offload(CPU, offload_type="leaf_level", offload_to_disk_path=folder)


def by_blocks(pipe: IdolPipeline, folder: Path) -> None:
    options = {"offload_type": "block_level", "num_blocks_per_group": 1}
    pipe.enable_group_offload(CPU, offload_to_disk_path=folder, **options)


def by_a_map(pipe: IdolPipeline, folder: Path) -> None:
    """Every second block on disk, as a device map may have it."""
    for part in (pipe.unet, pipe.controlnet):
        blocks = [f"down_blocks.{i}" for i in range(len(part.down_blocks))] + ["mid_block"]
        blocks += [f"up_blocks.{i}" for i in range(len(getattr(part, "up_blocks", ())))]
        others = {n for n, _ in part.named_children()} - {b.split(".")[0] for b in blocks}
        places = {b: "disk" if i % 2 == 0 else "cpu" for i, b in enumerate(blocks)}
        places |= dict.fromkeys(others, "cpu")
        dispatch_model(part, places, main_device="cpu", offload_dir=folder / type(part).__name__)


Offload = Callable[[IdolPipeline, Path], None]


@pytest.mark.parametrize("make", [tiny, sd14, small_vae])
@pytest.mark.parametrize("offload", [sequentially, by_layers, by_blocks, by_a_map])
def test_it_generates_the_same(
    make: Callable[[], IdolPipeline], offload: Offload, tmp_path: Path
) -> None:
    pipe = make()
    expected = frames_of(pipe)
    offload(pipe, tmp_path)
    for _ in range(2):  # what was offloaded comes back
        np.testing.assert_allclose(frames_of(pipe), expected, atol=1e-5)
    weight = pipe.unet.down_blocks[0].resnets[0].conv1.weight
    assert weight.is_meta or weight.isnan().all()  # it is offloaded again


@pytest.mark.parametrize(
    ("name", "offload"),
    [
        *((name, sequentially) for name in SYSTEMS.values()),
        ("mm-diffusion", by_layers),
        *((name, by_blocks) for name in ("mm-diffusion", "separate-unets")),
        *(
            pytest.param(name, offload, marks=pytest.mark.slow)
            for name in SYSTEMS.values()
            for offload in (by_layers, by_blocks)
        ),
    ],
)
def test_so_does_every_system(name: str, offload: Offload, tmp_path: Path) -> None:
    pipe = system(name)
    expected = frames_of(pipe, guidance_scale=1.0)
    if (name, offload) == ("mm-diffusion", by_blocks):
        with pytest.raises(ValueError, match="offload_type='leaf_level'"):
            offload(pipe, tmp_path)
        return
    offload(pipe, tmp_path)
    np.testing.assert_allclose(frames_of(pipe, guidance_scale=1.0), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["encode", "decode"])
def test_a_small_autoencoder_is_fetched_for_each_of_its_halves(method: str) -> None:
    vae = SmallAutoencoder(3, 4, patch=8, width=8, blocks=1)
    cpu_offload_with_hook(vae, "meta")
    channels, side = {"encode": (3, 16), "decode": (4, 2)}[method]
    with torch.no_grad():
        getattr(vae, method)(torch.zeros(1, channels, side, side, device="meta"))
    assert vae.device.type == "meta"


def test_an_adapter_in_place_of_a_layer_is_called() -> None:
    """Its weights are not all that it computes, so that they must not be read in its place."""

    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    denoiser = DualModalDenoiser.from_config(MODEL)
    attention = denoiser.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    x = torch.randn(2, 4, attention.to_v.in_features)
    before = attention(x) - attention.to_out[0].bias
    adapted = Doubled(attention.to_v.in_features, attention.to_v.out_features, bias=False)
    adapted.load_state_dict(attention.to_v.state_dict())
    attention.to_v = adapted
    torch.testing.assert_close(attention(x) - attention.to_out[0].bias, 2 * before)
