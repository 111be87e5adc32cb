"""Measuring: the clips of one video after the other, generated beside true."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from idol.evaluate.clips import ClipArrays, DepthKind, Pair
from idol.evaluate.container import through_container
from idol.evaluate.depth import Alignment, AlignmentFit
from idol.evaluate.errors import EvaluationError
from idol.evaluate.images import resized_depth
from idol.evaluate.metrics import Metric, Seen, Sums, person_in
from idol.evaluate.pose import pose_error, read_in_truth
from idol.evaluate.protocols import Container, Protocol
from idol.evaluate.resize import pil_bicubic

__all__ = ["Tools", "Watched", "measure_clip", "read_pair", "video_alignment"]

_DTSSD_SIZE = 256

Keypoints = Callable[[str, np.ndarray], np.ndarray]
Depth = Callable[[str, np.ndarray], np.ndarray]
Distance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Tools:
    """Networks that look at frames beside those of Frechet distances; None for those not there.

    `keypoints` and `depth` take a clip's name and (F, H, W, 3) uint8 frames; `lpips` two frames.
    `depth_kind` is that of the depth estimated.
    """

    keypoints: Keypoints | None = None
    depth: Depth | None = None
    lpips: Distance | None = None
    depth_kind: DepthKind | None = None


@dataclass(frozen=True, eq=False)
class Watched:
    """A pair as it was read, and what video metrics see of it: through the protocol's container."""

    pair: Pair
    generated: ClipArrays
    reference: ClipArrays
    videos: tuple[np.ndarray, np.ndarray]


def read_pair(pair: Pair, protocol: Protocol, tools: Tools) -> Watched:
    """Read both sides of a pair.

    Raises EvaluationError, or ShardsError, where a file cannot be used, or both differ in what a
    protocol does not mend.
    """
    ours, truth = pair.generated.read(), pair.reference.read()
    if len(ours.frames) != len(truth.frames):
        raise EvaluationError(
            f"{pair.generated.where}: {len(ours.frames)} frames, the reference has "
            f"{len(truth.frames)}"
        )
    sizes = [f"{a.frames.shape[2]}x{a.frames.shape[1]}" for a in (ours, truth)]
    if sizes[0] != sizes[1] and protocol.images.other_size == "error":
        raise EvaluationError(
            f"{pair.generated.where}: frames are {sizes[0]}, the reference's {sizes[1]}"
        )
    if tools.depth is not None:
        estimated = tools.depth(pair.name, ours.frames)
        ours = replace(ours, depth=estimated, depth_kind=tools.depth_kind)
    container = protocol.snippets.container
    videos = tuple(
        through_container(arrays.frames, container)
        if isinstance(container, Container) and clip.numbers
        else arrays.frames
        for clip, arrays in ((pair.generated, ours), (pair.reference, truth))
    )
    return Watched(pair, ours, truth, (videos[0], videos[1]))


def _check_depth(watched: Watched, protocol: Protocol) -> None:
    """Raises EvaluationError where a protocol that resizes nothing finds depth of another size than
    its frames, or both sides have depth of other kinds."""
    pair, ours, truth = watched.pair, watched.generated, watched.reference
    for clip, arrays in ((pair.generated, ours), (pair.reference, truth)):
        if arrays.depth is None or protocol.images.other_size != "error":
            continue
        if arrays.depth.shape[1:] != arrays.frames.shape[1:3]:
            sizes = [f"{a.shape[2]}x{a.shape[1]}" for a in (arrays.depth, arrays.frames)]
            raise EvaluationError(
                f"{clip.where}: depth is {sizes[0]}, but the frames are {sizes[1]}"
            )
    kinds = {ours.depth_kind, truth.depth_kind} - {None}
    if len(kinds) > 1 and ours.depth is not None and truth.depth is not None:
        raise EvaluationError(
            f"{pair.generated.where}: depth is of the {ours.depth_kind}, the reference's of the "
            f"{truth.depth_kind}: choose another by `idol-eval score --depth`"
        )


def video_alignment(watched: Iterable[Watched]) -> Alignment:
    """One scale and shift for a video, of all its clips."""
    fit = AlignmentFit()
    for one in watched:
        ours, truth = one.generated, one.reference
        if ours.depth is not None and truth.depth is not None:
            size = truth.frames.shape[1:3]
            depth, true_depth = (resized_depth(d, size) for d in (ours.depth, truth.depth))
            person = None if truth.depth_kind == "frame" else person_in(truth)
            where = np.ones(true_depth.shape, bool) if person is None else person
            fit.add(depth, true_depth, where)
    return fit.solve()


def measure_clip(
    watched: Watched,
    metrics: Sequence[Metric],
    protocol: Protocol,
    tools: Tools,
    alignment: Alignment,
    stride: int,
) -> dict[str, Sums]:
    """The sums of each metric of frames that a clip gives.

    Raises EvaluationError where one needs depth, and the depth does not fit.
    """
    ours, truth = watched.generated, watched.reference
    if any({"depth", "truth's depth"} & {*metric.needs} for metric in metrics):
        _check_depth(watched, protocol)
    seen = Seen(ours, truth, protocol, alignment, stride=stride)
    names = {metric.name for metric in metrics}
    if tools.keypoints is not None and any("annotator" in metric.needs for metric in metrics):
        driving, height = truth.keypoints, truth.frames.shape[1]
        assert driving is not None
        found = tools.keypoints(watched.pair.name, ours.frames)
        found = _in_pixels_of(truth.frames, ours.frames, found)
        of_truth = tools.keypoints(watched.pair.name, truth.frames)
        seen = replace(
            seen,
            pose=pose_error(found, driving, height),
            pose_of_truth=pose_error(of_truth, driving, height),
            pose_where_read=pose_error(
                found, read_in_truth(of_truth, driving), height, body=driving
            ),
        )
    if tools.lpips is not None and "lpips" in names:
        seen = replace(seen, lpips=tuple(tools.lpips(a, b) for a, b in seen.images))
    if "dtssd_frames" in names:
        seen = replace(seen, dtssd_frames=_dtssd_frames(*watched.videos))
    return {m.name: m.sums(seen) for m in metrics if m.sums is not None}


def _in_pixels_of(truth: np.ndarray, ours: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Key points (..., 3) of the frames `ours` in the pixels that the same places have in `truth`,
    both (F, H, W, 3), across and down. Pixels' centres are integers."""
    stretch = np.divide(truth.shape[2:0:-1], ours.shape[2:0:-1])
    moved = points.copy()
    # (x + .5) s - .5, of which frames of one size change no bit
    moved[..., :2] = points[..., :2] * stretch + (stretch - 1) / 2
    return moved


def _dtssd_frames(ours: np.ndarray, truth: np.ndarray) -> Sums:
    """DisCo's script: of the first two frames at 256x256, mean squared difference of changes."""
    if min(len(ours), len(truth)) < 2:
        return 0.0, 0.0
    changes = [np.diff(pil_bicubic(video[:2], _DTSSD_SIZE), axis=0) for video in (ours, truth)]
    return float(np.mean((changes[0] - changes[1]) ** 2)), 1.0
