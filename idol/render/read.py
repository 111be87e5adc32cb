"""Reading what is to be rendered: outputs of `idol-generate`, clips of shards, and other people's
videos with depth. The one file of this room that knows files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from idol.config.generate import is_dataset
from idol.config.render import RenderConfig
from idol.render.errors import RenderError
from idol.render.footage import Footage, of_one_shape, picked
from shards import Clip, open_dataset
from shards.files.digest import parse_json
from shards.sample.clip import BACKGROUND_DEPTH, FOREGROUND_DEPTH_END
from shards.sample.colormap import grey_to_depth
from shards.sample.images import decode_image, decode_picture
from shards.sample.traces import depth_said, number_said, range_said
from shards.sample.upright import Turn

__all__ = ["coverage", "read_footage"]

_BETWEEN = "::"
_REPORT, _VIDEO = "report.json", "video.mp4"  # of `idol-generate`
_FPS = 25.0
_LEAST = 0.1  # metres from a camera: what is nearer is a sensor's mistake
_IMAGES = (".png", ".jpg", ".jpeg")
_PERSON_END = (FOREGROUND_DEPTH_END + BACKGROUND_DEPTH) / 2
# A generated edge is as soft as this at most; beyond, what is not quite background is noise.
_EDGE = 2
# Of 255, between the channels of a grey film: more, in more than this share of a frame, is colour.
_TINT, _TINTED = 16, 0.01
_NOISE = 0.1
# Names of an EXR's channel of depth, in whatever case, the surest first; and of channels beside
# which one of these is a part of a direction, a place or a colour.
_DEPTHS = ("z", "depth", "y", "v")
_NO_DEPTH_BESIDE = {"z": {"x"}, "y": {"x", "ry", "by"}, "v": {"u"}}


def read_footage(config: RenderConfig) -> Footage:
    """What the command line names.

    Raises:
        RenderError: naming the file, and what is wrong with it.
        ShardsError: there is no such clip, or it is damaged.
    """
    path = Path(config.video)
    if _BETWEEN in config.video and not path.exists():
        footage = _clip(config)
    elif path.is_dir() and (path / _REPORT).is_file() and config.depth is None:
        footage = _generated(path, config)
    elif path.exists():
        footage = _other(path, config)
    else:
        raise RenderError(
            f"{path} does not exist: give a video, an output of idol-generate, or DATASET::KEY"
        )
    return footage


def coverage(depth: np.ndarray) -> np.ndarray:
    """(H, W) uint8: how much of a pixel the person covers, by their depth alone.

    Depth of the person is .75 at most and of the background 1, and soft edges are mixtures of both,
    in depth as in colours.

    Args:
        depth: (H, W) floats in [0, 1].
    """
    person = (depth <= _PERSON_END).astype(np.uint8)
    if not person.any():
        return np.zeros(depth.shape, np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(person, kernel)
    near = np.where(inner > 0, depth, 0).astype(np.float32)
    # The person's own depth beside an edge: of the inner pixels around, the farthest.
    own = cv2.dilate(near, np.ones((2 * _EDGE + 3, 2 * _EDGE + 3), np.uint8))
    share = (BACKGROUND_DEPTH - depth) / np.maximum(BACKGROUND_DEPTH - own, 1e-3)
    share = np.clip((share - _NOISE) / (1 - 2 * _NOISE), 0, 1)
    share = np.where(own > 0, share, person)  # thinner than can be told
    close = cv2.dilate(person, kernel, iterations=_EDGE) > 0
    share = np.where(inner > 0, 1, np.where(close, share, 0))
    covered: np.ndarray = np.rint(share * 255).astype(np.uint8)
    return covered


def _generated(folder: Path, config: RenderConfig) -> Footage:
    try:
        report = parse_json((folder / _REPORT).read_bytes())
        outputs = report["outputs"]
        kind, metres = outputs["depth_kind"], outputs["metres"]
        fps, count = float(outputs["fps"]), int(outputs["frames"])
    except (ValueError, KeyError, TypeError) as error:
        raise RenderError(
            f"{folder / _REPORT} is damaged, or not what idol-generate wrote: generate again"
        ) from error
    chosen = _chosen(count, config, folder)
    frames = _frames(folder / _VIDEO, config)
    files = [folder / "depth" / f"{t:05d}.png" for t in chosen]
    relative = np.stack([grey_to_depth(_image(file)) for file in files])
    if len(frames) != len(relative):
        raise RenderError(f"{folder / 'video.mp4'} has other frames than {folder / 'depth'}")
    depth, unit = relative, "relative"
    told = {"from": "idol-generate", "depth_kind": kind}
    if metres:
        depth = np.stack([_exr(file.with_suffix(".exr"), "metres") for file in files])
        unit = "metres"
    mask = surroundings = None
    if config.mask is not None:
        mask, told["mask_from"] = _masks(config.mask, config), config.mask.name
    elif kind == "person":
        mask, told["mask_from"] = np.stack([coverage(d) for d in relative]), "the generated depth"
    if kind == "person":
        depth = np.where(relative <= _PERSON_END, depth, np.float32(np.nan))
    else:
        surroundings = depth
    background, hole = _place(config, folder / "background.png")
    return Footage(
        frames, depth.astype(np.float32), config.fps or fps,
        "metres" if unit == "metres" else "relative",
        mask, background, hole, surroundings,
        name=folder.resolve().name, generated=True, told=told,
    )  # fmt: skip


def _clip(config: RenderConfig) -> Footage:
    dataset, _, key = config.video.rpartition(_BETWEEN)
    if not dataset or not key:
        raise RenderError(
            f"{config.video}: a clip is named as DATASET::KEY; `idol-shards ls` lists keys"
        )
    clip = open_dataset(dataset).read(key)
    chosen = list(_chosen(len(clip.rgb), config, clip.key))
    name = "depth_person" if clip.depth_person is not None else "depth_frame"
    if clip[name] is None:
        raise RenderError(f"clip {clip.key} has no depth: build with a depth annotator")
    depth, unit = _depth_of(clip, name)
    told: dict[str, Any] = {"from": "shards", "depth": name, "depth_unit": unit}
    mask, surroundings = clip.mask, None
    if config.mask is not None:
        mask, told["mask_from"] = _masks(config.mask, config), config.mask.name
    elif mask is not None:
        mask, told["mask_from"] = mask[chosen], "the clip"
    elif name == "depth_person":
        mask = np.where(np.isfinite(depth[chosen]), 255, 0).astype(np.uint8)
        told["mask_from"] = "the person's depth"
    if name == "depth_frame":
        surroundings = depth[chosen]
    elif clip.depth_frame is not None and _comparable(clip):
        surroundings = _depth_of(clip, "depth_frame")[0][chosen]
    background, hole = clip.background, clip.background_mask
    if config.background is not None:
        background, hole = _place(config, None)
    focal, centre = (None, None) if config.view is not None else _camera_said(clip)
    return Footage(
        clip.rgb[chosen], depth[chosen], config.fps or number_said(clip.info, "fps") or _FPS,
        "metres" if unit.startswith("metres") else "relative",
        mask, background, hole, surroundings,
        focal=focal, centre=centre, name=clip.key, told=told,
    )  # fmt: skip


def _camera_said(clip: Clip) -> tuple[float | None, tuple[float, float] | None]:
    """The focal length and the centre that the clip's json has of its camera."""
    camera = clip.info.get("camera")
    focal = number_said(camera, "focal")
    if focal is None or focal <= 0:
        return None, None
    centre = camera.get("centre") if isinstance(camera, dict) else None
    if not isinstance(centre, list) or len(centre) != 2:
        return focal, None
    x, y = (number_said({"at": at}, "at") for at in centre)
    return focal, None if x is None or y is None else (x, y)


