"""Clips in folders: a folder of frames each, one folder of all videos' frames, or video files.

DIR/CLIP/0001.png …                   a folder is a clip; also DIR/CLIP/rgb/0001.png …
DIR/CLIP/depth/0001.png …             its depth: 16-bit or 8-bit grey, or the colours of `hot`
DIR/CLIP/depth.npy                    or an array (F, H, W) of floats in [0, 1]
DIR/CLIP/mask/0001.png …              the person, white
DIR/CLIP/keypoints.npy                (F, people, joints, 3): x, y in pixels, score; OpenPose's 18
                                      joints of the body first
DIR/NAME_0001.png …                   frames of all videos; what is before the last number is
                                      the video
DIR/CLIP.mp4 …                        a video file is a clip, and a video of its own: whether a
                                      number in its name is a frame's or a video's is not known
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from idol.evaluate.clips import ClipArrays, ClipSet, DepthKind, ScoredClip, lacking, same_frames
from idol.evaluate.container import read_video
from idol.evaluate.errors import EvaluationError
from idol.evaluate.pictures import read_array, read_depth_pictures, read_frame, read_masks
from shards.files.digest import parse_json
from shards.sample.images import declared_size
from shards.sample.keypoints import COCO_18

__all__ = [
    "CLIP",
    "ESTIMATED_BY",
    "FolderClip",
    "VideoClip",
    "of_depth",
    "open_folder",
    "size_of",
    "with_depth",
]

CLIP = "clip.json"
"""What `idol-eval run` says of a clip, in its folder."""
ESTIMATED_BY = "depth_estimated_by"
"""There: who looked for the depth in the generated frames, where a model generates none."""

_IMAGES = (".png", ".jpg", ".jpeg")
_VIDEOS = (".mp4",)
# Images that published scripts may have written and that are read nowhere here.
_OTHER = (".bmp", ".webp", ".tif", ".tiff", ".gif", ".avi", ".mov", ".mkv", ".webm")
_LAST_NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$", re.DOTALL)
# Enough of a file to find its size in.
_HEAD = 1 << 18


@dataclass(frozen=True)
class FolderClip:
    """A clip of image files. `files` are its frames; `folder` holds what else there is of it."""

    name: str
    video: str
    folder: Path | None
    files: tuple[Path, ...]
    numbers: tuple[int, ...]
    size: tuple[int, int]
    depth_files: tuple[Path, ...] = ()
    depth_kind: DepthKind | None = None

    @property
    def where(self) -> str:
        return str(self.files[0].parent if self.folder is None else self.folder)

    @property
    def has(self) -> frozenset[str]:
        there = {"depth"} if self.depth_files else set()
        if self.folder is not None:
            names = {"depth": ("depth", "depth.npy"), "mask": ("mask",)}
            names["keypoints"] = ("keypoints.npy",)
            for what, files in names.items():
                if any((self.folder / file).exists() for file in files):
                    there.add(what)
        return frozenset(there)

    def read(self) -> ClipArrays:
        frames = np.stack([read_frame(file) for file in self.files])
        depth = self._depth()
        mask = self._masks()
        kind = _kind_said(self.folder) or self.depth_kind
        return ClipArrays(frames, depth, kind, mask, self._keypoints())

    @property
    def depth_estimated_by(self) -> str | None:
        """Who estimated the depth from the frames, as far as the folder says it."""
        by = None if self.depth_files else _said(self.folder).get(ESTIMATED_BY)
        return by if isinstance(by, str) else None

    def _depth(self) -> np.ndarray | None:
        file = None if self.folder is None else self.folder / "depth.npy"
        if not self.depth_files and file is not None and file.is_file():
            if (file.parent / "depth").exists():
                raise EvaluationError(
                    f"{file}: lies beside {file.parent / 'depth'}, another depth: remove one"
                )
            return self._checked(read_array(file), file)
        files = self.depth_files or self._inside("depth")
        if not files:
            return None
        return self._checked(read_depth_pictures(files), files[0].parent)

    def _inside(self, name: str) -> list[Path]:
        """The pictures in a folder of the clip's, one a frame; none where it is not there."""
        inner = None if self.folder is None else self.folder / name
        if inner is None or not inner.is_dir():
            return []
        files = _sorted_images(inner)
        if not files:
            raise EvaluationError(f"{inner}: has no .png or .jpg: remove it, or put them into it")
        _check_frames(str(inner), _numbers(files, gaps=True), self.numbers, f"{name} pictures")
        return files

    def _masks(self) -> np.ndarray | None:
        files = self._inside("mask")
        if not files:
            return None
        return self._fitting(read_masks(files), files[0].parent)

    def _keypoints(self) -> np.ndarray | None:
        file = None if self.folder is None else self.folder / "keypoints.npy"
        if file is None or not file.is_file():
            return None
        points = read_array(file)
        if points.ndim != 4 or points.shape[-1] != 3 or len(points) != len(self.files):
            raise EvaluationError(
                f"{file}: is {points.shape}, not ({len(self.files)}, people, joints, 3)"
            )
        if points.shape[2] < len(COCO_18):
            raise EvaluationError(
                f"{file}: people have {len(COCO_18)} or more joints, OpenPose's of the body first, "
                f"not {points.shape[2]}"
            )
        return points.astype(np.float32)

    def _checked(self, depth: np.ndarray, where: Path) -> np.ndarray:
        depth = np.asarray(depth, np.float32)
        if depth.ndim != 3 or len(depth) != len(self.files) or not depth.size:
            # Of another size it may be: which protocol resizes is not known here.
            return self._fitting(depth, where)
        if not (depth.min() >= 0 and depth.max() <= 1):
            raise EvaluationError(
                f"{where}: depth spans {depth.min():.4g} to {depth.max():.4g}; scale it to [0, 1]"
            )
        return depth

    def _fitting(self, stack: np.ndarray, where: Path) -> np.ndarray:
        wanted = (len(self.files), *self.size)
        if stack.shape != wanted:
            raise EvaluationError(f"{where}: is {stack.shape}, but the frames are {wanted}")
        return stack


