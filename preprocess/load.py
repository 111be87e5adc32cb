"""Which annotators a build uses, loaded once in each process that works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess import weights
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.scene import (
    DensePoseAnnotator,
    DepthAnnotator,
    FlowAnnotator,
    MaskAnnotator,
    NormalsAnnotator,
    PeopleFinder,
    PoseAnnotator,
)
from preprocess.annotators.spec import Chosen, Hardware, Modality, Record, Spec
from preprocess.annotators.tracked import PersonFrame
from preprocess.errors import InputError
from preprocess.external_file import ExternalFile
from preprocess.identity import Identity
from preprocess.pixels import Pixels, all_of
from preprocess.provenance import records as records_of
from preprocess.provenance import required_files, software

if TYPE_CHECKING:
    from preprocess.annotators.lite.person import LitePerson

__all__ = ["Annotators", "Depth", "load"]


@dataclass(frozen=True, eq=False)
class Depth:
    """A loaded depth annotator, and what is known of it."""

    spec: Spec
    record: Record
    annotator: DepthAnnotator


@dataclass(frozen=True, eq=False)
class Annotators:
    """Loaded annotators; None for what nobody needs.

    `tracker` is what the lite annotators share: the person, frame by frame. `records` are by
    modality, as `provenance.records` gives them.
    """

    choice: AnnotatorChoice
    chosen: Mapping[Modality, Chosen]
    records: Mapping[str, Record]
    tracker: LitePerson | None = None
    mask: MaskAnnotator | None = None
    pose: PoseAnnotator | None = None
    densepose: DensePoseAnnotator | None = None
    depths: tuple[Depth, ...] = ()
    normals: NormalsAnnotator | None = None
    flow: FlowAnnotator | None = None

    def people(
        self,
        frames: Sequence[Pixels],
        identity: Identity | None = None,
        indices: Sequence[int] = (),
    ) -> tuple[PersonFrame | None, ...]:
        """The tracked person in each of consecutive frames, with an `identity` the subject;
        () without a tracker. `indices` are those of the frames in the video."""
        return self.tracker.track(frames, identity, indices) if self.tracker else ()

    @property
    def finder(self) -> PeopleFinder | None:
        """Who finds everybody in whole frames, besides the tracker."""
        if isinstance(self.mask, PeopleFinder):
            return self.mask
        if self.tracker is None and isinstance(self.pose, PeopleFinder):
            return self.pose
        return None

    def count_people(self, frame: Pixels) -> int:
        """Of all who can be made out in a frame, (H, W, 3) uint8 RGB."""
        if self.finder is not None:
            return len(self.finder.find([all_of(frame)])[0])
        return len(self.tracker.everybody(frame)) if self.tracker else 0

    @property
    def mask_of_frame(self) -> MaskAnnotator | None:
        """The mask annotator, if it sees the whole frame and knows nothing of the lite tracker."""
        return (
            None if "mask" in self.chosen and self.chosen["mask"].spec.needs_tracker else self.mask
        )

    def reads(self, of: str) -> bool:
        """Whether anybody reads the source's "masks" or its "densepose"."""
        read = (chosen.spec.reads for chosen in self.chosen.values())
        return of not in self.chosen and any(images.of == of for images in read if images)


def load(
    choice: AnnotatorChoice,
    root: str | Path | None = None,
    *,
    hardware: Hardware | None = None,
    records: Mapping[str, Record] | None = None,
) -> Annotators:
    """Load what `choice` needs from the folder of external files.

    `hardware` is the CPU unless given; `records` spares computing checksums again where they are
    known. Raises InputError naming the first file that is absent and how to get it, or the
    packages that are not installed.
    """
    software(choice)
    for file in required_files(choice):
        weights.locate(file.name, root)
    known = records_of(choice, root) if records is None else records
    chosen = choice.chosen

    def locate(file: ExternalFile) -> Path:
        return weights.locate(file.name, root)

    def loaded(modality: Modality) -> Any:
        if (wanted := chosen.get(modality)) is None:
            return None
        _check_unchanged(wanted, known[modality])
        return wanted.load(locate, hardware or Hardware())

    depths = tuple(
        Depth(c.spec, known[c.spec.fills[0]], loaded(c.spec.fills[0])) for c in choice.depths
    )
    return Annotators(
        choice,
        chosen,
        known,
        loaded("person"),
        loaded("mask"),
        loaded("pose"),
        loaded("densepose"),
        depths,
        loaded("normals"),
        loaded("flow"),
    )


def _check_unchanged(chosen: Chosen, record: Record) -> None:
    """A hub's name may have come to mean other files since the build was planned."""
    checksums = chosen.spec.checksums
    if checksums and checksums(chosen.parameter) != record.weights:
        raise InputError(
            f"{chosen.name} has other files here than where the build was planned: copy the same "
            "files to all machines and give their path"
        )
