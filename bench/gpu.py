"""What a GPU makes of the model: is it right, how fast does it train and generate, and why.

    python bench/gpu.py --json gpu.json                       # ten minutes at most; again: the rest
    python bench/gpu.py --json gpu.json --write docs/training.md      # its tables, into a document

First a small model's losses and a sampled clip against the CPU's, in each precision; then training,
rung by rung, each with one thing more than the one above it; then generation. Weights are random,
and latents given, as they are with `idol-prep encode`, but where a rung says otherwise. All is
written to the json as soon as it is known, and what is there already is not run again (what failed
is, with `--retry`).
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from idol.bench.dispatch import counting
from idol.bench.gpu_tables import tables, written_into
from idol.bench.report import PEAKS
from idol.config import LossConfig, preset
from idol.config.model import DualModalUNetConfig, StageName
from idol.data.preparation import LatentBatch
from idol.diffusion.conditions import Conditions
from idol.diffusion.graphed import GraphedDenoiser
from idol.diffusion.sampling import predict, sample
from idol.encoders import CLIP_TOKENS
from idol.errors import first_line
from idol.losses import Losses, training_losses
from idol.model import flash
from idol.model.cost import build, example_inputs, forward_flops, step_flops
from idol.precision import round_to_tf32
from idol.recording import cuda_graph
from idol.train.graph import GraphedLosses
from idol.train.half import run_in_half

Precision = Literal["float32", "tf32", "bf16", "fp16", "bf16 by autocast"]

# Relative errors of losses, of gradients as a whole, and of a sampled clip's latents.
TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "tf32": 1e-2, "bf16": 5e-2, "fp16": 1e-2}


@dataclass(frozen=True)
class Scale:
    """How large a run is. `smoke` proves on a CPU that every rung's code runs."""

    config: DualModalUNetConfig
    size: int
    frames: int
    repeats: int
    vae_channels: tuple[int, ...]
    compiler: str = "inductor"


_FEW = DualModalUNetConfig(
    block_out_channels=(16, 32),
    attention_levels=(True, False),
    layers_per_block=1,
    attention_heads=2,
    norm_groups=4,
    cross_attention_dim=12,
    foreground_dim=20,
)
SCALES = {
    "full": Scale(preset("sd14"), 32, 8, 8, (128, 256, 512, 512)),
    "smoke": Scale(_FEW, 8, 2, 1, (8, 8, 8, 8), "eager"),
}


@dataclass(frozen=True)
class Rung:
    """One setting of training; names what is on."""

    name: str
    stage: StageName = "video"
    clips: int = 1
    precision: Precision = "float32"
    channels_last: bool = False
    padded_heads: bool = False
    compile: bool = False
    graph: bool = False
    checkpoint: bool = False
    encodes: bool = False


