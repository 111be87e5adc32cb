"""The table of modalities: a row says all that is known of one. Another modality is another row.

Members of a sample, one modality's after the other:

{key}.json               what the clip is, and which annotator made what
{key}.rgb.000.jpg ...    a file a frame: rgb, mask, pose, depth_person, depth_frame,
                         normals, flow
{key}.keypoints.npy      a file for all frames: keypoints, joints
{key}.reference.jpg      a file for a still image: reference, reference_mask, background,
                         background_mask
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shards.errors import BadSample
from shards.sample import drawing
from shards.sample.encodings import (
    COLOUR,
    FLOW,
    GREY,
    GREY_DEPTH,
    HOT_DEPTH,
    JPEG,
    POINTS,
    SPACE,
    Encoding,
)
from shards.sample.metrics import depth_flicker, pose_jitter
from shards.sample.reference import (
    background_lost,
    background_shift,
    coverage,
    reference_faults,
    without_subject,
)
from shards.sample.traces import confidence, depth_range, depth_unit, share

__all__ = [
    "JSON",
    "MODALITIES",
    "REFERENCE",
    "Depth",
    "Measure",
    "Modality",
    "Streamed",
    "Trace",
    "measures",
    "member_name",
    "parse_suffix",
    "split_name",
    "streamed_rows",
]

JSON = "json"
REFERENCE = "reference"  # of streams: foreground, background and their masks together
Depth = Literal["person", "frame"]


@dataclass(frozen=True)
class Streamed:
    """How training is given a modality whose frames are images: uint8, as they are stored.

    `array`     its name in a `ClipSample`.
    `group`     what a stream is asked for to get it, together with others; else its array.
    `depth`     which of the depths it is, for the rows that share the array `depth`: a stream takes
                one of them.
    `channels`  3, where grey is repeated in each, or 1, without an axis for it.
    `moves`     what a random crop and a mirror image do: `smooth` mixes neighbouring pixels,
                `exact` takes the nearest, for values of which a mean means nothing; `redrawn` is
                drawn again from the key points; `never` refuses both.
    `cropped`   whether a random crop is its too, besides the mirror image: of what lies under the
                frames, pixel by pixel.
    `hole`      the modality whose mask cuts a mid-grey hole into it.
    `latents`   whether its latents may be cached, in the member `{modality}_latents`.
    """

    array: str
    group: str = ""
    depth: Depth | None = None
    channels: Literal[1, 3] = 3
    moves: Literal["smooth", "exact", "redrawn", "never"] = "smooth"
    cropped: bool = True
    hole: str = ""
    latents: bool = False

    @property
    def asked_as(self) -> str:
        """The name by which a stream is asked for it."""
        return self.group or self.array


@dataclass(frozen=True)
class Measure:
    """A number that tells good annotations from bad ones, for `idol-shards stats`.

    `name` in JSON, `title` and `unit` in tables, where it is shown times `factor`; `needs` are the
    modalities whose arrays `compute` takes, or `JSON` for the clip's json. NaN where a clip says
    nothing. `worst` is which of the values are. What is `counted` is added up over clips.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    compute: Callable[..., float]
    factor: float = 1
    unit: str = ""
    worst: Literal["highest", "lowest"] = "highest"
    counted: bool = False


@dataclass(frozen=True)
class Trace:
    """What a page draws of a clip over time, as `shards.sample.traces` says.

    `compute` takes the clip's json and the modality's array; `unit` the json.
    """

    title: str
    compute: Callable[[Mapping[str, Any], np.ndarray], np.ndarray]
    unit: Callable[[Mapping[str, Any]], str] = lambda info: ""


