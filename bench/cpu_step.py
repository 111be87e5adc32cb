"""How much of a CPU preset tiny makes use of, beside a plain diffusers U-Net, in one run.

    python bench/cpu_step.py --rounds 9

Both take steps of training (forward, backward, AdamW) in turns: ours of clips of both streams with
conditions, ControlNet, features and losses; the other of images that come to as many FLOPs.
What is printed is the ratio of their FLOPs a second, and its spread over rounds: how busy the
machine is hardly matters. `--busy` runs it beside another process that takes one core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from idol.bench.report import SIZES
from idol.config import LossConfig, preset
from idol.config.model import StageName
from idol.losses import training_losses
from idol.model.cost import build, example_inputs, step_flops

FRAMES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own number")
    parser.add_argument("--clips", type=int, nargs=2, default=(4, 1), help="of image, of video")
    parser.add_argument("--busy", action="store_true", help="beside a process that is never idle")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    other = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    if options.busy:
        other.start()
    stages: tuple[StageName, ...] = ("image", "video")
    for stage, clips in zip(stages, options.clips, strict=True):
        step, flops = ours(stage, clips)
        plain, their_flops = as_many(flops)
        step(), plain()
        mine, theirs = [], []
        for _ in range(options.rounds):
            mine.append(flops / seconds(step))
            theirs.append(their_flops / seconds(plain))
        ratios = sorted(a / b for a, b in zip(mine, theirs, strict=True))
        print(
            f"{stage}, {clips} clips, {torch.get_num_threads()} threads: "
            f"{statistics.median(mine) / 1e9:.1f} and {statistics.median(theirs) / 1e9:.1f} "
            f"GFLOP/s, ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}),"
            f" {flops / 1e9:.1f} GFLOP a step"
        )
    if options.busy:
        other.terminate()


def ours(stage: StageName, clips: int) -> tuple[Callable[[], None], int]:
    """A step of training of preset tiny, and its FLOPs."""
    config, size = preset("tiny"), SIZES["tiny"]
    model = build(config, stage, "cpu")
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    one = example_inputs(config, stage, frames=FRAMES, size=size, device="cpu")
    inputs = {
        k: torch.cat([v] * clips) if isinstance(v, torch.Tensor) else v for k, v in one.items()
    }
    noise = torch.randn_like(inputs["latents_BMFCHW"])
    loss, times = LossConfig(denoise_error=config.prediction), inputs["timesteps_B"]

    def step() -> None:
        output = model(**inputs, return_features=True)
        losses = training_losses(output.noise_pred_BMFCHW, noise, output.features, loss, times)
        losses.total.backward()
        nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, clips * step_flops(config, stage, frames=FRAMES, size=size)


def as_many(flops: int) -> tuple[Callable[[], None], int]:
    """A step of a plain U-Net of the same widths, with images for about as many FLOPs."""
    one = plain_flops(1)
    images = max(1, round(flops / one))
    model = _plain("cpu")
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    inputs = _plain_inputs(images, "cpu")
    noise = torch.randn_like(inputs[0])

    def step() -> None:
        (model(*inputs).sample - noise).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, images * one


def _plain(device: str) -> UNet2DConditionModel:
    config = preset("tiny")
    levels = len(config.block_out_channels)
    with torch.device(device):
        return UNet2DConditionModel(
            sample_size=SIZES["tiny"],
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            block_out_channels=config.block_out_channels,
            layers_per_block=config.layers_per_block,
            down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
            attention_head_dim=config.attention_heads,
            cross_attention_dim=config.cross_attention_dim,
            norm_num_groups=config.norm_groups,
        )


def _plain_inputs(images: int, device: str) -> tuple[torch.Tensor, int, torch.Tensor]:
    config, size = preset("tiny"), SIZES["tiny"]
    latents = torch.randn(images, config.latent_channels, size, size, device=device)
    return latents, 500, torch.randn(images, 65, config.cross_attention_dim, device=device)


def plain_flops(images: int) -> int:
    """FLOPs of a step of the plain U-Net."""
    model, counter = _plain("meta"), FlopCounterMode(display=False)
    with counter:
        model(*_plain_inputs(images, "meta")).sample.sum().backward()
    return counter.get_total_flops()


def seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
