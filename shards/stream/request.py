"""What is asked of each clip, and what its tar must hold for that."""

from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from shards.latents import LatentsInfo
from shards.sample.modalities import (
    MODALITIES,
    REFERENCE,
    Depth,
    Modality,
    Streamed,
    streamed_rows,
)
from shards.stream.foreground import Cut, Hole

__all__ = ["DEPTH_SCORES", "POSED", "POSED_DEPTH", "Request", "depth_there", "modalities_there"]

DEPTH_SCORES = "depth_scores"
"""How far the annotator trusts the depth of each frame, (T,) uint8, 255 wholly: from the json."""

POSED = "posed"
"""The background under each frame with the foreground's person over it, limb by limb in the frame's
pose, (T, H, W, 3) uint8: made of reference and key points, `shards.sample.posed`."""

POSED_DEPTH = "posed_depth"
"""Depth of the person so laid over, before white, by how deep the joints are taken to be: (T, H, W,
3) uint8 in `hot` colours, as a person's depth is."""

_DERIVED = (DEPTH_SCORES, POSED, POSED_DEPTH)
_OF_FRAME = frozenset({"rgb", "mask"})  # what pre-training cuts foreground and background from


@dataclass(frozen=True)
class Request:
    """The content of a sample. Raises ValueError naming the first mistake.

    `modalities`      arrays wanted, as the table's rows are streamed; `reference` stands for
                      foreground, background and their masks; `depth_scores` are in the json, and
                      `posed` is made of the reference, which is then wanted too, and
                      `posed_depth` beside it.
    `hole`            what a background has where the person is: mid grey, or what surrounds it.
    `max_frame_step`  largest distance between successive frames of a sample, in frames of the clip.
    `crop_area`       fraction of the image's area that a random crop keeps: lowest, highest.
    `mirror`          probability of a mirror image.
    `latents`         take these cached latents in place of images, where there can be any: the
                      hole of HAP's and HAOP's background is another each time.
    """

    frames: int
    modalities: frozenset[str]
    depth: Depth
    cut: Cut
    hole: Hole
    max_frame_step: int
    crop_area: tuple[float, float]
    mirror: float
    latents: LatentsInfo | None = None

    def __post_init__(self) -> None:
        if self.frames < 1 or self.max_frame_step < 1:
            raise ValueError("frames and max_frame_step must be at least 1")
        for value, choices in ((self.depth, Depth), (self.cut, Cut), (self.hole, Hole)):
            if value not in get_args(choices):
                raise ValueError(f"{value!r} is not one of {', '.join(get_args(choices))}")
        if unknown := sorted(set(self.modalities) - {*_names(), *_DERIVED}):
            known = ", ".join((*_names(), *_DERIVED))
            raise ValueError(f"no such modality: {', '.join(unknown)}; there are {known}")
        if self.cut != "reference" and self.frames != 1:
            raise ValueError(f"{self.cut} is for single images: frames must be 1")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_area must be two rising fractions in (0, 1], not {low}, {high}")
        if not 0 <= self.mirror <= 1:
            raise ValueError(f"mirror must be a probability, not {self.mirror}")
        if self.moves and self.latents is not None:
            raise ValueError(
                "cached latents are those of whole, unchanged images: stream without crop_area "
                "and mirror, or without latents"
            )
        if POSED in self.modalities:
            if REFERENCE not in self.modalities or self.cut != "reference":
                raise ValueError(f"{POSED} is made of the reference: ask for {REFERENCE} too")
            if self.latents is not None:
                raise ValueError(f"cached latents have no {POSED} foreground: leave one out")
        if POSED_DEPTH in self.modalities and (
            POSED not in self.modalities or self.depth != "person"
        ):
            raise ValueError(
                f"{POSED_DEPTH} is a person's depth: ask for {POSED} too, and for depth of the "
                "person"
            )
        if self.hole != "grey" and self.latents is not None:
            raise ValueError("cached latents are of backgrounds with a grey hole: leave one out")
        still = [row.name for row, streamed in self.rows if streamed.moves == "never"]
        if self.moves and still:
            raise ValueError(
                f"{', '.join(still)} can be neither cropped nor mirrored: stream without crop_area "
                "and mirror, or leave it out"
            )

    @property
    def moves(self) -> bool:
        """Whether images may be cropped or mirrored."""
        return self.crop_area[0] < 1 or self.mirror > 0

    @cached_property  # asked for with each sample
    def rows(self) -> list[tuple[Modality, Streamed]]:
        """The table's rows that are read, in their order.

        With another cut than `reference`, foreground and background are none of them: they are cut
        from the frame itself.
        """
        return [
            (row, streamed)
            for row, streamed in self._wanted
            if self.cut == "reference" or streamed.group != REFERENCE
        ]

    @property
    def _wanted(self) -> list[tuple[Modality, Streamed]]:
        return [
            (row, streamed)
            for row, streamed in _rows(self.depth)
            if streamed.asked_as in self.modalities
        ]

    @property
    def stored(self) -> frozenset[str]:
        """Modalities that the tars must have, by their names in the table."""
        stored = {"rgb", *(row.name for row, _ in self.rows)}
        redrawn = any(streamed.moves == "redrawn" for _, streamed in self.rows)
        if (self.moves and redrawn) or POSED in self.modalities:
            stored.add("keypoints")
        if self.cut != "reference" and REFERENCE in self.modalities:
            stored |= _OF_FRAME
        return frozenset(stored)

    @cached_property
    def cached(self) -> dict[str, str]:
        """What is taken from latents: a sample's array to the member of the tar."""
        if self.latents is None:
            return {}
        return {
            f"{streamed.array}_latents": f"{row.name}_latents"
            for row, streamed in self.rows
            if streamed.latents
        }

    def shapes(self, height: int, width: int) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a sample; `recycle.dtype_of` gives its type."""
        shapes: dict[str, tuple[int, ...]] = {}
        needless = set()
        for row, streamed in self._wanted:
            time = () if row.files == "still" else (self.frames,)
            if self.latents is not None and f"{streamed.array}_latents" in self.cached:
                shapes[f"{streamed.array}_latents"] = (*time, *self.latents.shape)
                if streamed.hole:  # it is in the latents
                    needless.add(_array_of(streamed.hole))
            else:
                colours = (3,) if streamed.channels == 3 else ()
                shapes[streamed.array] = (*time, height, width, *colours)
        if DEPTH_SCORES in self.modalities:
            shapes[DEPTH_SCORES] = (self.frames,)
        if POSED in self.modalities:
            shapes[POSED] = (self.frames, height, width, 3)
        if POSED_DEPTH in self.modalities:
            shapes[POSED_DEPTH] = (self.frames, height, width, 3)
        return {name: shape for name, shape in shapes.items() if name not in needless}


def modalities_there(stored: AbstractSet[str], depth: Depth, cut: Cut) -> frozenset[str]:
    """All that can be asked of a clip with these stored modalities."""
    asked, lacking = {"rgb"}, set()
    for row, streamed in _rows(depth):
        of_frame = cut != "reference" and streamed.group == REFERENCE
        asked.add(streamed.asked_as)
        if not (_OF_FRAME if of_frame else {row.name}) <= stored:
            lacking.add(streamed.asked_as)
    return frozenset(asked - (lacking - {"rgb"}))


def depth_there(stored: Collection[str]) -> Depth:
    """The person's depth, the paper's default, unless the whole frame's is the only one."""
    depths = [s.depth for row, s in streamed_rows() if s.depth and row.name in stored]
    return depths[0] if depths else "person"


def _rows(depth: Depth) -> Iterator[tuple[Modality, Streamed]]:
    """The table's rows that are streamed, with one of the two depths."""
    for row, streamed in streamed_rows():
        if streamed.depth in (None, depth):
            yield row, streamed


def _names() -> list[str]:
    return [*dict.fromkeys(streamed.asked_as for _, streamed in streamed_rows())]


def _array_of(modality: str) -> str:
    streamed = MODALITIES[modality].streamed
    assert streamed is not None
    return streamed.array
