"""Models and motions of which no video can be made as it is asked for: refused in a line."""

from __future__ import annotations

from pathlib import Path

from idol.config.generate import GenerateConfig
from idol.config.model import CLIP_STAGES
from idol.generate.errors import GenerationError
from idol.generate.inputs.options import Annotation
from idol.generate.inputs.values import Motion
from idol.generate.pipeline import IdolPipeline
from idol.generate.windows import Windows
from idol.model_info import ModelInfo
from idol.variants import variant_called

__all__ = ["check_generates", "check_length", "check_poses", "check_stage"]


def check_generates(model: Path | None, info: ModelInfo) -> None:
    """Raise GenerationError for a model that knows no poses."""
    if info.stage == "pretrain":
        raise GenerationError(
            f"{model} was pre-trained on single images and knows neither poses nor depth: "
            "train the stages image and video, and give what they leave"
        )


def check_stage(config: GenerateConfig, info: ModelInfo) -> None:
    """Raise GenerationError for a model that knows no poses, or no windows that are asked for."""
    check_generates(config.model, info)
    if info.stage in CLIP_STAGES:
        return
    for name in ("window", "overlap"):
        if (given := getattr(config, name)) is not None:
            raise GenerationError(
                f"--{name} {given}: {config.model} is of stage {info.stage}, which takes each "
                f"frame by itself: leave out --{name}, or give a model of stage video"
            )


def check_poses(config: GenerateConfig, annotators: Annotation, pipeline: IdolPipeline) -> None:
    """Raise GenerationError for skeletons drawn otherwise than the model's variant learnt them."""
    wanted = variant_called(pipeline.info.variant).poses if pipeline.info else None
    style = annotators.choice.pose_style
    if config.skeletons is None and wanted not in (None, style):
        raise GenerationError(
            f"{config.model} learnt from {wanted} skeletons, and these would be drawn as {style}: "
            f"give --pose-style {wanted}"
        )


def check_length(config: GenerateConfig, motion: Motion, windows: Windows) -> None:
    """Raise GenerationError for a motion too short for its windows, or too short to overlap."""
    name, advice = motion.name, "give a longer motion"
    if config.frames is not None or config.start_frame:
        name, advice = f"the part of {name} that is taken", "take more of it"
    if len(motion) == 1:
        raise GenerationError(f"{name} has one frame: a motion needs several")
    if len(motion) < windows.length:
        raise GenerationError(
            f"{name} has {len(motion)} frames, and {windows.length} pass through the model at a "
            f"time: {advice}, or a smaller --window"
        )
    if config.overlap is not None and len(motion) == windows.length:
        raise GenerationError(
            f"--overlap {config.overlap}: the {len(motion)} frames of {motion.name} are one "
            "window, which has no other to overlap with: leave out --overlap"
        )