def _depth_of(clip: Clip, name: str) -> tuple[np.ndarray, str]:
    """(T, S, S) float32, NaN where not known, smaller nearer; and its unit in the clip's words."""
    described = depth_said(clip.info, name)
    if range_said(clip.info, name) and str(described.get("unit")).startswith("metres"):
        return clip.depth_in_unit(name), str(described["unit"])
    depth = clip[name]
    assert depth is not None
    if described.get("grey") == "near-white":
        depth = 1 - depth
    if name == "depth_person":
        depth = np.where(depth <= _PERSON_END, depth, np.float32(np.nan))
    return depth.astype(np.float32), "relative"


def _comparable(clip: Clip) -> bool:
    """Whether both depths of a clip are in one unit, so that the place can be put behind."""
    names = "depth_person", "depth_frame"
    both = [depth_said(clip.info, name) for name in names]
    units = {str(described.get("unit")) for described in both}
    annotators = clip.info.get("annotators")
    who = [annotators.get(n) if isinstance(annotators, dict) else None for n in names]
    metres = all(range_said(clip.info, name) for name in names) and units.pop().startswith("metres")
    return metres and not units and who[0] == who[1]


def _other(path: Path, config: RenderConfig) -> Footage:
    if is_dataset(path):
        raise RenderError(f"{path} is a dataset: name a clip of it, as {path}::KEY")
    if config.depth is None:
        missing = "" if path.is_file() else f"holds no {_REPORT} of idol-generate, and "
        raise RenderError(f"{path} {missing}brings no depth: give it as --depth")
    if (path / _REPORT).is_file() and (path / _VIDEO).is_file():
        raise RenderError(
            f"{path} is an output of idol-generate, which has its own depth: leave out --depth, or "
            f"give {path / _VIDEO}"
        )
    frames = _frames(path, config)
    depth, files = _depth_files(config.depth, config, frames.shape)
    unit = "relative"
    if config.depth_unit == "inverse":
        depth = -depth
    elif config.depth_unit != "relative":
        unit = "metres"
        if config.depth_unit == "millimetres":
            depth = depth / 1000
        if not (depth > _LEAST).any():
            raise RenderError(
                f"--depth {config.depth}: nothing in it is farther than {_LEAST} m, as "
                f"--depth-unit {config.depth_unit} has it: give another"
            )
        depth = np.where(depth > _LEAST, depth, np.nan)
    depth = np.where(np.isfinite(depth), depth, np.nan).astype(np.float32)
    mask = None
    told: dict[str, Any] = {"from": path.name, "depth_from": files, "depth_unit": config.depth_unit}
    if config.mask is not None:
        mask, told["mask_from"] = _masks(config.mask, config), config.mask.name
    background, hole = _place(config, None)
    return Footage(
        frames, depth, config.fps or _rate(path),
        "metres" if unit == "metres" else "relative",
        mask, background, hole, depth if np.isfinite(depth).all() else None,
        name=path.resolve().stem, told=told,
    )  # fmt: skip


