"""What a GPU makes of the model: the training ladder rung by rung, and generation.

Each rung adds one thing to the one above it. Weights are random and latents are given, as they are
with `idol-prep encode`: what is timed is the model, its losses and the optimizer. Every rung is
written to the json as soon as it is known, and a rung that is there already is not run again.

    python bench/gpu.py --json gpu.json --minutes 8
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from idol.bench.report import PEAKS, SIZES
from idol.config import LossConfig, preset
from idol.config.model import PresetName, StageName
from idol.diffusion.conditions import Conditions
from idol.diffusion.sampling import sample
from idol.losses import training_losses
from idol.model.cost import build, example_inputs, forward_flops, step_flops

FRAMES = 8


@dataclass(frozen=True)
class Rung:
    """One setting of training; names what is on."""

    name: str
    preset: PresetName = "sd14"
    stage: StageName = "video"
    clips: int = 1
    tf32: bool = False
    bf16: bool = False
    channels_last: bool = False
    compile: bool = False
    checkpoint: bool = False


def ladder() -> Iterator[Rung]:
    """The rungs, most telling first."""
    rung = Rung("float32")
    yield rung
    yield (rung := replace(rung, name="+ TF32", tf32=True))
    yield (rung := replace(rung, name="+ bf16", bf16=True))
    for clips in (2, 4):
        yield replace(rung, name=f"bf16, {clips} clips", clips=clips)
    yield replace(rung, name="bf16, 16 clips, checkpointing", clips=16, checkpoint=True)
    yield replace(rung, name="image stage, bf16, 16 clips", stage="image", clips=16)
    yield (rung := replace(rung, name="+ channels-last", channels_last=True))
    small = Rung("", "tiny", tf32=True)
    for stage in ("image", "video"):
        for clips in (4, 64, 256):
            yield replace(small, name=f"tiny {stage}, {clips} clips", stage=stage, clips=clips)
    # Last, since compiling took two and a half minutes of an H100's ten.
    yield (rung := replace(rung, name="+ compiled", compile=True))
    yield replace(rung, name="compiled, 4 clips", clips=4)


def main() -> None:
    """Run what is asked for and print one line a rung."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="results; read and added to")
    parser.add_argument("--minutes", type=float, default=8, help="no rung begins after these")
    parser.add_argument("--only", default="", help="rungs whose name holds this")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    options = parser.parse_args()
    device = options.device
    found = json.loads(options.json.read_text()) if options.json.exists() else {}
    card = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    if found.setdefault("card", card) != card:
        parser.error(f"{options.json} is of {found['card']}, this is {card}: name another file")
    rungs, began = found.setdefault("rungs", {}), time.monotonic()
    jobs: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        (rung.name, lambda rung=rung: train_cost(rung, device)) for rung in ladder()
    ]
    jobs += [
        (
            f"generation, {steps} steps, {name}",
            lambda s=steps, c=compiled: sample_cost(s, c, device),
        )
        for steps, name, compiled in (
            (50, "bf16", False),
            (10, "bf16", False),
            (10, "compiled", True),
        )
    ]
    for name, job in jobs:
        if name in rungs or options.only not in name:
            continue
        if time.monotonic() - began > 60 * options.minutes:
            print(f"left out for want of time: {name}")
            continue
        try:
            rungs[name] = job()
        except torch.OutOfMemoryError:
            rungs[name] = {"out_of_memory": True}
        print(name, json.dumps(rungs[name]), flush=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
        gc.collect()
        torch._dynamo.reset()
        if device == "cuda":
            torch.cuda.empty_cache()


def train_cost(rung: Rung, device: str) -> dict[str, Any]:
    """Seconds a step, pictures a second, share of the card's half-precision peak, peak memory."""
    config, size = preset(rung.preset), SIZES[rung.preset]
    with precision(rung.tf32):
        model = build(config, rung.stage, device)
        if rung.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if rung.checkpoint:
            model.enable_gradient_checkpointing()
        if rung.compile:
            model.compile_repeated_blocks()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        inputs = clips_of(config, rung, size, device)
        noise = torch.randn_like(inputs["latents_BMFCHW"])
        settings = LossConfig(denoise_error=config.prediction)

        def step() -> None:
            autocast = torch.autocast(device, torch.bfloat16) if rung.bf16 else nullcontext()
            with autocast:
                output = model(**inputs, return_features=rung.stage == "video")
            times = inputs["timesteps_B"]
            noise_pred = output.noise_pred_BMFCHW.float()
            training_losses(noise_pred, noise, output.features, settings, times).total.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        seconds, first, peak = timed(step, device)
    frames = FRAMES if rung.stage == "video" else 1
    flops = rung.clips * step_flops(config, rung.stage, frames=FRAMES, size=size)
    return {
        **asdict(rung),
        "seconds": round(seconds, 5),
        "first_seconds": round(first, 2),
        "pictures_per_second": round(rung.clips * frames * 2 / seconds, 1),
        "tflops": round(flops / seconds / 1e12, 2),
        "of_peak": of_peak(flops / seconds, device),
        "peak_gb": round(peak / 1e9, 2),
    }


def sample_cost(steps: int, compiled: bool, device: str) -> dict[str, Any]:
    """Seconds for one clip of video and depth with guidance, as the paper times it."""
    config, size = preset("sd14"), SIZES["sd14"]
    with torch.no_grad(), precision(True):
        model = build(config, "video", device).to(torch.bfloat16)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            model.compile_repeated_blocks()
        inputs = example_inputs(
            config, "video", frames=FRAMES, size=size, device=device, dtype=torch.bfloat16
        )
        conditions = Conditions(
            encoded_foreground_BTD=inputs["encoded_foreground_BTD"],
            background_BCHW=inputs["background_BCHW"],
            pose_BFCHW=inputs["pose_BFCHW"],
        )
        noise = torch.randn_like(inputs["latents_BMFCHW"])
        seconds, first, peak = timed(
            lambda: sample(model, conditions, noise, steps=steps), device, repeats=3
        )
    flops = 2 * steps * forward_flops(config, "video", frames=FRAMES, size=size).total
    return {
        "steps": steps,
        "seconds": round(seconds, 3),
        "first_seconds": round(first, 2),
        "tflops": round(flops / seconds / 1e12, 2),
        "of_peak": of_peak(flops / seconds, device),
        "peak_gb": round(peak / 1e9, 2),
    }


def clips_of(config: Any, rung: Rung, size: int, device: str) -> dict[str, Any]:
    """Random inputs of several clips."""
    one = example_inputs(config, rung.stage, frames=FRAMES, size=size, device=device)
    return {
        name: torch.cat([value] * rung.clips) if isinstance(value, torch.Tensor) else value
        for name, value in one.items()
    }


def timed(
    function: Callable[[], object], device: str, repeats: int = 8
) -> tuple[float, float, int]:
    """Median and first seconds, and the most bytes at once, weights included."""

    def once() -> float:
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    first = once()
    once()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = statistics.median(once() for _ in range(repeats))
    return seconds, first, torch.cuda.max_memory_allocated() if device == "cuda" else 0


def of_peak(flops_per_second: float, device: str) -> float | None:
    """Share of the card's dense half-precision peak."""
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    return round(flops_per_second / peak, 4) if peak else None


@contextmanager
def precision(tf32: bool) -> Iterator[None]:
    """Whether float32 products may be rounded to TF32."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    yield


if __name__ == "__main__":
    main()
