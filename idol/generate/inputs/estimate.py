"""Key points and depth of frames, found by the annotators that make datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from idol.config.model import Streams
from idol.generate.errors import GenerationError
from preprocess.annotate import ClipRequest, annotate
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.spec import Hardware
from preprocess.errors import ClipError, InputError
from preprocess.frames import Frame
from preprocess.load import Annotators, load
from preprocess.shots import Shot
from preprocess.sources.values import Video
from preprocess.survey import survey
from shards.files.digest import sha256
from shards.sample.clip import BACKGROUND_DEPTH

__all__ = ["LEAST_SIZE", "Estimator", "Found", "LiteDepth", "depth_estimate"]

LEAST_SIZE = 256
"""Smaller frames are enlarged to this height before an annotator sees them."""


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in a clip's frames, in their own pixels.

    `keypoints` (F, people, joints, 3) float32, scores of 0 where nobody was found; or None.
    `depth`     (F, H, W) float32 in [0, 1], 0 near, on the clip's own range; or None.
    `lost`      why nothing was found; empty where something was.
    """

    keypoints: np.ndarray | None
    depth: np.ndarray | None
    lost: str = ""


class Estimator:
    """Annotators that look at frames, a clip at a time, as a build does.

    Args:
        pose: who finds key points; "none" for nobody.
        depth: who estimates depth; "none" for nobody.
        root: folder of external files; `idol-prep weights`'s by default.

    Raises:
        ValueError: an unknown name.
        InputError: files or packages are absent.
    """

    def __init__(
        self, pose: str = "none", depth: str = "none", *, root: Path | None, device: str = "cpu"
    ) -> None:
        choice = AnnotatorChoice(mask="lite", pose=pose, depth=(depth,), crop="none")
        if mistakes := [*choice.mistakes()]:
            what = mistakes[0].replace("depth ", "estimate-depth ", 1)
            raise ValueError(f"--{what}")
        self._annotators: Annotators = load(choice, root, hardware=Hardware(device))

    @property
    def depth_kind(self) -> Literal["person", "frame"]:
        """Of what the depth is that is estimated."""
        frame = any(depth.spec.whole_frame for depth in self._annotators.depths)
        return "frame" if frame else "person"

    @property
    def records(self) -> dict[str, Any]:
        """Who annotates, with the checksums of their files."""
        return {name: record.as_json() for name, record in self._annotators.records.items()}

    def __call__(self, name: str, frames: np.ndarray, fps: float = 25.0) -> Found:
        """What is found in (F, H, W, 3) uint8 RGB frames of one video."""
        height, width = frames.shape[1:3]
        tall = max(height, LEAST_SIZE)
        wide = max(round(width * tall / height), 1)
        if tall != height:
            size = (wide, tall)
            frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_CUBIC) for f in frames])
        side = max(wide, tall)
        video = _video(name, frames, fps)
        shot = Shot(0, len(frames) - 1)
        request = ClipRequest(name, "generated", "val", tuple(range(len(frames))), shot)
        try:
            seen = survey(video, shot, self._annotators, side)
            clip = annotate(
                request,
                video,
                [*video.reader.read(request.frame_indices)],
                seen,
                self._annotators,
                size=side,
            )
        except ClipError as error:
            return self._nothing((len(frames), height, width), str(error))
        # The clip is square: bars lie beside the frames where they are not.
        left, top = (side - wide + 1) // 2, (side - tall + 1) // 2
        points = clip.keypoints
        if points is not None:
            points = points.copy()
            bars = np.array([left, top], np.float32)
            shrunk = np.array([width / wide, height / tall], np.float32)
            points[..., :2] = (points[..., :2] - bars + 0.5) * shrunk - 0.5
        depth = clip.depth_person if clip.depth_person is not None else clip.depth_frame
        if depth is not None:
            depth = depth[:, top : top + tall, left : left + wide]
        if depth is not None and tall != height:
            small = [cv2.resize(d, (width, height), interpolation=cv2.INTER_NEAREST) for d in depth]
            depth = np.stack(small)
        return Found(points, depth)

    def _nothing(self, shape: tuple[int, int, int], why: str) -> Found:
        chosen = self._annotators.choice
        points = np.zeros((shape[0], 1, 134, 3), np.float32) if chosen.pose != "none" else None
        wanted = chosen.depth != ("none",)
        depth = np.full(shape, BACKGROUND_DEPTH, np.float32) if wanted else None
        return Found(points, depth, why)


class LiteDepth:
    """The depth of a person in generated frames by the lite annotators, for models without one;
    `root` as of `Estimator`.

    Raises GenerationError where their files are absent.
    """

    name = "lite"
    kind: Literal["person", "frame"] = "person"

    def __init__(self, device: str = "cpu", root: Path | None = None) -> None:
        try:
            self._estimator = Estimator(depth="lite", root=root, device=device)
        except InputError as error:
            raise GenerationError(
                f"this model generates no depth, which is then estimated: {error}"
            ) from error
        self.lost = ""

    def __call__(self, frames: np.ndarray, fps: float) -> np.ndarray:
        """See `idol.generate.generator.DepthEstimate`."""
        found = self._estimator("generated", frames, fps)
        assert found.depth is not None
        self.lost = found.lost
        return found.depth


def depth_estimate(
    streams: Streams, device: str = "cpu", root: Path | None = None
) -> LiteDepth | None:
    """Who estimates depth for a model of these streams; None where it generates its own."""
    return LiteDepth(device, root) if streams == "video" else None


@dataclass(frozen=True, eq=False)
class _InMemory:
    """A reader of frames that are there already."""

    frames: np.ndarray
    fps: float

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            yield Frame(index, self.frames[index], index / self.fps)

    def fingerprint(self) -> str:
        return sha256(self.frames.tobytes())


def _video(name: str, frames: np.ndarray, fps: float) -> Video:
    return Video(name, len(frames), fps, _InMemory(frames, fps), group=name)
