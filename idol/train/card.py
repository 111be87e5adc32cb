"""The card of a trained model, in the model hub's format: what it learned from, how, and how well.

It is a function of the run's settings, data and logs: a run that was stopped and resumed has the
card of one that was not.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from idol.config.presets import defaults
from idol.config.train import TrainConfig
from idol.data.datasets import Datasets
from idol.errors import IdolError
from idol.model_info import ModelInfo
from idol.train.before import settings_before
from idol.train.log import VALIDATION, read_json_lines
from idol.variants import variant_called
from shards.reader import Dataset

__all__ = ["CARD", "command_of", "model_card"]

CARD = "README.md"
_PREFIXES = {n: f"{n}." for n in ("loss", "model", "autoencoder", "distill")}
_PARTS = ("data", "optimizer", "run", *_PREFIXES)
_FIRST = (
    "init_from", "base", "vae", "patch", "image_encoder", "motion_adapter", "pose_adapter",
)  # fmt: skip
_STAGES = {
    "pretrain": "single images, without depth and pose",
    "image": "one frame at a time, with depth",
    "video": "clips, with depth",
    "distill": "clips, with depth, in a few steps",
}


def model_card(config: TrainConfig, data: Datasets, info: ModelInfo, processes: int) -> str:
    """The text of README.md in the model's folder."""
    name = f"idol-{config.preset}-{config.stage}"
    sections = [
        _header(config),
        f"# {name}\n{_what(config, info)}",
        f"## Data\n{''.join(_data(config, data))}",
        f"## Training\n{_training(config, info, processes)}",
        f"## Scores\n{_scores(config)}",
        f"## Limits\n{''.join(_limits(config, info))}",
        f"## Use\n{_use(config)}",
    ]
    return "\n".join(sections)


def command_of(config: TrainConfig) -> list[str]:
    """The command line that a run's configuration is, without the command's name: what is as the
    stage, the preset and what it starts from have it is left out, and so is how it is reported."""
    before = None
    with suppress(IdolError, OSError):  # it may be gone by the end
        before = settings_before(config.init_from, config.base, config.variant)
    start = defaults(
        config.stage, config.preset, shards=config.shards, output=config.output,
        model=before, patch=config.patch,
    )  # fmt: skip
    # Without it the preset's own clips a step would hold.
    told = {"accumulation"} if start.run.clips_per_step and not config.run.clips_per_step else set()
    given = ["--stage", config.stage, "--preset", config.preset]
    if config.variant != TrainConfig.variant:
        given += ["--variant", config.variant]
    given += ["--shards", *config.shards]
    for name in _FIRST:
        given += _option(name, getattr(config, name), None)
    for part in _PARTS:
        now, usual = getattr(config, part), getattr(start, part)
        for field in dataclasses.fields(now):
            option = _PREFIXES.get(part, "") + field.name
            left_out = None if option in told else getattr(usual, field.name)
            given += _option(option, getattr(now, field.name), left_out)
    return [*given, "--output", str(config.output)]


def _option(name: str, value: Any, usual: Any) -> list[str]:
    if value == usual or value is None:
        return []
    option = name.replace("_", "-")
    if isinstance(value, bool):
        part, _, field = option.rpartition(".")
        return [f"--{option}" if value else f"--{part}{'.' * bool(part)}no-{field}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{option}", *map(str, values)]


def _header(config: TrainConfig) -> str:
    tags = ["idol", "human-video-generation", "depth-estimation"]
    lines = "".join(f"- {tag}\n" for tag in tags)
    return (
        "---\nlibrary_name: diffusers\npipeline_tag: text-to-video\n"
        f"tags:\n{lines}"
        "license: other\nlicense_name: that-of-its-data-and-base-weights\n---"
    )


def _what(config: TrainConfig, info: ModelInfo) -> str:
    variant = variant_called(config.variant)
    depth = "the person" if info.depth.kind == "person" else "the whole frame"
    unit = "relative: nearer and farther, no unit"
    if info.depth.near is not None:
        unit = f"in metres, {info.depth.near:g} to {info.depth.far:g}"
    frames = f"{info.frames} frames of " if info.frames > 1 else ""
    return (
        f"From a person, a place and drawn skeletons to frames and their depth: {frames}"
        f"{info.size}x{info.size} pixels, depth of {depth}, {unit}.\n\n"
        f"Preset {config.preset}, variant {config.variant} ({variant.summary.rstrip('.')}), "
        f"stage {config.stage} ({_STAGES[config.stage]}), after {info.step} steps.\n"
    )


