"""What is known of the source's own masks without reading one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, SourceImages, Spec

if TYPE_CHECKING:
    from preprocess.annotators.source.annotator import SourceMask

__all__ = ["SOURCE"]


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> SourceMask:
    from preprocess.annotators.source.annotator import SourceMask

    return SourceMask()


SOURCE = Spec(
    name="source",
    fills=("mask",),
    load=_load,
    title="source-mask",
    reads=SourceImages("masks", "their clips are quarantined", required=True),
)
