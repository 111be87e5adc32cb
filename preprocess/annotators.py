"""Which annotators a build uses, loaded once in each process that works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess import weights
from preprocess.choices import LITE_BODY, AnnotatorChoice, lite_record
from preprocess.scene import DepthAnnotator, MaskAnnotator, PoseAnnotator

if TYPE_CHECKING:
    from preprocess.lite.person import LitePerson, PersonFrame

__all__ = ["Annotators", "load", "required_files"]


def required_files(choice: AnnotatorChoice) -> tuple[weights.ExternalFile, ...]:
    """The external files that `load` will want."""
    names = {name for record in choice.records().values() for name in record.weights}
    return weights.files(*sorted(names)) if names else ()


@dataclass(frozen=True, eq=False)
class Annotators:
    """Loaded annotators; None for what nobody needs.

    `tracker` is what the lite annotators share: the person, frame by frame. `mask` is also
    loaded where only depth needs it: what is written is said by `choice`.
    """

    choice: AnnotatorChoice
    tracker: LitePerson | None
    mask: MaskAnnotator | None
    pose: PoseAnnotator | None
    depth: DepthAnnotator | None

    def people(self, frames: Sequence[np.ndarray]) -> tuple[PersonFrame | None, ...]:
        """The tracked person in each of consecutive frames; () without a tracker."""
        return tuple(self.tracker.track(frames)) if self.tracker else ()


def load(choice: AnnotatorChoice, root: str | Path | None = None) -> Annotators:
    """Load what `choice` needs from the folder of external files.

    Raises InputError naming the first file that is absent and how to get it.
    """
    from preprocess.depths.pose_derived import LiteDepth
    from preprocess.lite.person import LitePerson
    from preprocess.masks.lite import LiteMask
    from preprocess.poses.lite import LitePose

    for entry in required_files(choice):
        weights.locate(entry.name, root)
    records = choice.records()
    tracker = None
    if choice.tracks_person:
        extras = choice.hands_and_face
        tracker = LitePerson(
            lambda name: weights.locate(f"lite/{name}", root), hands=extras, face=extras
        )
    depth = LiteDepth(records["hdnet"]) if choice.depth == "lite" else None
    return Annotators(
        choice,
        tracker,
        LiteMask(lite_record("lite-mask", LITE_BODY)) if choice.mask == "lite" or depth else None,
        LitePose(records["pose"], smooth=choice.smooth) if choice.pose == "lite" else None,
        depth,
    )
