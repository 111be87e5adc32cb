"""Sets of clips that are scored: values, and how a generated set is laid beside the true one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from idol.evaluate.errors import EvaluationError

__all__ = [
    "ClipArrays",
    "ClipSet",
    "DepthKind",
    "Kind",
    "Pair",
    "ScoredClip",
    "annotation_digest",
    "digest",
    "lacking",
    "paired",
    "same_frames",
]

DepthKind = Literal["person", "frame"]
Kind = Literal["folders", "videos", "shards"]

# How many mistakes are told one by one.
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class ClipArrays:
    """What was read of a clip of F frames.

    `frames`     (F, H, W, 3) uint8 RGB.
    `depth`      (F, H, W) float32 in [0, 1], 0 near; None where there is none.
    `depth_kind` of the person, whose background is 1, or of the whole frame; None where a folder
                 does not say.
    `mask`       (F, H, W) bool: the person; or None.
    `keypoints`  (F, people, joints, 3) float32: x, y in pixels of the frames, score; or None.
    """

    frames: np.ndarray
    depth: np.ndarray | None = None
    depth_kind: DepthKind | None = None
    mask: np.ndarray | None = None
    keypoints: np.ndarray | None = None


class ScoredClip(Protocol):
    """A clip of a set: consecutive frames of one video.

    `name`     that by which a generated clip and the true one are found; `where` names it to users.
    `video`    that it is of: intervals are over videos.
    `numbers`  of the frames in the video, as files or the json say; empty where only reading
               tells, as of video files.
    `size`     (height, width) of the frames; None where only reading tells.
    `has`      what there is besides frames: depth, mask, keypoints.
    """

    @property
    def name(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def video(self) -> str: ...
    @property
    def numbers(self) -> tuple[int, ...]: ...
    @property
    def size(self) -> tuple[int, int] | None: ...
    @property
    def has(self) -> frozenset[str]: ...

    def read(self) -> ClipArrays:
        """Raises EvaluationError, or ShardsError, naming the file that cannot be used."""
        ...


@dataclass(frozen=True)
class ClipSet:
    """Clips by name, in their order; `path` as the user gave it.

    `ignored` are files that were there and are no frames, by what they are.
    """

    path: str
    kind: Kind
    clips: Mapping[str, ScoredClip]
    ignored: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """A generated clip and the true one."""

    generated: ScoredClip
    reference: ScoredClip

    @property
    def name(self) -> str:
        return self.reference.name

    @property
    def video(self) -> str:
        return self.reference.video


def paired(
    generated: ClipSet, reference: ClipSet, *, other_size: Literal["error", "opencv-bilinear"]
) -> dict[str, list[Pair]]:
    """Pairs by video, videos and the clips of one in their order.

    Raises EvaluationError with all that is wrong: clips that one side lacks, frames that one side
    lacks, sizes that differ where the protocol resizes nothing.
    """
    mistakes = [*_unmatched(generated, reference)]
    pairs = [
        Pair(generated.clips[name], clip)
        for name, clip in reference.clips.items()
        if name in generated.clips
    ]
    for pair in pairs:
        mistakes += _differences(pair, resizes=other_size != "error")
    _raise(mistakes, f"{generated.path} does not fit {reference.path}")
    by_video: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_video[pair.video].append(pair)
    return {video: sorted(by_video[video], key=_order) for video in sorted(by_video)}


def _order(pair: Pair) -> tuple[int, str]:
    return (pair.reference.numbers[:1] or (0,))[0], pair.name


def _unmatched(generated: ClipSet, reference: ClipSet) -> list[str]:
    gone = [name for name in reference.clips if name not in generated.clips]
    more = [name for name in generated.clips if name not in reference.clips]
    if gone and more and len(gone) == len(reference.clips):
        return [
            f"no clip of one is in the other: there is {more[0]}, wanted is {gone[0]}; name "
            "generated clips as the reference's, and give --generated and --reference in that order"
        ]
    return [f"clip {name} is not there" for name in gone] + [
        f"clip {name} is none of the reference's" for name in more
    ]


def _differences(pair: Pair, *, resizes: bool) -> list[str]:
    ours, truth = pair.generated, pair.reference
    mistakes = []
    if ours.numbers and truth.numbers and ours.numbers != truth.numbers:
        mistakes += _frames_differ(pair)
    if not resizes and ours.size and truth.size and ours.size != truth.size:
        mistakes.append(
            f"{ours.where}: frames are {_by(ours.size)}, the reference's {_by(truth.size)}: "
            "generate at that size, or build the reference at this one"
        )
    return mistakes


def _frames_differ(pair: Pair) -> list[str]:
    ours, truth = pair.generated.numbers, pair.reference.numbers
    if same_frames(ours, truth):
        return []
    which = lacking(ours, truth)
    return [f"{pair.generated.where}: {len(ours)} frames, the reference has {len(truth)}{which}"]


def same_frames(ours: Sequence[int], truth: Sequence[int]) -> bool:
    """Whether numbers are those of the same frames: a set that counts from 0 where the other counts
    from 1 is the same set, one with a gap is not."""
    return tuple(ours) == tuple(truth) or (
        len(ours) == len(truth) and _steady(ours) and _steady(truth)
    )


def lacking(ours: Sequence[int], truth: Sequence[int]) -> str:
    """The first numbers that the one lacks of the other, in brackets; "" where counting may begin
    elsewhere."""
    if len(ours) == len(truth) or ours[0] == truth[0] or set(ours) < set(truth):
        missing = [number for number in truth if number not in ours]
    else:
        missing = []
    return f" (lacking: {', '.join(map(str, missing[:5]))})" if missing else ""


def _steady(numbers: Sequence[int]) -> bool:
    return len(set(np.diff(numbers))) <= 1


def _by(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _raise(mistakes: Sequence[str], what: str) -> None:
    shown = list(mistakes[:_SHOWN])
    if len(mistakes) > _SHOWN:
        shown.append(f"and {len(mistakes) - _SHOWN} more")
    if len(shown) == 1:
        raise EvaluationError(f"{what}: {shown[0]}")
    EvaluationError.raise_if_any(shown, what)


def digest(arrays: ClipArrays) -> dict[str, str]:
    """SHA-256 of the frames and the depth as they were decoded, whatever files held them."""
    return _digests({"frames": arrays.frames, "depth": arrays.depth})


def annotation_digest(arrays: ClipArrays) -> dict[str, str]:
    """The same of what says where the person is: the mask, and the driving pose."""
    return _digests({"mask": arrays.mask, "keypoints": arrays.keypoints})


def _digests(arrays: Mapping[str, np.ndarray | None]) -> dict[str, str]:
    return {name: _array_digest(array) for name, array in arrays.items() if array is not None}


def _array_digest(array: np.ndarray) -> str:
    running = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    running.update(np.ascontiguousarray(array).data)
    return running.hexdigest()