@dataclass(frozen=True, kw_only=True)
class Modality:
    """All that is known of a modality.

    `name`      of the members, of the array in a `Clip`, in `sizes` of a manifest's entry, and with
                `bytes_` before it the column of the index.
    `encoding`  shape and type of the array, the files, and the check of their values.
    `files`     `frames`: one a frame; `whole`: one for all frames; `still`: one, of no time.
    `title`, `draw`, `over`
                the row on a contact sheet: from (T, H, W, 3) uint8 frames, those of the modality
                `over`, and the clip's array to (T, H, W, 3) uint8 tiles; of still images T is 1.
                Without `draw` there is none.
    `measures`  what statistics tell of it.
    `traces`    what is drawn of it over time.
    `agrees`    from the clip's json and the arrays of still images, by modality, to what is wrong
                between them, one line each.
    `streamed`  how training is given it, if it is.
    """

    name: str
    encoding: Encoding
    files: Literal["frames", "whole", "still"] = "frames"
    title: str = ""
    draw: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    over: str = "rgb"
    measures: tuple[Measure, ...] = ()
    traces: tuple[Trace, ...] = ()
    agrees: Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Iterator[str]] | None = None
    streamed: Streamed | None = None

    def check(self, array: np.ndarray, frames: int, height: int, width: int) -> None:
        """Raises ValueError for an array of another type or shape than a clip of this size has."""
        size = {"H": height, "W": width}
        shape = tuple(size.get(n, n) if isinstance(n, str) else n for n in self.encoding.shape)
        if self.files != "still":
            shape = (frames, *shape)
        fits = array.ndim == len(shape) and all(
            isinstance(wanted, str) or n == wanted
            for n, wanted in zip(array.shape, shape, strict=True)
        )
        if array.dtype != self.encoding.dtype or not fits:
            wanted = f"{np.dtype(self.encoding.dtype)}({', '.join(map(str, shape))})"
            raise ValueError(f"{self.name} is {array.dtype}{array.shape}, not {wanted}")

    def read(self, name: str, data: bytes) -> np.ndarray:
        """The stored array in the member `name`: a frame's, or that of all frames.

        Raises BadSample, naming the member, for what cannot be decoded or is of another type.
        """
        try:
            array = self.encoding.read(data)
        except ValueError as error:
            raise BadSample(f"{name}: {error}") from error
        if (array.ndim, array.dtype) != self.encoding.stored:
            raise BadSample(f"{name}: is {array.dtype}{array.shape}, wrong for {self.name}")
        return array


def _depth(
    name: Depth, title: str, encoding: Encoding, *, moves: Literal["smooth", "exact"]
) -> Modality:
    flicker = Measure(
        f"depth_{name}_flicker",
        f"depth flicker, {name}",
        (f"depth_{name}", "mask"),
        depth_flicker,
        unit="depth",
    )
    return Modality(
        name=f"depth_{name}",
        encoding=encoding,
        title=title,
        draw=drawing.hot if encoding is HOT_DEPTH else drawing.grey,
        measures=(flicker,),
        traces=(
            Trace(f"range of {title}", depth_range(f"depth_{name}"), depth_unit(f"depth_{name}")),
        ),
        streamed=Streamed("depth", depth=name, moves=moves, latents=True),
    )


def _said(section: str, name: str) -> Callable[[Mapping[str, Any]], float]:
    """What a section of the json says under a name: a number, or how many it lists."""

    def compute(info: Mapping[str, Any]) -> float:
        of = info.get(section)
        value = of.get(name) if isinstance(of, dict) else None
        number = len(value) if isinstance(value, list) else value
        return float(number) if isinstance(number, int | float) else float("nan")

    return compute


def _counted(name: str, title: str, section: str, entry: str) -> Measure:
    return Measure(name, title, (JSON,), _said(section, entry), counted=True)


