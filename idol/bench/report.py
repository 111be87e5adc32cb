"""The tables of `idol-bench model`."""

import sys

import torch
from rich.console import Console
from rich.table import Table

from idol.bench.measure import measure
from idol.bench.sizes import SIZES
from idol.bench.table7 import print_table_7
from idol.config import DualModalUNetConfig, LossConfig, preset
from idol.config.bench import ModelBenchConfig
from idol.config.checks import ConfigError
from idol.config.model import PresetName, StageName
from idol.encoders import foreground_tokens
from idol.losses import training_losses
from idol.model.cost import (
    build,
    example_inputs,
    forward_flops,
    parameters,
    step_flops,
)

__all__ = ["paper_table", "print_report"]

STAGES: tuple[StageName, ...] = ("pretrain", "image", "video")

# Dense half-precision matrix peaks in FLOP/s, by what a device calls itself.
PEAKS = {"V100": 125e12, "A100": 312e12, "H100": 989e12, "H200": 989e12}


def print_report(options: ModelBenchConfig, console: Console | None = None) -> None:
    """Print parameters beside the paper's, then costs per stage of each preset.

    Raises ConfigError for a GPU that is not there.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: there is no GPU; use cpu or auto")
    if options.table == 7:
        print_table_7(options, device, console)
        return
    console.print(paper_table(preset("sd14")))
    for name in options.presets:
        console.print(flops_table(name, options))
        if name in options.timed:
            console.print(time_table(name, options, device))


def paper_table(config: DualModalUNetConfig) -> Table:
    """The paper's parameter columns (Tab. 4 and 7) beside ours."""
    model = build(config, "video", "meta")
    embeddings = sum(
        parameters(module) for name, module in model.named_modules() if "modality_embed" in name
    )
    background = parameters(model.unet.background_conv)
    exchange = sum(parameters(m) for n, m in model.named_modules() if n.endswith("cross_modal"))
    unet = parameters(model.unet) - exchange - background - embeddings // 2
    controlnet = parameters(model.controlnet) - embeddings // 2
    projection = parameters(model.foreground_projection)
    table = Table(title="Parameters: the paper's column and ours (VAE and CLIP not counted)")
    for column in ("setting", "paper"):
        table.add_column(column)
    table.add_column("ours", justify="right")
    for setting, paper, ours in (
        ("3D U-Net", "", unet),
        ("3D pose ControlNet", "", controlnet),
        ("Separate U-Nets (Tab. 4)", "2 x 1.39B", 2 * (unet + controlnet)),
        ("Shared U-Net (Tab. 4)", "1.39B", unet + controlnet),
        ("cross-modal attention", "", exchange),
        ("background convolution", "", background),
        ("modality embeddings", "", embeddings),
        ("CLIP projection", "", projection),
        ("+ cross-modal attention (Tab. 4, 7)", "1.41B", parameters(model)),
    ):
        table.add_row(setting, paper, f"{ours:,}")
    return table


def flops_table(name: PresetName, options: ModelBenchConfig) -> Table:
    """Trained parameters and the FLOPs of a forward pass, for each stage of a preset."""
    config, size = preset(name), options.size or SIZES[name]
    tokens = foreground_tokens(name, config)
    table = Table(title=f"{name}: forward FLOPs of one clip, {_clip(options, size)}")
    table.add_column("stage")
    for column in ("trained", "U-Net", "cross-modal", "ControlNet", "together"):
        table.add_column(column, justify="right")
    for stage in STAGES:
        flops = forward_flops(config, stage, frames=options.frames, size=size, tokens=tokens)
        model = build(config, stage, "meta")
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        counts = (flops.unet, flops.cross_modal, flops.controlnet, flops.total)
        table.add_row(stage, f"{trained:,}", *map(_flops, counts))
    return table


def time_table(name: PresetName, options: ModelBenchConfig, device: str) -> Table:
    """Time and peak memory of a forward pass and of a training step, for each stage."""
    config, size = preset(name), options.size or SIZES[name]
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    title = f"{name}: {options.dtype} on {where}, {_clip(options, size)}"
    table = Table(title=f"{title}; memory beyond the weights")
    table.add_column("stage")
    for column in ("forward s", "forward MB", "step s", "step MB", "step FLOPs", "of peak"):
        table.add_column(column, justify="right")
    tokens = foreground_tokens(name, config)
    for stage in STAGES:
        total = step_flops(config, stage, frames=options.frames, size=size, tokens=tokens)
        table.add_row(stage, *_timed_cells(config, stage, options, device, size, tokens, total))
    return table


def _timed_cells(
    config: DualModalUNetConfig,
    stage: StageName,
    options: ModelBenchConfig,
    device: str,
    size: int,
    tokens: int,
    total_flops: int,
) -> list[str]:
    dtype = getattr(torch, options.dtype)
    layout = torch.channels_last if options.channels_last else torch.preserve_format
    model = build(config, stage, device).to(dtype).to(memory_format=layout)
    if options.checkpoint:
        model.enable_gradient_checkpointing()
    if options.compile:
        model.compile_repeated_blocks()
    inputs = example_inputs(
        config,
        stage,
        frames=options.frames,
        size=size,
        tokens=tokens,
        device=device,
        dtype=dtype,
    )
    noise, times = torch.randn_like(inputs["latents_BMFCHW"]), inputs["timesteps_B"]
    loss = LossConfig(denoise_error=config.prediction)

    def forward() -> None:
        with torch.no_grad():
            model(**inputs)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        output = model(**inputs, return_features=stage == "video")
        predicted = output.noise_pred_BMFCHW
        training_losses(predicted, noise, output.features, loss, times).total.backward()

    once, both = measure(forward, device), measure(step, device)
    model.zero_grad(set_to_none=True)
    device_name = torch.cuda.get_device_name() if device == "cuda" else ""
    peak = next((value for key, value in PEAKS.items() if key in device_name), None)
    fraction = f"{total_flops / both.seconds / peak:.0%}" if peak else "-"
    return [
        f"{once.seconds:.3f}",
        f"{once.peak_bytes / 1e6:,.0f}",
        f"{both.seconds:.3f}",
        f"{both.peak_bytes / 1e6:,.0f}",
        _flops(total_flops),
        fraction,
    ]


def _clip(options: ModelBenchConfig, size: int) -> str:
    return f"latent {size}x{size}, {options.frames} frames in stage video"


def _flops(count: int) -> str:
    if count == 0:
        return "-"
    return f"{count / 1e12:.3f} T" if count >= 1e10 else f"{count / 1e9:.3f} G"