def _data(config: TrainConfig, data: Datasets) -> Iterator[str]:
    mixture = data.mixture
    yield "| dataset | clips: train, val | annotators | fingerprint |\n|---|---|---|---|\n"
    weights = mixture.weights or (None,) * len(mixture.datasets)
    for dataset, weight in zip(mixture.datasets, weights, strict=True):
        name = dataset.url + (f" (weight {weight:g})" if weight is not None else "")
        counts = ", ".join(str(_clips(dataset, split)) for split in ("train", "val"))
        recipe: Mapping[str, Any] = dataset.info.recipe if dataset.info else {}
        annotators = recipe.get("annotators")
        made = "; ".join(
            f"{what}: {made_by.get('name')}"
            for what, made_by in sorted(annotators.items() if isinstance(annotators, dict) else ())
            if isinstance(made_by, dict)
        )
        print_ = dataset.info.fingerprint[:12] if dataset.info else ""
        yield f"| {_cell(name)} | {counts} | {_cell(made)} | {print_} |\n"
    yield (
        "\nThe licences of the datasets and of the networks that annotated them hold for what was "
        "learned from them; `idol-prep weights list` names those of the networks.\n"
    )


def _clips(dataset: Dataset, split: str) -> int:
    shards = [shard for shard in dataset.shards if shard.manifest.split == split]
    return sum(len(shard.manifest.samples) for shard in shards)


def _training(config: TrainConfig, info: ModelInfo, processes: int) -> str:
    optimizer, run = config.optimizer, config.run
    rows = {
        "steps": info.step,
        "clips a step": config.global_batch(processes),
        "frames a clip": config.frames,
        "learning rate": optimizer.learning_rate,
        "average of weights": optimizer.ema or "none",
        "precision": run.mixed_precision,
        "seed": run.seed,
        "starts from": config.init_from or config.base or "random weights",
    }
    table = "".join(f"| {name} | {_cell(str(value))} |\n" for name, value in rows.items())
    command = shlex.join(["idol-train", *command_of(config)])
    return (
        f"```sh\n{command}\n```\n| setting | |\n|---|---|\n{table}\n"
        "All settings are in the run's `config.json`, losses of each step in its `losses.jsonl`.\n"
    )


def _scores(config: TrainConfig) -> str:
    rows = read_json_lines(config.output / VALIDATION)
    if not rows:
        return "None: no held-out clips were looked at. `idol-eval run` scores it.\n"
    last = rows[-1]
    table = "".join(
        f"| {name} | {value:.4f} |\n"
        for name, value in last.items()
        if name != "step" and isinstance(value, float)
    )
    if config.stage == "distill":
        return (
            "How far apart its answers are along held-out paths of its teacher, by modality, after "
            f"{last['step']} steps:\n\n| distance | |\n|---|---|\n{table}\n"
            "It says little of how a video looks: `idol-eval run` measures that.\n"
        )
    return (
        "Mean squared error of the predicted noise on held-out clips (Eq. 2), by modality and "
        f"band of timesteps, after {last['step']} steps:\n\n"
        f"| error | |\n|---|---|\n{table}\n"
        "It says little of how a video looks: `idol-eval run` measures that.\n"
    )


def _limits(config: TrainConfig, info: ModelInfo) -> Iterator[str]:
    if config.stage == "pretrain":
        yield "- Of stage pretrain: it knows no pose and no depth yet, and generates no video.\n"
    if config.stage == "image":
        yield "- Of stage image: each frame is made by itself, so that videos flicker.\n"
    if config.preset == "tiny":
        yield "- Preset tiny: a few million parameters, to try things with; not for results.\n"
    if info.depth.near is None:
        yield "- Its depth has no unit.\n"
    yield f"- It was trained at {info.size}x{info.size} pixels, and makes no others.\n"
    yield "- People, clothes and places unlike those of its data are outside of what it knows.\n"
    yield (
        "- What it makes is synthetic. `idol-generate` marks it as such; do not pass it off as a "
        "recording of somebody.\n"
    )


def _use(config: TrainConfig) -> str:
    if config.stage == "pretrain":
        return (
            "```sh\nidol-train --stage image --init-from THIS_FOLDER --shards … --output …\n```\n"
        )
    return (
        "```sh\nidol-generate photo.jpg --driving dance.mp4 --model THIS_FOLDER --out out\n```\n"
        "```python\nfrom idol.generate import IdolPipeline\n\n"
        'pipe = IdolPipeline.from_pretrained("THIS_FOLDER")\n```\n'
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
