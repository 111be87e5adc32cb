"""What is known of the source's own annotations without reading one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.annotators.spec import Chosen, Hardware, Locate, SourceImages, Spec

if TYPE_CHECKING:
    from preprocess.annotators.source.annotator import SourceMask
    from preprocess.annotators.source.truth import (
        SourceDepth,
        SourceFlow,
        SourceNormals,
        SourcePose,
    )

__all__ = [
    "SOURCE",
    "SOURCE_DEPTH_FRAME",
    "SOURCE_DEPTH_PERSON",
    "SOURCE_FLOW",
    "SOURCE_NORMALS",
    "SOURCE_POSE",
]


def _load(chosen: Chosen, locate: Locate, hardware: Hardware) -> SourceMask:
    from preprocess.annotators.source.annotator import SourceMask

    return SourceMask(chosen.settings.people)


def _load_pose(chosen: Chosen, locate: Locate, hardware: Hardware) -> SourcePose:
    from preprocess.annotators.source.truth import SourcePose

    return SourcePose(chosen.settings.people)


def _load_depth(chosen: Chosen, locate: Locate, hardware: Hardware) -> SourceDepth:
    from preprocess.annotators.source.truth import SourceDepth

    return SourceDepth(chosen.settings.people, whole_frame=chosen.spec.whole_frame)


def _load_normals(chosen: Chosen, locate: Locate, hardware: Hardware) -> SourceNormals:
    from preprocess.annotators.source.truth import SourceNormals

    return SourceNormals(chosen.settings.people)


def _load_flow(chosen: Chosen, locate: Locate, hardware: Hardware) -> SourceFlow:
    from preprocess.annotators.source.truth import SourceFlow

    return SourceFlow()


SOURCE = Spec(
    name="source",
    fills=("mask",),
    load=_load,
    title="source-mask",
    reads=SourceImages("masks", "their clips are quarantined", required=True),
)
_TRUTH = SourceImages("truth", "their clips are quarantined", required=True)
SOURCE_POSE = Spec(
    name="source",
    fills=("pose",),
    load=_load_pose,
    title="source-pose",
    reads=_TRUTH,
    finds_people=True,
)
SOURCE_DEPTH_PERSON = Spec(
    name="source", fills=("depth_person",), load=_load_depth, title="source-depth", reads=_TRUTH
)
SOURCE_DEPTH_FRAME = Spec(
    name="source", fills=("depth_frame",), load=_load_depth, title="source-depth", reads=_TRUTH
)
SOURCE_NORMALS = Spec(
    name="source", fills=("normals",), load=_load_normals, title="source-normals", reads=_TRUTH
)
SOURCE_FLOW = Spec(
    name="source", fills=("flow",), load=_load_flow, title="source-flow", reads=_TRUTH
)