@dataclass(frozen=True)
class VideoClip:
    """A clip that is a video file; what its container took from the frames is gone already."""

    name: str
    video: str
    file: Path
    numbers: tuple[int, ...] = ()
    size: tuple[int, int] | None = None
    has: frozenset[str] = frozenset()

    @property
    def where(self) -> str:
        return str(self.file)

    def read(self) -> ClipArrays:
        return ClipArrays(read_video(self.file))


@dataclass(frozen=True)
class ClipWithDepth:
    """A clip of another layout, and the files of its depth, which lie elsewhere."""

    clip: ScoredClip
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def where(self) -> str:
        return self.clip.where

    @property
    def video(self) -> str:
        return self.clip.video

    @property
    def numbers(self) -> tuple[int, ...]:
        return self.clip.numbers

    @property
    def size(self) -> tuple[int, int] | None:
        return self.clip.size

    @property
    def has(self) -> frozenset[str]:
        return self.clip.has | {"depth"}

    def read(self) -> ClipArrays:
        return replace(self.clip.read(), depth=read_depth_pictures(self.files))


def open_folder(path: Path, *, videos: bool, apart: Path | None = None) -> ClipSet:
    """The clips in a folder.

    Args:
        videos: whether the protocol says that video files may be scored.
        apart: a folder that may lie in it and is no clip, as that of the scores.

    Raises:
        EvaluationError: it is no folder, has no frames, or has them in more ways than one; a clip
            lacks a frame between others, has two of one number, or frames of two sizes.
    """
    if not path.is_dir():
        raise EvaluationError(f"{path}: is no folder")
    here, left = path.resolve(), None if apart is None else apart.resolve()
    entries = sorted(
        e for e in path.iterdir() if not e.name.startswith(".") and here / e.name != left
    )
    # A clip's folder may be called after its video's file.
    plain = [e for e in entries if e.is_file()]
    images = [e for e in plain if e.suffix.lower() in _IMAGES]
    files = [e for e in plain if e.suffix.lower() in _VIDEOS]
    folders = [f for e in entries if e.is_dir() and (f := _frames_in(e)) is not None]
    without = [e for e in entries if e.is_dir() and e not in {folder for folder, _ in folders}]
    ignored = Counter(e.suffix.lower() for e in plain) - Counter(
        e.suffix.lower() for e in [*images, *files]
    )
    if without:
        ignored["folders without frames"] = len(without)
    ways = {"folders of frames": folders, "frames": images, "video files": files}
    found = [name for name, items in ways.items() if items]
    if len(found) > 1:
        raise EvaluationError(f"{path}: holds {' and '.join(found)}: keep one kind of clip in it")
    if not found:
        other = sorted(suffix for suffix in ignored if suffix in _OTHER)
        has = f"has {', '.join(other)} files, which are not read" if other else "has no frames"
        raise EvaluationError(
            f"{path}: {has}; give a folder with a folder of .png or .jpg frames for each clip"
        )
    if files:
        if not videos:
            raise EvaluationError(
                f"{path}: holds video files, but this protocol measures frames, never a container: "
                "give the frames as .png files"
            )
        clips: dict[str, VideoClip] = {}
        for file in files:
            if file.stem in clips:
                before = clips[file.stem].file.name
                raise EvaluationError(f"{file}: {before} is of clip {file.stem} as well")
            clips[file.stem] = VideoClip(file.stem, file.stem, file)
        return ClipSet(str(path), "videos", clips, dict(ignored))
    made = [_clip(e, f) for e, f in folders] if folders else _grouped(images)
    return ClipSet(str(path), "folders", {c.name: c for c in made}, dict(ignored))


