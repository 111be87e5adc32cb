"""What is known of an annotator without loading it: one value, from which everything else reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from preprocess.external_file import ExternalFile

__all__ = [
    "Chosen",
    "CropMode",
    "GreyMode",
    "Hardware",
    "Locate",
    "Modality",
    "Options",
    "PeopleMode",
    "PoseStyle",
    "Record",
    "Settings",
    "SourceImages",
    "Spec",
    "options_of",
    "person_mistake",
]

CropMode = Literal["center", "subject", "video", "none"]
PoseStyle = Literal["openpose", "dwpose"]
PeopleMode = Literal["one", "all"]
GreyMode = Literal["near-black", "near-white"]

# "person" is the lite tracker's, which other annotators read; "densepose" fills `Scene.iuv`.
Modality = Literal[
    "person", "mask", "pose", "densepose", "depth_person", "depth_frame", "normals", "flow"
]

Locate = Callable[[ExternalFile], Path]


@dataclass(frozen=True)
class Hardware:
    """What networks run on. Only `half` may change a byte on purpose."""

    device: str = "cpu"  # "cpu", "cuda" or "cuda:0"
    half: bool = False  # fp16 where the device is a GPU
    batch: int | Literal["auto"] = "auto"  # items in a forward; auto: what fits


@dataclass(frozen=True)
class Record:
    """Which annotator made something: goes into the sample's json and `dataset.json`.

    `weights` maps file names to their SHA-256. `notice` is what its licence wants users told.
    """

    name: str
    version: str
    weights: dict[str, str]
    notice: str | None = None

    def as_json(self) -> dict[str, object]:
        notice = {"notice": self.notice} if self.notice else {}
        return {"name": self.name, "version": self.version, "weights": dict(self.weights), **notice}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that several annotators share."""

    crop: CropMode = "subject"
    """subject: for each clip a stable square around the person; video: one square around the person
    for the whole video; center: the middle square; none: the whole frame with black bars."""
    pose_style: PoseStyle = "openpose"
    """How skeletons are drawn: openpose (18 body joints) or dwpose (with hands and face)."""
    people: PeopleMode = "one"
    """Which people masks and key points show: one person, or all."""
    person: str = "largest"
    """Which person of a shot is its subject: largest (the most prominent: large, long in view, not
    at the edge), central, or N, the N-th most prominent, from 1."""
    check_poses: bool = True
    """Take out key points that anatomy forbids (exchanged sides, collapsed figures, joints that
    jump) and masks that are no person's, before smoothing."""
    smooth: bool = True
    """Smooth key points over time (one-euro filter)."""
    grey: GreyMode = "near-black"
    """Depth of the whole frame: near-black, so that grey grows with distance as the person's depth
    does; or near-white, as MiDaS' images are published."""

    @property
    def hands_and_face(self) -> bool:
        return self.pose_style == "dwpose"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the options that one annotator alone has.

    Every field has a default and a docstring, which is its help; its name is unique among all
    annotators, since `idol-prep build` and recipe files have all options side by side.
    """

    def mistakes(self) -> Iterator[str]:
        """Values out of their range, one line each, beginning with the field's name."""
        yield from ()


@dataclass(frozen=True)
class SourceImages:
    """Images beside the frames that an annotator reads from the source."""

    of: Literal["masks", "densepose", "truth"]  # the attribute of `Video`
    without: str  # what happens to videos that have none, to follow "are without masks: "
    required: bool = False  # whether a source in which no video has any is refused


@dataclass(frozen=True, eq=False)
class Spec:
    """An annotator: how users name it, what it makes of what, and how it is loaded.

    `load` imports what it needs within, and gives a `MaskAnnotator`, `PoseAnnotator`,
    `DepthAnnotator` or `DensePoseAnnotator` (`preprocess.annotators.scene`) by what is filled.
    It raises InputError for a package or file that is absent, or a file that is something else.
    """

    name: str  # on the command line, after --mask, --pose or --depth
    fills: tuple[Modality, ...]
    load: Callable[[Chosen, Locate, Hardware], Any]
    title: str | None = None  # in a dataset's records, where it is not the name
    version: str = "1"  # raised whenever the annotations of the same frames change
    notice: str | None = None  # what its licence wants users told
    options: type[Options] | None = None  # those that it alone has
    # All its files, and which of them its options ask for: all unless given.
    files: tuple[ExternalFile, ...] = ()
    wanted: Callable[[Chosen], tuple[ExternalFile, ...]] | None = None
    packages: tuple[str, ...] = ()  # distributions beyond the core's
    # For `name:PARAMETER`: what PARAMETER is, the checksums of the files that it stands for, and
    # how a dataset calls it (a path without its place).
    parameter: str | None = None
    default: str = ""  # PARAMETER where the name stands alone; it has to be given unless set
    checksums: Callable[[str], dict[str, str]] | None = None
    called: Callable[[str], str] = str
    gpu: float = 0.0  # fraction of a GPU that a worker asks for; 0 for what no GPU speeds up
    finds_people: bool = False  # in whole frames by itself, and so can take more than one
    needs_tracker: bool = False  # reads `Scene.people`
    needs_boxes: bool = False  # reads `Scene.boxes`: by the mask annotator, else by the tracker
    needs_mask: bool = False  # reads the clip's masks, and is nothing without
    reads: SourceImages | None = None

    @property
    def option(self) -> str:
        """The option that names it: "mask", "pose", "depth", "densepose", "normals" or "flow"."""
        return self.fills[0].partition("_")[0]

    @property
    def whole_frame(self) -> bool:
        """Whether its depth is that of every pixel; else of the person alone."""
        return self.fills == ("depth_frame",)


@dataclass(frozen=True)
class Chosen:
    """An annotator as it is used: with what was chosen for it."""

    spec: Spec
    settings: Settings
    options: Any = None  # of `spec.options`
    parameter: str = ""  # of `name:PARAMETER`

    @property
    def name(self) -> str:
        """As a recipe says it, a parameter without its place."""
        spec = self.spec
        return f"{spec.name}:{spec.called(self.parameter)}" if spec.parameter else spec.name

    @property
    def title(self) -> str:
        """As records say it."""
        return self.spec.title or self.name

    @property
    def files(self) -> tuple[ExternalFile, ...]:
        """The registry's files that loading it will want."""
        return self.spec.wanted(self) if self.spec.wanted else self.spec.files

    def load(self, locate: Locate, hardware: Hardware) -> Any:
        """`locate` gives the path of a registered file that is there; raises as `Spec` says."""
        return self.spec.load(self, locate, hardware)

    def record(self, checksum: Callable[[ExternalFile], str]) -> Record:
        """`checksum` gives the SHA-256 of a registered file."""
        if self.spec.checksums:
            sums = self.spec.checksums(self.parameter)
        else:
            sums = {file.name: checksum(file) for file in self.files}
        return Record(self.title, self.spec.version, sums, self.spec.notice)


def options_of(spec: Spec, settings: object) -> Options | None:
    """The annotator's own options, from a value that has those of all."""
    if spec.options is None:
        return None
    return spec.options(**{f.name: getattr(settings, f.name) for f in fields(spec.options)})


def person_mistake(person: str) -> str | None:
    """What is wrong with `Settings.person`; None where nothing is."""
    if person in ("largest", "central") or (
        person.isascii() and person.isdecimal() and 1 <= int(person) <= 99
    ):
        return None
    return f"person must be largest, central, or a number from 1 to 99, not {person}"
