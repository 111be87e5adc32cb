"""What a step gives an accelerator to do, counted without one: launches, bytes, waits of the host.

    python bench/launches.py --json launches.json
    python bench/launches.py --stages video --precisions bf16

A step of each stage of the paper's model, and a guided denoising step of generation: noise, forward
with features, losses, backward, clipping and AdamW, as `idol.train.loop` takes them, with random
latents. The model has the paper's widths, heads and latents at half its depth (`--depth full` for
all of it). How long it takes is not said: see `bench/gpu.py`. Counting takes some twenty seconds of
a core for a step of video.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from idol.bench.dispatch import Counts, counting
from idol.bench.sizes import SIZES
from idol.config import LossConfig, preset
from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.data.preparation import LatentBatch
from idol.diffusion import schedule
from idol.diffusion.conditions import Conditions
from idol.diffusion.noise import Randomness
from idol.diffusion.sampling import guided_noise
from idol.encoders import CLIP_TOKENS, foreground_tokens
from idol.losses import blockwise
from idol.model import change, encoder
from idol.model.cost import build, example_inputs
from idol.train.half import run_in_half
from idol.train.loop import step_losses

STAGES: tuple[StageName, ...] = ("pretrain", "image", "video")
PRECISIONS = ("float32", "bf16", "bf16 by autocast")
FRAMES = 8


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="sd14", choices=("sd14", "tiny"))
    parser.add_argument("--depth", default="half", choices=("half", "full"))
    parser.add_argument("--clips", type=int, default=1, help="clips of a pass")
    parser.add_argument("--stages", nargs="+", choices=(*STAGES, "generation"))
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS[:2], choices=PRECISIONS)
    parser.add_argument("--json", type=Path, help="where to write all counts")
    options = parser.parse_args(arguments)
    config = model_of(options.preset, options.depth)
    clip = {"size": SIZES[options.preset], "tokens": foreground_tokens(options.preset, config)}
    found: dict[str, Any] = {}
    print(HEAD, flush=True)
    for stage in options.stages or (*STAGES, "generation"):
        waits = None
        if stage != "generation":
            waits = step_waits(config, stage, **clip, clips=options.clips)
        for precision in options.precisions:
            if stage == "generation":
                counts = {"forward": denoising_counts(config, precision, **clip)}
            else:
                counts = step_counts(config, stage, precision, **clip, clips=options.clips)
            name = f"{stage}, {precision}"
            found[name] = {"waits": waits, **{k: v.as_json() for k, v in counts.items()}}
            print(row(name, found[name]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(found, indent=1) + "\n")


def model_of(name: PresetName, depth: str) -> DualModalUNetConfig:
    """A preset's model, or one with half of its units a level."""
    config = preset(name)
    layers = config.layers_per_block if depth == "full" else max(1, config.layers_per_block // 2)
    return dataclasses.replace(config, layers_per_block=layers)


def step_counts(
    config: DualModalUNetConfig,
    stage: StageName,
    precision: str,
    *,
    size: int,
    tokens: int = CLIP_TOKENS,
    clips: int = 1,
) -> dict[str, Counts]:
    """Counts of a step's parts: `forward` (with noise and losses), `backward`, `update`."""
    noises = schedule.noise_schedule()
    with as_on_accelerators():
        model, batch = example(config, stage, "cpu", size=size, tokens=tokens, clips=clips)
        convert(model, memory_format=torch.channels_last)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, fused=True)
        loss = LossConfig(denoise_error=config.prediction)
        if precision == "bf16":
            run_in_half(model, torch.bfloat16)
        with counting() as forward, autocast(precision == "bf16 by autocast"):
            losses, _ = step_losses(model, batch, Randomness(0), noises, loss)
        with counting() as backward:
            losses.total.backward()
        optimizer.step()  # what is made in the first step alone
        with counting() as update:
            nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
            optimizer.step()
    return {"forward": forward, "backward": backward, "update": update}


