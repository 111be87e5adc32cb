"""Which annotators a build uses, loaded once in each process that works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import weights
from preprocess.annotators import provenance as makers
from preprocess.annotators.choices import AnnotatorChoice, Hardware, Record, split_model
from preprocess.annotators.huggingface.model_folder import folder_checksums, model_folder
from preprocess.annotators.scene import DepthAnnotator, MaskAnnotator, PoseAnnotator
from preprocess.errors import InputError

if TYPE_CHECKING:
    from preprocess.annotators.lite.person import LitePerson, PersonFrame

__all__ = ["Annotators", "load"]


@dataclass(frozen=True, eq=False)
class Annotators:
    """Loaded annotators; None for what nobody needs.

    `tracker` is what the lite annotators share: the person, frame by frame. `mask` is also
    loaded where only lite depth needs it: what is written is said by `choice`. `records` are by
    modality, as `makers.records` gives them.
    """

    choice: AnnotatorChoice
    records: Mapping[str, Record]
    tracker: LitePerson | None = None
    mask: MaskAnnotator | None = None
    pose: PoseAnnotator | None = None
    depths: tuple[DepthAnnotator, ...] = ()

    def people(self, frames: Sequence[np.ndarray]) -> tuple[PersonFrame | None, ...]:
        """The tracked person in each of consecutive frames; () without a tracker."""
        return tuple(self.tracker.track(frames)) if self.tracker else ()

    @property
    def mask_of_frame(self) -> MaskAnnotator | None:
        """The mask annotator, if it sees the whole frame and knows nothing of the lite tracker."""
        return self.mask if self.choice.mask not in ("lite", "none") else None


class _Loader:
    """What loading the annotators of one choice has in common."""

    def __init__(
        self,
        choice: AnnotatorChoice,
        root: str | Path | None,
        hardware: Hardware,
        records: Mapping[str, Record],
    ) -> None:
        self.choice, self.root, self.hardware, self.records = choice, root, hardware, records

    def locate(self, name: str) -> Path:
        return weights.locate(name, self.root)

    def tracker(self) -> LitePerson | None:
        if not self.choice.tracks_person:
            return None
        from preprocess.annotators.lite.person import LitePerson

        extras = self.choice.pose == "lite" and self.choice.hands_and_face
        return LitePerson(lambda name: self.locate(f"lite/{name}"), hands=extras, face=extras)

    def mask(self) -> MaskAnnotator | None:
        choice, hardware = self.choice, self.hardware
        if choice.mask == "source":
            from preprocess.annotators.source import SourceMask

            return SourceMask(self.records["mask"])
        if choice.mask == "grounded-sam":
            from preprocess.annotators import grounded_sam

            return grounded_sam.load(
                self.records["mask"],
                self.locate,
                sam=choice.sam,
                people=choice.people,
                person=choice.person,
                smooth=choice.smooth_masks,
                device=hardware.device,
                half=hardware.half,
                batch=hardware.batch,
            )
        if choice.mask == "lite" or "lite" in choice.depth:
            from preprocess.annotators.lite.mask import LiteMask

            # Without a mask to write it serves the depth alone, and its record is not written.
            return LiteMask(self.records.get("mask") or self.records["person"])
        return None

    def pose(self) -> PoseAnnotator | None:
        choice, hardware = self.choice, self.hardware
        if choice.pose == "openpose":
            from preprocess.annotators import openpose

            return openpose.load(
                self.records["pose"],
                self.locate,
                people=choice.people,
                person=choice.person,
                hands_and_face=choice.hands_and_face,
                smooth=choice.smooth,
                device=hardware.device,
                half=hardware.half,
                batch=hardware.batch,
            )
        if choice.pose == "dwpose":
            from preprocess.annotators import dwpose

            return dwpose.load(
                self.records["pose"],
                self.locate,
                people=choice.people,
                person=choice.person,
                smooth=choice.smooth,
                device=hardware.device,
                batch=hardware.batch,
            )
        if choice.pose == "lite":
            from preprocess.annotators.lite.pose import LitePose

            return LitePose(self.records["pose"], smooth=choice.smooth)
        return None

    def depth(self, name: str) -> DepthAnnotator:
        run = self.hardware
        if name == "hdnet":
            from preprocess.annotators import hdnet

            return hdnet.load(
                self.records["depth_person"],
                self.locate,
                device=run.device,
                half=run.half,
                batch=run.batch,
            )
        if name == "midas":
            from preprocess.annotators import midas

            return midas.load(
                self.records["depth_frame"],
                self.locate,
                device=run.device,
                half=run.half,
                batch=run.batch,
            )
        if model := split_model(name):
            from preprocess.annotators import huggingface

            # A hub's name may have come to mean other files since the build was planned.
            folder = model_folder(model)
            if folder_checksums(str(folder)) != self.records["depth_frame"].weights:
                raise InputError(
                    f"hf:{model} has other files here ({folder}) than where the build was "
                    "planned: copy one folder to all machines and give --depth hf:FOLDER"
                )
            return huggingface.load(
                self.records["depth_frame"],
                str(folder),
                device=run.device,
                half=run.half,
                batch=run.batch,
            )
        from preprocess.annotators.lite.depth.pose_derived import LiteDepth

        return LiteDepth(self.records["depth_person"])


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
    makers.software(choice)
    for entry in makers.required_files(choice):
        weights.locate(entry.name, root)
    known = makers.records(choice, root) if records is None else records
    loader = _Loader(choice, root, hardware or Hardware(), known)
    depths = tuple(loader.depth(name) for name in choice.depth_annotators)
    return Annotators(choice, known, loader.tracker(), loader.mask(), loader.pose(), depths)