def ladder() -> Iterator[Rung]:
    """The rungs, most telling first."""
    rung = Rung("float32")
    yield rung
    yield (rung := replace(rung, name="TF32", precision="tf32"))
    yield replace(rung, name="bf16 by autocast", precision="bf16 by autocast")
    yield (rung := replace(rung, name="bf16 by copies, flash attention", precision="bf16"))
    yield (rung := replace(rung, name="+ channels-last", channels_last=True))
    for clips in (2, 4, 8):
        yield replace(rung, name=f"{clips} clips a pass", clips=clips)
    yield replace(rung, name="8 clips, checkpointing", clips=8, checkpoint=True)
    yield replace(rung, name="4 clips, images in place of latents", clips=4, encodes=True)
    yield replace(rung, name="4 clips, heads padded to 64", clips=4, padded_heads=True)
    for clips in (1, 4, 8):
        yield replace(rung, name=f"CUDA graph, {clips} a pass", clips=clips, graph=True)
    for stage in ("image", "pretrain"):
        rung = replace(rung, stage=stage, clips=16)
        yield replace(rung, name=f"{stage} stage, 16 clips")
        yield replace(rung, name=f"{stage} stage, 16 clips, CUDA graph", graph=True)
    rung = replace(rung, stage="video")
    # Last, since compiling took two and a half minutes of an H100's ten.
    yield replace(rung, name="compiled, 4 clips", clips=4, compile=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for and print one line for each thing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="results; read and added to")
    parser.add_argument("--minutes", type=float, default=8, help="nothing begins after these")
    parser.add_argument("--only", default="", help="things whose name holds this")
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--scale", default="full", choices=SCALES)
    parser.add_argument("--write", type=Path, help="a document with the marks of the tables")
    options = parser.parse_args(arguments)
    found = json.loads(options.json.read_text()) if options.json.exists() else {}
    if options.write:
        options.write.write_text(written_into(options.write.read_text(), found))
        return
    device, scale = options.device, SCALES[options.scale]
    card = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    about = {"card": card, "torch": torch.__version__, "scale": options.scale}
    if found.setdefault("about", about) != about:
        parser.error(f"{options.json} is of {found['about']}, this is {about}: name another file")
    results, began = found.setdefault("results", {}), time.monotonic()
    for name, job in jobs(scale, device):
        if options.only not in name or (name in results and not options.retry):
            continue
        if "error" not in results.get(name, {"error": ""}):
            continue
        if time.monotonic() - began > 60 * options.minutes:
            print(f"left for the next time: {name}")
            continue
        flash.HEAD_MULTIPLE = 8
        try:
            results[name] = job()
        except Exception as error:  # the next thing may work, and minutes are few
            results[name] = {"error": f"{type(error).__name__}: {first_line(error)[:300]}"}
        print(name, json.dumps(results[name]), flush=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
        gc.collect()
        torch._dynamo.reset()
        if device == "cuda":
            torch.cuda.empty_cache()
    print(tables(found))


def jobs(scale: Scale, device: str) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Everything that is run, by its name."""
    for precision in TOLERANCES:
        if precision == "fp16" and device == "cpu":  # where it takes minutes
            continue
        yield f"right: {precision}", lambda p=precision: agreement(p, device, compiled=False)
    for rung in ladder():
        yield f"train: {rung.name}", lambda r=rung: train_cost(r, scale, device)
    for steps, guidance, how in (
        *((50, 1.5, "CUDA graph"), (10, 1.5, "CUDA graph"), (4, 1.0, "CUDA graph")),
        *((10, 1.5, ""), (4, 1.0, ""), (10, 1.5, "compiled")),
    ):
        name = f"{steps} steps{', ' if how else ''}{how}"
        name += "" if guidance != 1 else ", no guidance (as distilled models)"
        yield (
            f"generate: {name}",
            lambda s=steps, g=guidance, h=how: sample_cost(s, g, h, scale, device),
        )
    yield "right: bf16, compiled", lambda: agreement("bf16", device, compiled=True, scale=scale)


# --- Is it right?


def agreement(
    precision: Precision, device: str, *, compiled: bool, scale: Scale | None = None
) -> dict[str, Any]:
    """Relative errors against float32 on the CPU: of a step's loss and gradients, and of a clip."""
    config = dataclasses.replace(
        _FEW, block_out_channels=(64, 128), attention_heads=4, norm_groups=8
    )
    torch.manual_seed(0)
    exact = build(config, "video", "cpu")
    with torch.no_grad():
        for p in exact.parameters():
            p.add_(0.02 * torch.randn_like(p))
    inputs = clips_of(config, "video", 2, 2, 16, "cpu")
    noise = torch.randn_like(inputs["latents_BMFCHW"])
    expected = loss_gradient_clip(exact, inputs, noise)

    other = build(config, "video", "cpu")
    other.load_state_dict(exact.state_dict())
    other.to(device)
    if compiled:
        other.compile_repeated_blocks(backend=scale.compiler if scale else "inductor")
    if precision == "bf16":
        run_in_half(other, torch.bfloat16)
    there = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in inputs.items()}
    # Training in fp16 is by autocast, and its scaler's.
    cast = torch.autocast(device, torch.float16) if precision == "fp16" else nullcontext()
    with rounded(precision), cast:
        found = loss_gradient_clip(other, there, noise.to(device))
    errors = {
        name: round(float((a.cpu() - b).norm() / b.norm()), 6)
        for name, a, b in zip(("loss", "gradient", "clip"), found, expected, strict=True)
    }
    allowed = TOLERANCES[precision]
    return {**errors, "allowed": allowed, "right": max(errors.values()) <= allowed}


