"""How much of a CPU preset tiny makes use of, beside a plain diffusers U-Net, in one run.

    python bench/cpu_step.py --rounds 9

All take steps of training (forward, backward, clipping, AdamW) in turns: ours of clips of both
streams with conditions, ControlNet, features and losses, as `idol-train` has them; beside it two
plain U-Nets of the same widths. One takes as many images a pass as ours and is as much deeper as
comes nearest to ours in FLOPs; the other is not deeper and takes as many more images. What is
printed is the ratio of FLOPs a second, and its spread over rounds: how busy the machine is hardly
matters. FLOPs are those of products and convolutions, forward and backward, losses included.
`--busy` runs it beside another process that takes one core.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from idol.bench.sizes import SIZES
from idol.config import LossConfig, preset
from idol.config.model import StageName
from idol.encoders import foreground_tokens
from idol.losses import training_losses
from idol.model.cost import build, example_inputs
from shards.heap import keep_freed_memory

FRAMES = 8
_MOST_LAYERS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own number")
    parser.add_argument("--clips", type=int, nargs=2, default=(4, 1), help="of image, of video")
    parser.add_argument("--busy", action="store_true", help="beside a process that is never idle")
    options = parser.parse_args()
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    other = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    if options.busy:
        other.start()
    stages: tuple[StageName, ...] = ("image", "video")
    for stage, clips in zip(stages, options.clips, strict=True):
        works = [ours(stage, clips), *peers(stage, clips)]
        for work in works:
            work.step()
        rates: list[list[float]] = [[] for _ in works]
        for _ in range(options.rounds):
            for work, found in zip(works, rates, strict=True):
                found.append(work.flops / seconds(work.step))
        print(f"{stage}, {clips} clips, {torch.get_num_threads()} threads:")
        for work, found in zip(works, rates, strict=True):
            ratios = sorted(a / b for a, b in zip(rates[0], found, strict=True))
            print(
                f"  {work.name}: {work.flops / 1e9:.1f} GFLOP a step, {work.parameters:,} "
                f"parameters, {statistics.median(found) / 1e9:.1f} GFLOP/s; of it ours is "
                f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                flush=True,
            )
    if options.busy:
        other.terminate()


@dataclass(frozen=True)
class Work:
    """A step of training, its FLOPs, and how many parameters it trains."""

    name: str
    step: Callable[[], None]
    flops: int
    parameters: int


def ours(stage: StageName, clips: int) -> Work:
    """A step of training of preset tiny."""
    model, loss = our_loss(stage, clips, "cpu")
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _work("ours", model, loss, _counted(our_loss(stage, clips, "meta")[1]))


def our_loss(stage: StageName, clips: int, device: str) -> tuple[nn.Module, Callable[[], Tensor]]:
    """Preset tiny, and its loss of clips."""
    config, size = preset("tiny"), SIZES["tiny"]
    model = build(config, stage, device)
    tokens = foreground_tokens("tiny", config)
    inputs = example_inputs(config, stage, frames=FRAMES, size=size, tokens=tokens, device=device)
    inputs = {k: torch.cat([v] * clips) if isinstance(v, Tensor) else v for k, v in inputs.items()}
    noise = torch.randn_like(inputs["latents_BMFCHW"])
    config_of_loss, times = LossConfig(denoise_error=config.prediction), inputs["timesteps_B"]

    def loss() -> Tensor:
        output = model(**inputs, return_features=True)
        predicted = output.noise_pred_BMFCHW
        return training_losses(predicted, noise, output.features, config_of_loss, times).total

    return model, loss


def peers(stage: StageName, clips: int) -> list[Work]:
    """Steps of plain U-Nets of about as many FLOPs."""
    flops = _counted(our_loss(stage, clips, "meta")[1])
    images = clips * (2 * FRAMES if stage == "video" else 2)
    layers = min(
        range(1, _MOST_LAYERS), key=lambda layers: abs(plain_flops(images, layers) - flops)
    )
    return [plain(images, layers), plain(max(1, round(flops / plain_flops(1, 1))), 1)]


def plain(images: int, layers: int) -> Work:
    """A step of a plain U-Net of preset tiny's widths."""
    model, loss = _plain_loss(images, layers, "cpu")
    name = f"plain U-Net, {images} images, {layers} layers a block"
    return _work(name, model, loss, plain_flops(images, layers))


def plain_flops(images: int, layers: int) -> int:
    """FLOPs of a step of the plain U-Net."""
    return _counted(_plain_loss(images, layers, "meta")[1])


def _plain_loss(images: int, layers: int, device: str) -> tuple[nn.Module, Callable[[], Tensor]]:
    config, size = preset("tiny"), SIZES["tiny"]
    levels = len(config.block_out_channels)
    with torch.device(device):
        model = UNet2DConditionModel(
            sample_size=size,
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            block_out_channels=config.block_out_channels,
            layers_per_block=layers,
            down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
            attention_head_dim=config.attention_heads,
            cross_attention_dim=config.cross_attention_dim,
            norm_num_groups=config.norm_groups,
        )
        latents = torch.randn(images, config.latent_channels, size, size)
        tokens = torch.randn(images, foreground_tokens("tiny", config), config.cross_attention_dim)
    noise = torch.randn_like(latents)
    return model, lambda: (model(latents, 500, tokens).sample - noise).square().mean()


def _work(name: str, model: nn.Module, loss: Callable[[], Tensor], flops: int) -> Work:
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)

    def step() -> None:
        loss().backward()
        nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Work(name, step, flops, sum(p.numel() for p in trained))


def _counted(loss: Callable[[], Tensor]) -> int:
    counter = FlopCounterMode(display=False)
    with counter:
        loss().backward()
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