def _chosen(count: int, config: RenderConfig, what: object) -> range:
    if config.start_frame >= count:
        raise RenderError(
            f"{what} has {count} frames: --start-frame {config.start_frame} is beyond its end"
        )
    end = count if config.frames is None else min(count, config.start_frame + config.frames)
    return range(config.start_frame, end)


def _frames(path: Path, config: RenderConfig) -> np.ndarray:
    """(F, H, W, 3) uint8: the chosen frames of a video or a folder of images."""
    return _stacked((_fitted(picture, config.picture) for picture in _taken(path, config)), path)


def _taken(path: Path, config: RenderConfig) -> Iterator[np.ndarray]:
    """The chosen frames, (H, W, 3) uint8, as they come. Raises RenderError where there are none."""
    pictures = _listed(path) if path.is_dir() else _decoded(path)
    last = None if config.frames is None else config.start_frame + config.frames
    count = 0
    for picture in islice(pictures, config.start_frame, last):
        count += 1
        yield picture
    if not count:
        raise RenderError(f"{path} has no frames from --start-frame {config.start_frame} on")


def _fitted(picture: np.ndarray, most: int) -> np.ndarray:
    """The picture, made smaller where a side is longer."""
    height, width = picture.shape[:2]
    factor = most / max(height, width)
    if factor >= 1:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _stacked(arrays: Iterable[np.ndarray], path: Path) -> np.ndarray:
    """One array of one or more, which do not stay beside it. Raises RenderError where they differ
    in size."""
    found: list[np.ndarray] = []
    for array in arrays:
        if found and array.shape != found[0].shape:
            raise RenderError(f"{path}: its images are of different sizes")
        found.append(array)
    whole = np.empty((len(found), *found[0].shape), found[0].dtype)
    for index in reversed(range(len(found))):
        whole[index] = found.pop()
    return whole