def loss_gradient_clip(
    model: nn.Module, inputs: dict[str, Any], noise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    output = model(**inputs, return_features=True)
    total = training_losses(
        output.noise_pred_BMFCHW.float(), noise, output.features, LossConfig()
    ).total
    total.backward()
    grads = [p.grad.flatten().float() for p in model.parameters() if p.grad is not None]
    clip = sample(model, conditions_of(inputs), noise, steps=4)
    return total.detach(), torch.cat(grads), clip.float()


# --- How fast does it train?


def train_cost(rung: Rung, scale: Scale, device: str) -> dict[str, Any]:
    """Seconds a step, pictures a second, share of the card's half-precision peak, and why."""
    config, frames = scale.config, scale.frames
    model = build(config, rung.stage, device)
    if rung.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if rung.checkpoint:
        model.enable_gradient_checkpointing()
    if rung.compile:
        model.compile_repeated_blocks(backend=scale.compiler)
    if rung.precision == "bf16":
        run_in_half(model, torch.bfloat16)
    flash.HEAD_MULTIPLE = 64 if rung.padded_heads else 8
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    inputs = clips_of(config, rung.stage, rung.clips, frames, scale.size, device)
    noise = torch.randn_like(inputs["latents_BMFCHW"])
    encode = encoder(scale, rung, device) if rung.encodes else lambda: None
    by_autocast = rung.precision == "bf16 by autocast"
    batch = LatentBatch(("",), noise, conditions_of(inputs), inputs["modalities"])

    def losing(batch: LatentBatch, timesteps_B: Tensor, noise_BMFCHW: Tensor) -> Losses:
        output = predict(
            model,
            batch.latents_BMFCHW,
            timesteps_B,
            batch.conditions,
            modalities=batch.modalities,
            return_features=rung.stage != "pretrain",
        )
        return training_losses(
            output.noise_pred_BMFCHW.float(), noise_BMFCHW, output.features, LossConfig()
        )

    graphed = (
        GraphedLosses(losing, trained, cuda_graph) if rung.graph and device == "cuda" else None
    )

    def step() -> None:
        encode()
        given = (batch, inputs["timesteps_B"], noise)
        with torch.autocast(device, torch.bfloat16) if by_autocast else nullcontext():
            total = graphed(*given)[0] if graphed else losing(*given).total
        total.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    with rounded(rung.precision):
        seconds, first, peak = timed(step, device, scale.repeats)
        launched = what_it_launches(step, device, compiled=rung.compile)
    pictures = rung.clips * len(inputs["modalities"]) * (frames if rung.stage == "video" else 1)
    flops = rung.clips * step_flops(
        config, rung.stage, frames=frames, size=scale.size, tokens=CLIP_TOKENS
    )
    return {
        **asdict(rung),
        "seconds": round(seconds, 5),
        "first_seconds": round(first, 2),
        "pictures_per_second": round(pictures / seconds, 1),
        "teraflop": round(flops / 1e12, 3),
        "of_peak": of_peak(flops / seconds, device),
        "peak_gb": round(peak / 1e9, 2),
        **launched,
    }


def encoder(scale: Scale, rung: Rung, device: str) -> Callable[[], object]:
    """What a step encodes without cached latents: frames of three kinds and a background."""
    pixels = 8 * scale.size
    vae = AutoencoderKL(
        block_out_channels=scale.vae_channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=min(32, scale.vae_channels[0]),
    )
    vae = (
        vae.to(device, torch.bfloat16 if rung.precision == "bf16" else torch.float32)
        .requires_grad_(False)
        .eval()
    )
    images = torch.rand(16, 3, pixels, pixels, device=device, dtype=vae.dtype)
    count = rung.clips * (3 * scale.frames + 1)

    def encode() -> None:
        for first in range(0, count, len(images)):
            vae.encode(images[: min(len(images), count - first)])

    return encode


def what_it_launches(step: Callable[[], object], device: str, *, compiled: bool) -> dict[str, Any]:
    """Operations; and on a GPU kernels, their seconds, and those in which the host gave them."""
    found: dict[str, Any] = {}
    if not compiled:  # which counting would undo
        with counting() as counts:
            step()
        found["operations"] = counts.total
    if device != "cuda":
        return found
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        start = time.perf_counter()
        step()
        given = time.perf_counter() - start
        torch.cuda.synchronize()
    kernels = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(e.device_time_total for e in kernels) / 1e6
    return found | {
        "kernels": len(kernels),
        "device_seconds": round(busy, 5),
        "host_seconds": round(given, 5),
    }


# --- How fast does it generate?


def sample_cost(steps: int, guidance: float, how: str, scale: Scale, device: str) -> dict[str, Any]:
    """Seconds for one clip of video and depth without decoding, as the paper times it."""
    config, dtype = scale.config, torch.bfloat16
    with torch.no_grad(), rounded("tf32"):
        model = build(config, "video", device).to(dtype)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if how == "compiled":
            model.compile_repeated_blocks(backend=scale.compiler)
        graphed = how == "CUDA graph" and device == "cuda"
        denoiser = GraphedDenoiser(model) if graphed else model
        inputs = example_inputs(
            config,
            "video",
            frames=scale.frames,
            size=scale.size,
            tokens=CLIP_TOKENS,
            device=device,
            dtype=dtype,
        )
        noise, conditions = torch.randn_like(inputs["latents_BMFCHW"]), conditions_of(inputs)
        seconds, first, peak = timed(
            lambda: sample(denoiser, conditions, noise, steps=steps, guidance=guidance),
            device,
            min(3, scale.repeats),
        )
    forwards = steps * (1 if guidance == 1 else 2)
    counted = forward_flops(
        config, "video", frames=scale.frames, size=scale.size, tokens=CLIP_TOKENS
    )
    flops = forwards * counted.total
    return {
        "steps": steps,
        "guidance": guidance,
        "how": how,
        "seconds": round(seconds, 4),
        "first_seconds": round(first, 2),
        "frames_per_second": round(scale.frames / seconds, 2),
        "teraflop": round(flops / 1e12, 2),
        "of_peak": of_peak(flops / seconds, device),
        "peak_gb": round(peak / 1e9, 2),
    }


# --- What all of them need


def clips_of(
    config: DualModalUNetConfig, stage: StageName, clips: int, frames: int, size: int, device: str
) -> dict[str, Any]:
    """Random inputs of several clips."""
    one = example_inputs(config, stage, frames=frames, size=size, tokens=CLIP_TOKENS, device=device)
    return {
        name: torch.cat([value] * clips) if isinstance(value, Tensor) else value
        for name, value in one.items()
    }


def conditions_of(inputs: dict[str, Any]) -> Conditions:
    return Conditions(
        inputs["encoded_foreground_BTD"], inputs["background_BCHW"], inputs["pose_BFCHW"]
    )


def timed(function: Callable[[], object], device: str, repeats: int) -> tuple[float, float, int]:
    """Median and first seconds, and the most bytes at once, weights included."""

    def once() -> float:
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    first = once()
    if device == "cuda":
        once()
        torch.cuda.reset_peak_memory_stats()
    seconds = statistics.median(once() for _ in range(repeats))
    return seconds, first, torch.cuda.max_memory_allocated() if device == "cuda" else 0


def of_peak(flops_per_second: float, device: str) -> float | None:
    """Share of the card's dense half-precision peak."""
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    return round(flops_per_second / peak, 4) if peak else None


@contextmanager
def rounded(precision: Precision) -> Iterator[None]:
    """Whether float32 products may be rounded to TF32."""
    round_to_tf32(precision != "float32")
    yield


if __name__ == "__main__":
    main()
