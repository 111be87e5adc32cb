"""The recipe: everything that a dataset's bytes depend on, besides the source itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from preprocess.choices import AnnotatorChoice, CropMode, DatasetName, PoseStyle
from preprocess.errors import InputError

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """What to make of a source. Raises InputError naming every mistake at once."""

    dataset: DatasetName
    """Layout of the source: TikTok, NTU RGB+D 120, a folder of videos, or one of pictures."""
    clip_length: int | None = None
    """Frames in a clip; 16 unless given, and always 1 for images."""
    stride: int | None = None
    """Source frames from the start of one clip to the next; unless given, clips do not overlap."""
    frame_step: int = 1
    """Take every n-th source frame."""
    size: int = 256
    """Height and width of the clip in pixels."""
    crop: CropMode = "subject"
    """subject: a stable square around the person; center: the middle square; none: the whole frame
    with black bars."""
    mask: Literal["lite", "none"] = "lite"
    """Who makes the person masks."""
    pose: Literal["lite", "none"] = "lite"
    """Who finds the key points."""
    pose_style: PoseStyle = "openpose"
    """How skeletons are drawn: openpose (18 body joints) or dwpose (with hands and face)."""
    depth: Literal["lite", "none"] = "lite"
    """Who makes the depth. Lite depth is derived from the pose, not measured."""
    smooth: bool = True
    """Smooth key points over time (one-euro filter)."""
    min_person_frames: float = 0.5
    """Share of a clip's frames, 0 to 1, in which a person must be found; other clips are
    quarantined."""
    clips_per_shard: int = 64
    """Clips in a tar."""
    val_fraction: float = 0.1
    """Share of videos held out where the dataset publishes no split."""
    limit: int | None = None
    """Make only the first n clips."""

    def __post_init__(self) -> None:
        mistakes = list(self._mistakes())
        if mistakes:
            raise InputError(
                "this recipe cannot be used:\n" + "\n".join(f"  {m}" for m in mistakes)
            )

    def _mistakes(self) -> Iterator[str]:
        counts = ("clip_length", "stride", "frame_step", "clips_per_shard", "limit")
        for name in counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                yield f"{name} must be at least 1, not {value}"
        if not 16 <= self.size <= 4096:
            yield f"size must be between 16 and 4096 pixels, not {self.size}"
        if self.dataset == "images" and self.clip_length not in (None, 1):
            yield f"clip_length must be 1 for images, not {self.clip_length}"
        for name in ("min_person_frames", "val_fraction"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                yield f"{name} must be a share between 0 and 1, not {value}"

    @property
    def frames(self) -> int:
        """Frames in a clip."""
        return self.clip_length or (1 if self.dataset == "images" else 16)

    @property
    def span(self) -> int:
        """Source frames from a clip's first to its last, both counted."""
        return (self.frames - 1) * self.frame_step + 1

    @property
    def clip_stride(self) -> int:
        """Source frames between the starts of successive clips."""
        return self.stride or self.frames * self.frame_step

    @property
    def annotators(self) -> AnnotatorChoice:
        return AnnotatorChoice(
            mask=self.mask,
            pose=self.pose,
            pose_style=self.pose_style,
            depth=self.depth,
            smooth=self.smooth,
            crop=self.crop,
        )

    def as_json(self) -> dict[str, Any]:
        """All fields with defaults resolved, and who makes each modality: what is fingerprinted."""
        resolved = {"clip_length": self.frames, "stride": self.clip_stride}
        made_by = {k: r.as_json() for k, r in self.annotators.records().items()}
        return {**asdict(self), **resolved, "annotators": made_by}
