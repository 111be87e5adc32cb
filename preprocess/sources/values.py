"""What every source gives: a `Listing` of `Video`s, in an order that depends on names alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from preprocess.frames import FrameReader
from preprocess.truth import TruthReader

__all__ = ["Listing", "PassedOver", "Split", "Spread", "Unreadable", "Video"]

Split = Literal["train", "val"]


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Spread(Protocol):
    """How files are looked at, several at a time: in threads, in processes, on a cluster."""

    def __call__(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item]
    ) -> Iterator[_Result]:
        """The results in the order of the items; `work` and both can be pickled."""
        ...


@dataclass(frozen=True, slots=True)
class Video:
    """A run of frames in the source; a single image is a video of one frame.

    `id` is unique in the source. `group` is what must not be torn between train and val (the
    video itself, or its performer); `background` the place that must not be on both sides either,
    None where none is known. `split` is the published one, or None where none is.
    `truth` knows all of the frames of a video that was rendered.
    `densepose` and `masks` read the source's own DensePose images and person masks of the same
    indices; None where the source has none at all, and reading one that is missing raises a
    ClipError that names it. Masks are white (or grey, for soft edges) where the person is.
    """

    id: str
    frames: int
    fps: float
    reader: FrameReader
    group: str
    split: Split | None = None
    densepose: FrameReader | None = None
    masks: FrameReader | None = None
    truth: TruthReader | None = None

    def given(self, of: Literal["masks", "densepose", "truth"]) -> FrameReader | TruthReader | None:
        """Who reads what the source has itself: what is true of a frame has its masks."""
        if of == "masks":
            return self.masks or self.truth
        return self.densepose if of == "densepose" else self.truth

    background: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of the source that gives no video, or not all of it, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Files of one kind that lie in a source and are not read, such as `.heic`."""

    kind: str
    files: int
    first: str  # its path in the source


@dataclass(frozen=True)
class Listing:
    """The videos of a source, what of it cannot be used, and what was not read."""

    videos: tuple[Video, ...]
    unreadable: tuple[Unreadable, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