MODALITIES: dict[str, Modality] = {
    row.name: row
    for row in (
        Modality(
            name="rgb",
            encoding=JPEG,
            title="frames",
            draw=drawing.as_it_is,
            measures=(
                Measure(
                    "subject_match",
                    "match of the subject",
                    (JSON,),
                    _said("subject", "match"),
                    worst="lowest",
                ),
                _counted("subject_lost", "frames in which the subject was lost", "subject", "lost"),
            ),
            streamed=Streamed("rgb", latents=True),
        ),
        Modality(
            name="mask",
            encoding=GREY,
            title="person mask",
            draw=drawing.outlined,
            measures=(_counted("masks_rejected", "masks rejected", "masks", "rejected"),),
            traces=(Trace("share of the frame that is the person", share),),
            streamed=Streamed("mask", channels=1, moves="exact"),
        ),
        Modality(
            name="pose",
            encoding=COLOUR,
            title="skeleton",
            draw=drawing.over_dimmed,
            streamed=Streamed("pose", moves="redrawn", latents=True),
        ),
        Modality(
            name="keypoints",
            encoding=POINTS,
            files="whole",
            measures=(
                Measure(
                    "pose_jitter",
                    "pose jitter",
                    ("keypoints",),
                    pose_jitter,
                    factor=100,
                    unit="% of body",
                ),
                _counted("keypoints_rejected", "key points rejected", "keypoints", "rejected"),
                _counted(
                    "keypoints_interpolated",
                    "key points interpolated",
                    "keypoints",
                    "interpolated",
                ),
            ),
            traces=(Trace("confidence of the key points", confidence),),
        ),
        # A mean of two hot colours is a third.
        _depth("person", "depth, person", HOT_DEPTH, moves="exact"),
        _depth("frame", "depth, whole frame", GREY_DEPTH, moves="smooth"),
        # Of rendered people alone. A mirror image has other normals and another flow.
        Modality(
            name="normals",
            encoding=COLOUR,
            title="surface normals",
            draw=drawing.as_it_is,
            streamed=Streamed("normals", moves="never"),
        ),
        Modality(name="flow", encoding=FLOW, title="optical flow", draw=drawing.flow),
        Modality(name="joints", encoding=SPACE, files="whole"),
        # CLIP's: the whole person, wherever the frames are cropped.
        Modality(
            name="reference",
            encoding=JPEG,
            files="still",
            title="foreground",
            draw=drawing.as_it_is,
            over="reference",
            measures=(
                Measure(
                    "foreground_without_subject",
                    "foreground does not show the subject",
                    (JSON,),
                    without_subject,
                    counted=True,
                ),
            ),
            agrees=reference_faults,
            streamed=Streamed("foreground", REFERENCE, cropped=False),
        ),
        Modality(
            name="reference_mask",
            encoding=GREY,
            files="still",
            title="foreground's mask",
            draw=drawing.outlined,
            over="reference",
            measures=(
                Measure(
                    "reference_coverage",
                    "reference coverage",
                    ("reference_mask",),
                    coverage,
                    worst="lowest",
                ),
            ),
            streamed=Streamed(
                "foreground_mask", REFERENCE, channels=1, moves="exact", cropped=False
            ),
        ),
        # Added to the noise pixel by pixel: it lies under the frames.
        Modality(
            name="background",
            encoding=JPEG,
            files="still",
            title="background",
            draw=drawing.as_it_is,
            over="background",
            measures=(
                Measure(
                    "background_shift", "background shift", (JSON,), background_shift, unit="pixels"
                ),
                Measure(
                    "background_lost",
                    "background not found again",
                    (JSON,),
                    background_lost,
                    counted=True,
                ),
            ),
            streamed=Streamed("background", REFERENCE, hole="background_mask", latents=True),
        ),
        Modality(
            name="background_mask",
            encoding=GREY,
            files="still",
            title="background's hole",
            draw=drawing.hole_outlined,
            over="background",
            streamed=Streamed("background_mask", REFERENCE, channels=1, moves="exact"),
        ),
    )
}


def streamed_rows() -> Iterator[tuple[Modality, Streamed]]:
    """The rows that training is given."""
    for row in MODALITIES.values():
        if row.streamed is not None:
            yield row, row.streamed


def measures() -> Iterator[Measure]:
    """Those of all rows."""
    for row in MODALITIES.values():
        yield from row.measures


def member_name(key: str, modality: str, frame: int | None = None) -> str:
    """Name of the member with a modality (or `JSON`) of a sample, and of a frame of it."""
    if modality == JSON:
        return f"{key}.json"
    row = MODALITIES[modality]
    if (row.files == "frames") != (frame is not None):
        raise ValueError(f"{modality} is stored per {'frame' if frame is None else 'clip'}")
    middle = "" if frame is None else f".{frame:03d}"
    return f"{key}.{modality}{middle}.{row.encoding.extension}"


def split_name(name: str) -> tuple[str, str]:
    """`(key, suffix)`: a member's name cut at its first dot, as WebDataset does."""
    key, _, suffix = name.partition(".")
    return key, suffix


def parse_suffix(suffix: str) -> tuple[str, int | None] | None:
    """`(modality, frame)` of a member by what follows its key; None for members of others."""
    if suffix == JSON:
        return JSON, None
    match = re.fullmatch(r"(\w+?)(?:\.([0-9]{3,9}))?\.(\w+)", suffix, re.ASCII)
    if match is None:
        return None
    modality, frame, extension = match.groups()
    row = MODALITIES.get(modality)
    if (
        row is None
        or row.encoding.extension != extension
        or (row.files == "frames") != (frame is not None)
    ):
        return None
    return modality, None if frame is None else int(frame)