def with_depth(clips: ClipSet, path: Path) -> ClipSet:
    """The same clips with the depth pictures of another folder, laid out as the frames are.

    Raises EvaluationError where a clip or a frame is lacking there, or clips are no folders.
    """
    if clips.kind != "folders":
        raise EvaluationError(
            f"{clips.path}: depth in a folder of its own ({path}) is for folders of frames alone"
        )
    depth = open_folder(path, videos=False)
    made: dict[str, ScoredClip] = {}
    for name, clip in clips.clips.items():
        other = depth.clips.get(name)
        if other is None:
            raise EvaluationError(f"{path}: has no depth of clip {name}")
        assert isinstance(other, FolderClip)
        _check_frames(other.where, other.numbers, clip.numbers, "depth pictures")
        if isinstance(clip, FolderClip):
            made[name] = replace(clip, depth_files=other.files)
        else:
            made[name] = ClipWithDepth(clip, other.files)
    return replace(clips, clips=made)


def of_depth(clips: ClipSet, kind: DepthKind) -> ClipSet:
    """The same clips, whose depth is said to be that of the person or of the whole frame."""
    made = {
        name: replace(clip, depth_kind=kind) if isinstance(clip, FolderClip) else clip
        for name, clip in clips.clips.items()
    }
    return replace(clips, clips=made)


def _check_frames(where: str, ours: Sequence[int], frames: Sequence[int], what: str) -> None:
    if not same_frames(ours, frames):
        raise EvaluationError(
            f"{where}: {len(ours)} {what} of {len(frames)} frames{lacking(ours, frames)}"
        )


def _frames_in(folder: Path) -> tuple[Path, list[Path]] | None:
    """The folder with its frames; None where it has none and is not meant to."""
    inner = folder / "rgb"
    files = _sorted_images(inner if inner.is_dir() else folder)
    if files:
        return folder, files
    others = [e for e in folder.iterdir() if not e.name.startswith(".")]
    if not others or inner.is_dir():
        raise EvaluationError(f"{folder}: is empty: remove it, or put the clip's frames into it")
    return None


