"""What the command line names, read: a person and a motion, each of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from idol.config.generate import GenerateConfig, is_clip, read_fps
from idol.generate.inputs.clip import motion_of_clip, person_of_clip, read_clip
from idol.generate.inputs.motion import (
    motion_of_keypoints,
    motion_of_skeletons,
    part_of,
    resampled,
    trimmed,
)
from idol.generate.inputs.photo import person_of_photo
from idol.generate.inputs.values import Motion, Person
from idol.generate.inputs.video import motion_of_video
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.spec import Hardware

__all__ = ["read_motion", "read_person"]


def read_person(config: GenerateConfig, choice: AnnotatorChoice, *, device: str = "cpu") -> Person:
    """Raises GenerationError, or ShardsError for a clip that cannot be read."""
    if is_clip(config.photo):
        return person_of_clip(read_clip(config.photo))
    return person_of_photo(
        Path(config.photo),
        choice,
        mask=config.person_mask,
        background=config.background,
        background_mask=config.background_mask,
        weights=config.weights,
        hardware=Hardware(device),
    )


def read_motion(
    config: GenerateConfig,
    choice: AnnotatorChoice,
    picture: tuple[int, int],
    *,
    device: str = "cpu",
    on_frames: Callable[[int, int], None] = lambda done, of: None,
) -> Motion:
    """`picture` is the background's (width, height), in whose pixels key points of a .npy are.

    Raises GenerationError, or ShardsError for a clip that cannot be read.
    """
    fps = None if config.fps is None else read_fps(config.fps)
    if config.skeletons is not None:
        start, count = config.start_frame, config.frames
        return _at(fps, motion_of_skeletons(config.skeletons, fps, start, count))
    assert config.driving is not None
    if is_clip(config.driving):
        return _at(fps, _part(motion_of_clip(read_clip(config.driving)), config))
    path = Path(config.driving)
    if path.suffix.lower() == ".npy":
        return _part(motion_of_keypoints(path, picture, fps), config)
    return motion_of_video(
        path,
        choice,
        fps=fps,
        start=config.start_frame,
        frames=config.frames,
        force=config.force,
        weights=config.weights,
        hardware=Hardware(device),
        on_frames=on_frames,
    )


def _at(fps: float | None, motion: Motion) -> Motion:
    """At the rate that is asked for, if it has another."""
    return motion if fps in (None, motion.fps) else resampled(motion, fps)


def _part(motion: Motion, config: GenerateConfig) -> Motion:
    """Of the motion's frames those that are asked for, and of them those that show the person."""
    start = config.start_frame
    taken = part_of(motion.name, len(motion), start, config.frames)
    part = slice(taken.start, taken.stop)
    shown = {t - start: f for t, f in motion.frames.items() if t in taken}
    info = {**motion.info, "first_frame": start}
    if motion.keypoints is not None:
        points = motion.keypoints[part]
        return trimmed(replace(motion, keypoints=points, frames=shown, info=info))
    assert motion.skeletons is not None
    return replace(motion, skeletons=motion.skeletons[part], frames=shown, info=info)
