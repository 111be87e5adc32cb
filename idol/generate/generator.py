"""What goes into generating a clip and what comes out: a photo, a place and a motion; frames and
their depth. F frames of S x S pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np

from idol.config.sampling import Sampling
from idol.generate.errors import GenerationError
from idol.model_info import sampling_by
from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_hot
from shards.sample.keypoints import COCO_18, are_seen, only_finite
from shards.sample.posed import pose_of, reference_joints
from shards.sample.traces import number_said

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from idol.generate.pipeline import IdolPipeline
    from idol.generate.windows import Windows

__all__ = [
    "FPS",
    "ClipConditions",
    "ClipGenerator",
    "DepthKind",
    "Generated",
    "arrays_of",
    "conditions_of",
    "joints_of",
    "seen_joints",
]

DepthKind = Literal["person", "frame"]

FPS = 25.0
"""Frames a second of what says none: an image, drawings, key points."""


@dataclass(frozen=True, eq=False)
class ClipConditions:
    """What a clip is generated from.

    `foreground`, `foreground_mask`
                 (H, W, 3) and (H, W) uint8 of any size: the person in a crop of its own, with its
                 surroundings, and its mask, 255 where the person is.
    `background`, `background_mask`
                 (S, S, 3) and (S, S) uint8: the place, under the frames pixel by pixel, and where
                 it is not known (255): under the person, and outside the photo. The hole is cut
                 by the pipeline.
    `skeletons`  (F, S, S, 3) uint8: the motion, drawn on black as `shards.sample.skeleton` does.
    `fps`        frames a second, above 0.
    `foreground_joints`, `joints`
                 (18, 3) in pixels of the foreground, and (F, 18, 3) in pixels of the frames,
                 float32: of the joints of `COCO_18` x, y, and 1 where it is seen, else 0. None
                 where they are not known. Models with a posed foreground take them.

    Raises GenerationError, naming everything of another shape or dtype.
    """

    foreground: np.ndarray
    foreground_mask: np.ndarray
    background: np.ndarray
    background_mask: np.ndarray
    skeletons: np.ndarray
    fps: float
    foreground_joints: np.ndarray | None = None
    joints: np.ndarray | None = None

    def __post_init__(self) -> None:
        shapes = {
            "foreground": (None, None, 3),
            "foreground_mask": self.foreground.shape[:2],
            "background": (None, None, 3),
            "background_mask": self.background.shape[:2],
            "skeletons": (None, *self.background.shape[:2], 3),
        }
        mistakes = []
        for name, shape in shapes.items():
            array = getattr(self, name)
            fits = array.dtype == np.uint8 and array.ndim == len(shape) and array.size
            if not fits or any(w not in (None, n) for n, w in zip(array.shape, shape, strict=True)):
                wanted = " x ".join("any" if n is None else str(n) for n in shape)
                mistakes.append(f"{name} is {array.dtype}{array.shape}, not uint8 of {wanted}")
        for name, shape in {
            "foreground_joints": (len(COCO_18), 3),
            "joints": (len(self.skeletons), len(COCO_18), 3),
        }.items():
            joints = getattr(self, name)
            if joints is not None and (joints.dtype != np.float32 or joints.shape != shape):
                mistakes.append(f"{name} is {joints.dtype}{joints.shape}, not float32{shape}")
        if not self.fps > 0:
            mistakes.append(f"fps is {self.fps}, and must be above 0")
        GenerationError.raise_if_any(mistakes, "no clip can be generated from this")

    @property
    def frames(self) -> int:
        """F."""
        return len(self.skeletons)

    @property
    def posed(self) -> bool:
        """Whether the person can be laid over the background in each pose."""
        return self.foreground_joints is not None and self.joints is not None

    @property
    def size(self) -> int:
        """S, height and width of the frames."""
        return int(self.skeletons.shape[1])

    def part(self, frames: slice) -> ClipConditions:
        """The same person and place with a part of the motion."""
        joints = None if self.joints is None else self.joints[frames]
        return replace(self, skeletons=self.skeletons[frames], joints=joints)


@dataclass(frozen=True, eq=False)
class Generated:
    """A generated clip.

    `frames`      (F, S, S, 3) uint8 RGB.
    `depth`       (F, S, S) float32 in [0, 1], without NaN: of the person 0 near to .75 far and 1
                  the background, or of the whole frame 0 near to 1 far, as `depth_kind` says.
    `confidence`  (F, S, S) float32 in [0, 1]: how far the generated colour is one that means a
                  depth; low at edges, where colours are mixed.
    `depth_pictures`
                  (F, S, S, 3) uint8 RGB: the depth stream as generated, of which depth was read.
    `depth_kind`  which depth the model learned.
    `fps`         frames a second.
    `metres`      (F, S, S) float32, NaN in the background; None where the model's data had no
                  metric range that was the same for all videos, so that depth is relative.
    `lost`        why depth that was to be estimated from the frames is farthest everywhere; empty
                  unless it is.
    """

    frames: np.ndarray
    depth: np.ndarray
    confidence: np.ndarray
    depth_pictures: np.ndarray
    depth_kind: DepthKind
    fps: float
    metres: np.ndarray | None = None
    lost: str = ""


@dataclass(frozen=True)
class ClipGenerator:
    """Generates clips with one model and one way of sampling: `generator(conditions, seed)`.

    The result is a function of these settings, the conditions and the seed; on one machine to the
    byte.

    Attributes:
        pipeline: whose scheduler is set by each call.
        scheduler, steps, guidance: the model's own (`idol.config.sampling`) unless given; names of
            schedulers as for `idol.diffusion.schedulers.scheduler_for`, and guidance is the weight
            of the foreground: 1 is none, and half the work.
        temperature: deviation of the noise to start from: 1 as in training, below 1 calmer.
        windows: in which longer videos pass through the model; None: as long as the clips that it
            was trained on, half overlapping.
        low_memory: as for `IdolPipeline`.
        estimate: of a model that generates no depth, who estimates it from the frames.
    """

    pipeline: IdolPipeline
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    temperature: float = 1.0
    windows: Windows | None = None
    low_memory: bool = False
    estimate: DepthEstimate | None = None

    @classmethod
    def from_folder(
        cls,
        folder: str | PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        **settings: Any,
    ) -> Self:
        """With the model in an output of `idol-train`, a checkpoint, or a pipeline's folder.

        Raises:
            NotAModelError: there is no such model, or a part of it is missing.
        """
        from idol.generate.loading import load_pipeline

        return cls(load_pipeline(folder, dtype=dtype).to(device), **settings)

    @property
    def sampling(self) -> Sampling:
        """What is given, and else the model's own. Raises ConfigError where it does not fit it."""
        return sampling_by(
            self.pipeline.info,
            scheduler=self.scheduler,
            steps=self.steps,
            guidance=self.guidance,
        )

    @property
    def frames(self) -> int:
        """Frames that pass through the model at a time, at most."""
        return self.windows_in_force.length

    @property
    def windows_in_force(self) -> Windows:
        """`windows`, or the usual ones; a model without temporal layers takes each frame by
        itself."""
        from idol.generate.windows import Windows

        info = self.pipeline.info
        if not self.pipeline.unet.settings.temporal_layers:
            return Windows(length=1, overlap=0)
        if self.windows is not None or info is None or info.frames < 2:
            return self.windows or Windows()
        return Windows(length=info.frames, overlap=info.frames // 2)

    def __call__(
        self,
        conditions: ClipConditions,
        seed: int,
        *,
        on_step: Callable[[int, Tensor], None] | None = None,
        resume: tuple[int, Tensor] | None = None,
    ) -> Generated:
        """Generate a clip; its frames have the size that the model was trained with.

        Args:
            seed: of the noise, which is drawn on the CPU: 0 to 2^64 - 1.
            on_step: called after each step with the number of steps done and the latents so far.
            resume: what `on_step` was last given, in place of the steps before. The same to the
                byte with scheduler ddim; others remember more than the latents.

        Raises:
            GenerationError: the model does not fit the conditions, there is no such scheduler, or
                latents are not finite after a step.
            ConfigError: the model cannot be sampled so.
        """
        import torch

        from idol.diffusion.schedulers import scheduler_for

        pipe, sampling = self.pipeline, self.sampling
        try:
            pipe.scheduler = scheduler_for(
                sampling.scheduler,
                sampling.steps,
                bound=pipe.latent_bound,
                distilled=pipe.info.distilled if pipe.info else None,
            )
        except ValueError as error:
            raise GenerationError(str(error)) from error

        def step_end(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if not torch.isfinite(tensors["latents"]).all():
                raise GenerationError(
                    f"step {step + 1} of {sampling.steps} gave numbers that are not finite: lower "
                    "--guidance or --temperature, take --dtype float32, or another model"
                )
            if on_step is not None:
                on_step(step + 1, tensors["latents"])
            return {}

        if pipe._execution_device.type == "cpu":
            for part in (pipe.unet, pipe.controlnet):  # tokens then lie as attention takes them
                part.to(memory_format=torch.channels_last)
        done, kept = resume or (0, None)
        latents = pipe(
            conditions.foreground,
            conditions.background,
            conditions.skeletons,
            foreground_mask=conditions.foreground_mask,
            background_mask=conditions.background_mask,
            foreground_joints=conditions.foreground_joints,
            joints=conditions.joints,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            temperature=self.temperature,
            generator=torch.Generator().manual_seed(seed),
            latents=kept,
            first_step=done,
            output_type="latent",
            windows=self.windows_in_force,
            low_memory=self.low_memory,
            callback_on_step_end=step_end,
            return_dict=False,
        )[0]
        return self._decoded(latents, conditions.fps)

    def _decoded(self, latents: Tensor, fps: float) -> Generated:
        """Images and depth of latents (1, M, F, C, H', W'), a few frames in memory at a time."""
        from idol.generate.depth import colour_map, depth_of, metres_of, to_uint8

        if self.pipeline.unet.settings.streams == "video":
            return self._estimated(latents, fps)
        meaning = self.pipeline.depth
        size = tuple(n * self.pipeline.vae_scale_factor for n in latents.shape[-2:])
        shape = (latents.shape[2], *size)
        frames, pictures = (np.empty((*shape, 3), np.uint8) for _ in range(2))
        depth, confidence = (np.empty(shape, np.float32) for _ in range(2))
        metres = None if meaning.near is None else np.empty(shape, np.float32)
        for part, video, coloured in self.pipeline.decode(latents, low_memory=self.low_memory):
            assert coloured is not None
            frames[part], pictures[part] = to_uint8(video[0]), to_uint8(coloured[0])
            depth[part], confidence[part] = depth_of(pictures[part], colour_map(meaning))
            if metres is not None:
                metres[part] = metres_of(depth[part], meaning)
        self.pipeline.maybe_free_model_hooks()
        return Generated(frames, depth, confidence, pictures, meaning.kind, fps, metres)

    def _estimated(self, latents: Tensor, fps: float) -> Generated:
        """Frames, and their depth as somebody else sees it, without doubt."""
        from idol.generate.depth import to_uint8

        if self.estimate is None:
            raise GenerationError(
                "this model generates no depth: give the generator who estimates it"
            )
        decoded = self.pipeline.decode(latents, low_memory=self.low_memory)
        frames = np.concatenate([to_uint8(video[0]) for _, video, _ in decoded])
        self.pipeline.maybe_free_model_hooks()
        depth = self.estimate(frames, fps)
        person = self.estimate.kind == "person"
        grey = np.repeat(to_uint8(depth)[..., None], 3, axis=-1)
        pictures = depth_to_hot(depth) if person else grey
        return Generated(
            frames,
            depth,
            np.ones_like(depth),
            pictures,
            self.estimate.kind,
            fps,
            lost=self.estimate.lost,
        )


class DepthEstimate(Protocol):
    """Who estimates the depth of frames, of whom the model generates none.

    `kind` is of what; `lost` why the last clip has none, empty where it has.
    """

    kind: DepthKind
    lost: str

    def __call__(self, frames: np.ndarray, fps: float) -> np.ndarray:
        """Depth (F, S, S) float32 in [0, 1] of (F, S, S, 3) uint8; farthest where it fails."""
        ...


def conditions_of(clip: Clip) -> ClipConditions:
    """The conditions of a clip of a dataset: its own reference, background and skeletons.

    Of a clip whose json names no frame rate, such as an image, it is 25.

    Raises:
        GenerationError: naming the modalities that it lacks.
    """
    names = ("reference", "reference_mask", "background", "background_mask", "pose")
    foreground, mask, background, hole, pose = arrays_of(clip, names, "a mask and a pose")
    fps = number_said(clip.info, "fps") or FPS
    own, joints = joints_of(clip)
    return ClipConditions(foreground, mask, background, hole, pose, fps, own, joints)


def joints_of(clip: Clip) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The joints of a clip's foreground, and of its frames, as `ClipConditions` has them; None
    where it does not tell."""
    if clip.keypoints is None:
        return None, None
    try:
        poses, least = pose_of(clip.keypoints, clip.info)
    except ValueError:
        return None, None
    size = clip.rgb.shape[1] if clip.reference is None else clip.reference.shape[1]
    own = reference_joints(clip.info, poses, size)
    return None if own is None else seen_joints(own, least), seen_joints(poses, least)


def seen_joints(joints: np.ndarray, min_score: float) -> np.ndarray:
    """Joints (..., 3) with 1 for a score where they are seen, else 0; float32, all finite."""
    seen = only_finite(joints.astype(np.float32))
    seen[..., 2] = are_seen(joints, min_score)
    return seen


def arrays_of(clip: Clip, modalities: Sequence[str], annotators: str) -> list[np.ndarray]:
    """A clip's arrays of these names.

    Raises GenerationError naming those that it lacks, and what annotator to build with."""
    if absent := [name for name in modalities if name not in clip.arrays]:
        raise GenerationError(
            f"clip {clip.key} has no {', '.join(absent)}: build with {annotators}"
        )
    return [clip.arrays[name] for name in modalities]
