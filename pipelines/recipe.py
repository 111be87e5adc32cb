"""The recipe: everything that a dataset's bytes depend on, besides the source itself."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.registry import NONE
from preprocess.annotators.spec import Record
from preprocess.errors import InputError
from preprocess.sources import CUTLESS_DATASETS, IMAGE_DATASETS, DatasetName

__all__ = ["Recipe", "RecipeMistakes"]


class RecipeMistakes(InputError):
    """A recipe cannot be used; `mistakes` has one line for each reason."""

    def __init__(self, mistakes: list[str], what: str = "this recipe") -> None:
        super().__init__(f"{what} cannot be used:\n" + "\n".join(f"  {m}" for m in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class _Clips:
    """Which frames of a source become clips."""

    dataset: DatasetName
    """Layout of the source."""
    where: str | None = None
    """Take these videos alone, as in "performer in (1, 2) and camera == 1" (ntu120)."""
    split: Literal["published", "disco"] = "published"
    """published: train and val as the dataset's layout says, else by val_fraction; disco: val are
    the ten videos on which DisCo and IDOL report (tiktok, disco)."""
    group_by: str | None = None
    """Files of one recording stay on one side of the split: `folder`, or a regular expression for
    their paths whose group (the only one, or the one with a name) they share (videos, images)."""
    clip_length: int | None = None
    """Frames in a clip; 16 unless given, and always 1 for images."""
    stride: int | None = None
    """Source frames from the start of one clip to the next; unless given, clips do not overlap."""
    frame_step: int = 1
    """Take every n-th source frame."""
    shots: Literal["auto", "off"] = "auto"
    """auto: find the cuts in videos first; clips and their reference stay within a shot. off:
    videos are taken to have none."""
    max_gap: float = 2.5
    """No clip holds successive source frames that are more than so many frame times apart: where a
    recording pauses, or frames are missing."""
    size: int = 256
    """Height and width of the clip in pixels."""

    @property
    def frames(self) -> int:
        """Frames in a clip."""
        return self.clip_length or (1 if self.dataset in IMAGE_DATASETS else 16)

    @property
    def span(self) -> int:
        """Source frames from a clip's first to its last, both counted."""
        return (self.frames - 1) * self.frame_step + 1

    def frame_indices(self, first_frame: int) -> tuple[int, ...]:
        """Source frames of the clip that begins at `first_frame`."""
        return tuple(range(first_frame, first_frame + self.span, self.frame_step))

    @property
    def finds_cuts(self) -> bool:
        """Whether videos are looked through for cuts before they are planned."""
        return self.shots == "auto" and self.dataset not in CUTLESS_DATASETS

    @property
    def clip_stride(self) -> int:
        """Source frames between the starts of successive clips."""
        return self.stride or self.frames * self.frame_step


@dataclass(frozen=True)
class Recipe(AnnotatorChoice, _Clips):
    """What to make of a source. Raises RecipeMistakes naming every mistake at once."""

    min_person_frames: float = 0.5
    """Fraction of a clip's frames, 0 to 1, in which a person must be found; other clips are
    quarantined."""
    min_reference: float = 0.05
    """Fraction of the foreground, 0 to 1, that its mask must cover; clips whose reference shows
    less of their person are quarantined. 0 keeps them all."""
    max_background_shift: float | None = None
    """Pixels of the clip by which the background may have moved since the reference frame; clips
    beyond are quarantined."""
    clips_per_shard: int = 64
    """Clips in a tar."""
    val_fraction: float = 0.1
    """Fraction of videos held out where the dataset publishes no split."""
    limit: int | None = None
    """Make only the first n clips."""

    def __post_init__(self) -> None:
        if mistakes := list(self.mistakes()):
            raise RecipeMistakes(mistakes)

    def mistakes(self) -> Iterator[str]:
        """One line each, beginning with the field's name."""
        counts = ("clip_length", "stride", "frame_step", "clips_per_shard", "limit")
        for name in counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                yield f"{name} must be at least 1, not {value}"
        if not 16 <= self.size <= 4096:
            yield f"size must be between 16 and 4096 pixels, not {self.size}"
        if self.dataset in IMAGE_DATASETS and self.clip_length not in (None, 1):
            yield f"clip_length must be 1 for {self.dataset}, not {self.clip_length}"
        if not (math.isfinite(self.max_gap) and self.max_gap >= 1):
            yield f"max_gap must be a number of frame times, at least 1, not {self.max_gap}"
        for name in ("min_person_frames", "min_reference", "val_fraction"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= 1):
                yield f"{name} must be a fraction between 0 and 1, not {value}"
        shift = self.max_background_shift
        if shift is not None and not (math.isfinite(shift) and shift >= 0):
            yield f"max_background_shift must be 0 pixels or more, not {shift}"
        if self.split == "disco" and self.dataset in {*IMAGE_DATASETS, "ntu120", "videos"}:
            yield f"split disco names videos of tiktok and disco; {self.dataset} has none of them"
        if self.group_by is not None:
            if self.dataset not in ("videos", "images"):
                yield f"group_by is for videos and images; {self.dataset} has groups of its own"
            else:
                from preprocess.sources.groups import parse_group_by  # brings what reads images

                try:
                    parse_group_by(self.group_by)
                except InputError as error:
                    yield f"group_by {error}"
        yield from super().mistakes()

    def resolved(self) -> dict[str, Any]:
        """All fields with defaults resolved, as plain JSON; models and folders without their
        place, and `densepose` not at all: it counts by the source's digest or its record. What is
        not asked for of the modalities that few datasets have is left out, so that a modality
        more does not make other datasets of those there are."""
        fields = asdict(self)
        del fields["densepose"]
        for name in ("normals", "flow"):
            if fields[name] == NONE:
                del fields[name]
        lengths = {"clip_length": self.frames, "stride": self.clip_stride}
        made = self.chosen
        options: tuple[Literal["mask", "pose", "normals", "flow"], ...]
        options = ("mask", "pose", "normals", "flow")
        single = {option: made[option].name for option in options if option in made}
        depth = {"depth": [chosen.name for chosen in self.depths] or [NONE]}
        return fields | lengths | single | depth

    def as_json(self, records: Mapping[str, Record], *, half: bool = False) -> dict[str, Any]:
        """What is fingerprinted: all fields, who makes each modality, and in which precision."""
        made_by = {modality: record.as_json() for modality, record in records.items()}
        precision = "fp16" if half else "fp32"
        detector = {}
        if self.finds_cuts:
            from preprocess.cuts import VERSION  # with OpenCV, which no `--help` needs

            detector = {"cuts": VERSION}
        return {**self.resolved(), **detector, "annotators": made_by, "precision": precision}