def denoising_counts(
    config: DualModalUNetConfig, precision: str, *, size: int, tokens: int = CLIP_TOKENS
) -> Counts:
    """Counts of a denoising step of a clip with guidance, without the scheduler's."""
    with as_on_accelerators(), torch.no_grad():
        model, batch = example(config, "video", "cpu", size=size, tokens=tokens)
        latents = batch.latents_BMFCHW
        if precision != "float32":  # as `IdolPipeline` has its weights
            convert(model, dtype=torch.bfloat16)
            latents = latents.bfloat16()
            conditions = {
                k: v.bfloat16() for k, v in vars(batch.conditions).items() if v is not None
            }
            batch = dataclasses.replace(batch, conditions=Conditions(**conditions))
        times = torch.full((1,), 500)
        with counting() as forward:
            guided_noise(model, latents, times, batch.conditions, guidance=1.5)
    return forward


def step_waits(
    config: DualModalUNetConfig,
    stage: StageName,
    *,
    size: int,
    tokens: int = CLIP_TOKENS,
    clips: int = 1,
) -> dict[str, int]:
    """What makes the host wait in noise, forward, losses and backward, with gradients' norm.

    The model is on the meta device, which can tell no number; its inputs too, as they are after
    preparation; noise is drawn on the host. Copies that were never waited for are not in it.
    """
    model, batch = example(config, stage, "meta", size=size, tokens=tokens, clips=clips)
    trained = [p for p in model.parameters() if p.requires_grad]
    loss = LossConfig(denoise_error=config.prediction)
    noises = schedule.noise_schedule()

    def step() -> None:
        losses, _ = step_losses(model, batch, Randomness(0), noises, loss)
        losses.total.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)

    step()  # what is made once is made now
    with counting(host="cpu") as counts:
        step()
    return dict(counts.waits)


def convert(model: nn.Module, **options: Any) -> None:
    """As `model.to(...)`, which cannot change tensors without numbers in place."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim == 4 or "memory_format" not in options:
                changed = nn.Parameter(parameter.detach().to(**options), parameter.requires_grad)
                setattr(module, name, changed)


def example(
    config: DualModalUNetConfig,
    stage: StageName,
    device: str,
    *,
    size: int,
    tokens: int = CLIP_TOKENS,
    clips: int = 1,
) -> tuple[nn.Module, LatentBatch]:
    """A model with random weights, and a prepared batch for it."""
    model = build(config, stage, device)
    inputs = example_inputs(config, stage, frames=FRAMES, size=size, tokens=tokens, device=device)
    one = {k: torch.cat([v] * clips) for k, v in inputs.items() if isinstance(v, torch.Tensor)}
    conditions = Conditions(
        one["encoded_foreground_BTD"], one["background_BCHW"], one.get("pose_BFCHW")
    )
    return model, LatentBatch(
        tuple(map(str, range(clips))),
        one["latents_BMFCHW"],
        conditions,
        inputs["modalities"],
        tuple(range(clips)),
    )


@contextmanager
def as_on_accelerators() -> Iterator[None]:
    """Tensors without numbers, and the losses in the blocks that they take on accelerators."""
    entries = blockwise._ENTRIES.copy()
    blockwise._ENTRIES.clear()
    # What is made once would be without numbers for whoever comes later.
    made_once = (
        *(encoder._labels, encoder._frequencies),
        *(change._channels, schedule._signal_fractions),
    )
    try:
        for function in made_once:
            function.cache_clear()
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        blockwise._ENTRIES.update(entries)
        for function in made_once:
            function.cache_clear()


@contextmanager
def autocast(on: bool) -> Iterator[None]:
    """What CUDA's autocast makes of a forward pass: to compare with."""
    norms = _FloatNorms() if on else nullcontext()
    with torch.autocast("cpu", torch.bfloat16, enabled=on), norms:
        yield


class _FloatNorms(TorchFunctionMode):
    """CUDA's autocast computes norms in float32, that of CPUs in what they are given."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in (F.group_norm, F.layer_norm):
            args = (args[0].float(), *args[1:])
        return function(*args, **(kwargs or {}))


HEAD = """\
| | launches | of these copies | GB read and written | GB copied | waits |
|---|---|---|---|---|---|"""


def row(name: str, parts: dict[str, Any]) -> str:
    """The counts of a step as a row of a table of Markdown."""
    waits = parts["waits"]
    counts = [part for key, part in parts.items() if key != "waits"]
    launches, copies, moved, copied = (
        sum(part[key] for part in counts)
        for key in ("launches", "copies", "gigabytes", "gigabytes_copied")
    )
    shown = "" if waits is None else sum(waits.values())
    return f"| {name} | {launches} | {copies} | {moved:.1f} | {copied:.1f} | {shown} |"


if __name__ == "__main__":
    main()