def _listed(folder: Path) -> Iterator[np.ndarray]:
    files = _numbered(folder, _IMAGES)
    if not files:
        raise RenderError(f"{folder} holds no images: PNG or JPEG, one a frame")
    yield from map(_picture, files)


def _picture(file: Path) -> np.ndarray:
    """(H, W, 3) uint8 of an image file."""
    image = _image(file)
    if image.dtype != np.uint8:
        raise RenderError(f"{file} has 16 bits a channel: frames have 8")
    return np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image


def _decoded(path: Path) -> Iterator[np.ndarray]:
    if path.suffix.lower() in _IMAGES:
        yield _picture(path)
        return
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise RenderError(f"{path} has no video in it")
            for frame in container.decode(video=0):
                yield Turn.of_frame(frame).apply(frame.to_ndarray(format="rgb24"))
    except av.FFmpegError as error:
        raise RenderError(f"{path} cannot be read as a video: {error.strerror or error}") from error


def _rate(path: Path) -> float:
    if path.is_dir() or path.suffix.lower() in _IMAGES:
        return _FPS
    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or _FPS)


def _depth_files(
    path: Path, config: RenderConfig, shape: tuple[int, ...]
) -> tuple[np.ndarray, str]:
    """(F, h, w) float32 of the chosen frames, (F, H, W, 3), as it is in the files, but no finer
    than --grid; and what they are."""
    if not path.exists():
        raise RenderError(f"--depth {path} does not exist")
    end = None if config.frames is None else config.start_frame + config.frames
    read: Iterable[np.ndarray]
    if path.suffix.lower() == ".npy":
        read, kind = _npy(path)[config.start_frame : end], "npy"
    elif path.is_dir():
        files = _numbered(path, (".exr",)) or _numbered(path, (".png",))
        if not files:
            raise RenderError(f"--depth {path} holds no .exr and no .png, one a frame")
        chosen = files[config.start_frame : end]
        if len(chosen) == shape[0]:
            _check_numbers("--depth", path, chosen, config)
        read, kind = map(_depth_file, chosen), files[0].suffix[1:].lower()
    elif path.suffix.lower() in (".exr", ".png"):
        read, kind = [_depth_file(path)], path.suffix[1:].lower()
    else:
        read, kind = (_grey_of_film(p, path) for p in _taken(path, config)), "video, 8 bits"
    depth, sizes = [], set()
    for one in read:
        sizes.add(one.shape)
        if len(sizes) > 1:
            raise RenderError(f"--depth {path}: its files are of different sizes")
        depth.append(picked(one, config.grid).astype(np.float32))
    if len(depth) != shape[0]:
        raise RenderError(
            f"--depth {path} has {len(depth)} frames, and the video {shape[0]}: give one a frame"
        )
    ((height, width),) = sizes
    if not of_one_shape((height, width), shape[1:]):
        raise RenderError(
            f"--depth {path} is {width}x{height}, of another shape than the video's "
            f"{shape[2]}x{shape[1]}"
        )
    return np.stack(depth), kind


