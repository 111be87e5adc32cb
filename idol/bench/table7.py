"""Tab. 7 of the paper: what the systems that generate video and depth cost, at one setting.

The setting: one denoising step of one clip, 8 frames at 256x256 pixels unless told otherwise,
without guidance; what surrounds the steps (VAE, CLIP) is not counted. Parameters and FLOPs are
counted on the meta device; seconds and memory are measured, with a GPU of enough memory or with a
preset that fits the CPU.
"""

from __future__ import annotations

import dataclasses

import torch
from rich.console import Console
from rich.table import Table

from idol.bench.measure import measure
from idol.bench.sizes import SIZES
from idol.config import preset
from idol.config.bench import ModelBenchConfig
from idol.config.model import DualModalUNetConfig, PresetName
from idol.encoders import foreground_tokens
from idol.model import DualModalDenoiser
from idol.model.cost import example_inputs, flops_of, parameters
from idol.variants import VARIANTS, denoiser_class

__all__ = ["SYSTEMS", "print_table_7", "settings_of"]

# The rows, and the parameters that the paper prints.
SYSTEMS = {
    "ldm3d": ("LDM3D", "1.61 B"),
    "mm-diffusion": ("MM-Diffusion", "2.78 B"),
    "idol": ("IDOL", "1.41 B"),
}


def settings_of(name: PresetName, system: str) -> DualModalUNetConfig:
    """A system's configuration at a preset's sizes."""
    return dataclasses.replace(preset(name), **VARIANTS[system].model)


def print_table_7(options: ModelBenchConfig, device: str, console: Console) -> None:
    """Print parameters and FLOPs of all systems in each preset, and costs of those to be timed."""
    for name in options.presets:
        size = options.size or SIZES[name]
        timed = name in options.timed
        where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
        title = f"Tab. 7, {name}: one denoising step of a clip of {options.frames} frames, "
        title += f"latent {size}x{size}, without guidance"
        table = Table(title=title + (f"; {options.dtype} on {where}" if timed else ""))
        for column in ("system", "paper"):
            table.add_column(column)
        for column in ("parameters", "FLOPs", *(("seconds", "MB") if timed else ())):
            table.add_column(column, justify="right")
        for system, (title, paper) in SYSTEMS.items():
            model, inputs = _built(name, system, options, size, "meta")
            cells = [f"{parameters(model):,}", f"{flops_of(model, inputs) / 1e12:.3f} T"]
            if timed:
                cells += _timed(name, system, options, size, device)
            table.add_row(title, paper if name == "sd14" else "", *cells)
        console.print(table)


def _built(
    name: PresetName, system: str, options: ModelBenchConfig, size: int, device: str
) -> tuple[DualModalDenoiser, dict[str, object]]:
    settings, dtype = settings_of(name, system), getattr(torch, options.dtype)
    with torch.device(device):
        model = denoiser_class(system, "video").from_config(settings).to(dtype).eval()
    inputs = example_inputs(
        settings,
        "video",
        frames=options.frames,
        size=size,
        tokens=foreground_tokens(name, settings),
        device=device,
        dtype=dtype,
    )
    return model, inputs


def _timed(
    name: PresetName, system: str, options: ModelBenchConfig, size: int, device: str
) -> list[str]:
    model, inputs = _built(name, system, options, size, device)
    if options.compile:
        model.compile_repeated_blocks()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())

    def forward() -> None:
        with torch.no_grad():
            model(**inputs)

    once = measure(forward, device)
    return [f"{once.seconds:.3f}", f"{(once.peak_bytes + weights) / 1e6:,.0f}"]