def _clip(folder: Path, files: list[Path]) -> FolderClip:
    numbers = _numbers(files)
    return FolderClip(
        name=folder.name,
        video=_video_of(folder.name, files[0].stem),
        folder=folder,
        files=tuple(files),
        numbers=numbers,
        size=_size(files),
    )


def _video_of(name: str, first: str) -> str:
    """A snippet is named after its first frame: what is before the number is its video."""
    match = _LAST_NUMBER.match(name)
    if match and match[1].strip("_-. ") and name == first:
        return match[1].rstrip("_-. ")
    return name


def _grouped(files: list[Path]) -> list[FolderClip]:
    """Frames of all videos in one folder: what is before the last number names the video."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        match = _LAST_NUMBER.match(file.stem)
        if match is None:
            raise EvaluationError(f"{file}: its name has no number, so its place is not known")
        groups[match[1].rstrip("_-. ") or file.parent.name].append(file)
    made = []
    for name, group in groups.items():
        ordered = sorted(group, key=_number)
        numbers = _numbers(ordered, gaps=True)
        made.append(FolderClip(name, name, None, tuple(ordered), numbers, _size(ordered)))
    return made


def _sorted_images(folder: Path) -> list[Path]:
    found = [
        e
        for e in folder.iterdir()
        if e.suffix.lower() in _IMAGES and not e.name.startswith(".") and e.is_file()
    ]
    return sorted(found, key=lambda file: (_number(file), file.name))


def _number(file: Path) -> int:
    match = _LAST_NUMBER.match(file.stem)
    return int(match[2]) if match else -1


def _numbers(files: Sequence[Path], *, gaps: bool = False) -> tuple[int, ...]:
    numbers = tuple(_number(file) for file in files)
    if -1 in numbers:
        raise EvaluationError(f"{files[numbers.index(-1)]}: its name has no number")
    steps = np.diff(numbers)
    if (steps == 0).any():
        twice = int(np.flatnonzero(steps == 0)[0])
        raise EvaluationError(
            f"{files[twice]} and {files[twice + 1].name} are both frame {numbers[twice]}"
        )
    if not gaps and len(set(steps.tolist())) > 1:
        usual = Counter(steps.tolist()).most_common(1)[0][0]
        at = int(np.flatnonzero(steps != usual)[0])
        raise EvaluationError(
            f"{files[at].parent}: a frame is missing between {files[at].name} and "
            f"{files[at + 1].name}"
        )
    return numbers


def size_of(file: Path) -> tuple[int, int]:
    """Height and width that an image's file says. Raises EvaluationError where it says none."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    try:
        width, height = declared_size(head)
    except ValueError as error:
        raise EvaluationError(f"{file}: {error}" if head else f"{file}: is empty") from error
    if not height or not width:
        raise EvaluationError(f"{file}: says that it is {width}x{height}, which is no picture")
    return height, width


def _size(files: Sequence[Path]) -> tuple[int, int]:
    sizes: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for file in files:
        sizes[size_of(file)].append(file)
    if len(sizes) > 1:
        (usual, _), (odd, those) = sorted(sizes.items(), key=lambda item: -len(item[1]))[:2]
        raise EvaluationError(
            f"{those[0]}: is {odd[1]}x{odd[0]}, the other frames are {usual[1]}x{usual[0]}"
        )
    return next(iter(sizes))


def _kind_said(folder: Path | None) -> DepthKind | None:
    """Which depth it is, where `clip.json` of `idol-eval run` says it."""
    kind = _said(folder).get("depth_kind")
    return kind if kind in ("person", "frame") else None


def _said(folder: Path | None) -> dict[str, Any]:
    """What `clip.json` says, where there is one."""
    file = None if folder is None else folder / CLIP
    if file is None or not file.is_file():
        return {}
    try:
        said = parse_json(file.read_bytes())
    except ValueError as error:
        raise EvaluationError(f"{file}: is not JSON ({error})") from error
    return said if isinstance(said, dict) else {}