def _npy(path: Path) -> np.ndarray:
    """(F, h, w) numbers, which stay in the file until they are looked at."""
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise RenderError(f"--depth {path} is not a .npy of numbers: {error}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise RenderError(f"--depth {path} holds several arrays (.npz): save one, as .npy")
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype.kind not in "fiu":
        raise RenderError(f"--depth {path} is an array of {array.dtype}, not of numbers")
    if not array.size:
        raise RenderError(f"--depth {path} is empty: {array.shape}")
    if array.ndim != 3:
        raise RenderError(
            f"--depth {path} is {array.dtype}{array.shape}: it must be (frames, height, width)"
        )
    return array


def _depth_file(path: Path) -> np.ndarray:
    return _exr(path) if path.suffix.lower() == ".exr" else _grey(path)


def _grey(path: Path) -> np.ndarray:
    """(H, W) float32: numbers as they are in a grey PNG."""
    image = _image(path)
    if image.ndim == 3:
        if not (np.ptp(image, axis=-1) <= 2).all():
            raise RenderError(f"{path} is coloured: depth has to be grey, or EXR, or .npy")
        image = image[..., 0]
    return image.astype(np.float32)


def _grey_of_film(picture: np.ndarray, path: Path) -> np.ndarray:
    """(H, W) in [0, 1] of a frame whose colours compression alone may have left."""
    if (np.ptp(picture, axis=-1) > _TINT).mean() > _TINTED:
        raise RenderError(f"--depth {path} is coloured: depth has to be grey, or EXR, or .npy")
    return picture.mean(axis=-1) / 255


def _exr(path: Path, channel: str | None = None) -> np.ndarray:
    """(H, W) float32: a channel of an EXR; that of depth, unless named."""
    try:
        import OpenEXR
    except ImportError as error:
        raise RenderError(
            f"{path}: EXR needs OpenEXR: `pip install 'idol-video[render]'` installs it"
        ) from error
    if not path.is_file():
        raise RenderError(f"{path} does not exist")
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: found.pixels for name, found in file.channels().items()}
    except Exception as error:  # OpenEXR raises RuntimeError, TypeError, and its own
        raise RenderError(f"{path} cannot be read as EXR: {error}") from error
    name = channel or _depth_channel(channels)
    if name in channels:
        return np.asarray(channels[name], np.float32)
    there = ", ".join(sorted(channels))
    if channel:
        raise RenderError(f"{path} has no channel {channel}: it has {there}")
    raise RenderError(
        f"{path} does not say which of its channels ({there}) is depth: save that one alone, or "
        "named Z, and give it as --depth"
    )


def _depth_channel(channels: Mapping[str, np.ndarray]) -> str | None:
    """The name of an EXR's channel that is depth; None where that cannot be told."""
    names = sorted(channels)
    if len(names) == 1:
        return names[0]
    layers: dict[str, set[str]] = {}
    for name in names:
        layer, _, last = name.lower().rpartition(".")
        layers.setdefault(layer, set()).add(last)

    def is_depth(name: str) -> bool:
        layer, _, last = name.lower().rpartition(".")
        return last in _DEPTHS and not _NO_DEPTH_BESIDE.get(last, set()) & layers[layer]

    found = [name for name in names if is_depth(name)]
    whole = [name for name in found if "." not in name]
    if whole:
        return min(whole, key=lambda name: _DEPTHS.index(name.lower()))
    if found:
        return found[0] if len(found) == 1 else None
    if "R" not in channels:
        return None
    # Grey that is stored as a colour, and no colour.
    grey = all(
        np.array_equal(channels["R"], channels[name], equal_nan=True)
        for name in ("G", "B")
        if name in channels
    )
    return "R" if grey else None


def _masks(path: Path, config: RenderConfig) -> np.ndarray:
    if not path.exists():
        raise RenderError(f"--mask {path} does not exist")
    if path.is_dir():
        end = None if config.frames is None else config.start_frame + config.frames
        _check_numbers("--mask", path, _numbered(path, _IMAGES)[config.start_frame : end], config)
    fitted = (_fitted(picture, config.picture) for picture in _taken(path, config))
    masks = _stacked((np.rint(one.mean(axis=-1)).astype(np.uint8) for one in fitted), path)
    # Of 0 and 1 alone: what others mean by a mask, too.
    return masks * np.uint8(255) if masks.max() == 1 else masks


def _place(
    config: RenderConfig, beside: Path | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The given background and its hole; that of a file beside the video, unless one was given."""
    path = config.background or beside
    if path is None or (config.background is None and not path.is_file()):
        return None, None
    if not path.is_file():
        raise RenderError(f"--background {path} does not exist")
    content = path.read_bytes()
    try:
        image = decode_picture(content)
    except ValueError as error:
        raise RenderError(
            f"{path} cannot be the background: {error}; give another as --background"
        ) from error
    if image.dtype != np.uint8:
        raise RenderError(f"{path} is no image of 8 bits a channel")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    image = Turn.of_image(content).apply(image)
    rgb = np.ascontiguousarray(image[..., :3])
    return rgb, np.ascontiguousarray(255 - image[..., 3]) if image.shape[-1] == 4 else None


def _numbered(folder: Path, kinds: tuple[str, ...]) -> list[Path]:
    """Files of these kinds, by the numbers in their names, 2 before 10; hidden ones are none."""
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in kinds and not path.name.startswith(".") and path.is_file()
    ]

    def order(path: Path) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", path.stem)
        return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts]

    return sorted(files, key=order)


def _check_numbers(option: str, folder: Path, files: list[Path], config: RenderConfig) -> None:
    """Raises RenderError where files have other numbers than the frames, or leave one out, so that
    all after it are shifted. Counting may begin elsewhere, and names may have no numbers."""
    video, numbers = Path(config.video), _numbers(files)
    frames: list[int] | None = None
    if video.is_dir():
        end = None if config.frames is None else config.start_frame + config.frames
        frames = _numbers(_numbered(video, _IMAGES)[config.start_frame : end])
    if numbers is None or numbers == frames:
        return
    if (at := _gap(numbers)) is not None:
        raise RenderError(
            f"{option} {folder}: one is missing between {files[at].name} and {files[at + 1].name}"
        )
    if frames and (at := _gap(frames)) is not None:
        raise RenderError(
            f"{option} {folder} goes on where {video} lacks a frame between numbers {frames[at]} "
            f"and {frames[at + 1]}: give one a frame"
        )


def _numbers(files: list[Path]) -> list[int] | None:
    """The last number of each name; None where they do not count."""
    found = [re.findall(r"[0-9]+", file.stem)[-1:] for file in files]
    numbers = [int(last[0]) for last in found if last]
    rises = len(numbers) == len(files) and all(a < b for a, b in pairwise(numbers))
    return numbers if rises else None


def _gap(numbers: list[int]) -> int | None:
    """The place of the first step that is several of the smallest; None where there is none, or
    steps are of any length, as those of times are."""
    steps = [b - a for a, b in pairwise(numbers)]
    least = min(steps, default=1)
    if any(step % least for step in steps):
        return None
    return next((at for at, step in enumerate(steps) if step != least), None)


def _image(path: Path) -> np.ndarray:
    """An image file's array, upright."""
    try:
        content = path.read_bytes()
        return Turn.of_image(content).apply(decode_image(content))
    except FileNotFoundError as error:
        raise RenderError(f"{path} does not exist") from error
    except ValueError as error:
        raise RenderError(f"{path}: {error}") from error
