"""The table of metrics: what each is called, its unit and direction, and what it needs.

A metric of frames is a function of what was read of a clip, and a row. A clip gives two sums, a
total and a weight; a video's value is the total over the weight of all its clips, so that a video
counts once however it was cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from idol.evaluate.clips import ClipArrays
from idol.evaluate.depth import (
    AlignedSums,
    Alignment,
    aligned_sums,
    dtssd,
    edge_f1,
    errors,
    person_of,
)
from idol.evaluate.images import SSIM_WINDOW, l1, psnr, resized, resized_depth, ssim
from idol.evaluate.motion import amount_of_motion
from idol.evaluate.pose import PoseError
from idol.evaluate.protocols import Protocol
from idol.generate.continuity import drift, seam

__all__ = ["METRICS", "Better", "Metric", "Seen", "Sums", "value_of"]

Better = Literal["lower", "higher", "one", "neither"]
Need = Literal[
    "images",
    "depth",
    "truth's depth",
    "person",
    "pose",
    "annotator",
    "long",
    "lpips",
    "snippets",
    "inception",
    "i3d",
    "resnet3d",
]
Sums = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Seen:
    """A generated clip and the true one, with what several metrics share.

    `alignment`: the video's scale and shift of depth. `pose`, `pose_of_truth`: what an annotator
    finds in both, against the driving pose; `pose_where_read`: of the generated clip, at the joints
    alone that it reads rightly in the true one. `lpips`: of each frame that image metrics take.
    `stride`: of the windows of a long video. `dtssd_frames`: of the clip's containers.
    """

    generated: ClipArrays
    reference: ClipArrays
    protocol: Protocol
    alignment: Alignment | None = None
    pose: PoseError | None = None
    pose_of_truth: PoseError | None = None
    pose_where_read: PoseError | None = None
    lpips: tuple[float, ...] = ()
    stride: int = 4
    dtssd_frames: Sums | None = None

    @cached_property
    def frames(self) -> np.ndarray:
        """(F, H, W, 3) uint8: the generated frames at the true ones' size."""
        ours, size = self.generated.frames, self.reference.frames.shape[1:3]
        if ours.shape[1:3] == size:
            return ours
        return np.stack([resized(frame, size) for frame in ours])

    @cached_property
    def images(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The frames that image metrics compare, generated and true, of one size."""
        count = None if self.protocol.images.frames == "every" else 1
        return list(zip(self.frames[:count], self.reference.frames[:count], strict=True))

    @cached_property
    def depth(self) -> np.ndarray:
        """(F, H, W): the generated depth at the true frames' size."""
        assert self.generated.depth is not None
        return resized_depth(self.generated.depth, self.reference.frames.shape[1:3])

    @cached_property
    def true_depth(self) -> np.ndarray:
        assert self.reference.depth is not None
        return resized_depth(self.reference.depth, self.reference.frames.shape[1:3])

    @cached_property
    def person(self) -> np.ndarray | None:
        """(F, H, W) bool: the true person; None where nothing says where it is."""
        return person_in(self.reference)

    @cached_property
    def compared(self) -> np.ndarray:
        """(F, H, W) bool: where depth is fitted: the person, or all of a whole frame's."""
        if self.reference.depth_kind == "frame" or self.person is None:
            return np.ones(self.true_depth.shape, bool)
        return self.person

    @cached_property
    def aligned(self) -> AlignedSums:
        """After the video's alignment of depth."""
        assert self.alignment is not None
        return aligned_sums(self.depth, self.true_depth, self.compared, self.alignment)

    @cached_property
    def moved(self) -> tuple[float, float]:
        """Amounts of motion, generated and true."""
        return amount_of_motion(self.frames), amount_of_motion(self.reference.frames)


def person_in(arrays: ClipArrays) -> np.ndarray | None:
    """The person by the mask, or by a depth whose background is white; None where neither tells."""
    if arrays.mask is not None:
        return arrays.mask
    if arrays.depth is None or arrays.depth_kind == "frame":
        return None
    inside = person_of(resized_depth(arrays.depth, arrays.frames.shape[1:3]))
    return None if inside.all() else inside


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    `better`   which values are: of `one`, those near 1.
    `digits`   after the point in tables.
    `needs`    what must be there; else it is reported as not computed, with the reason.
    `sums`     of a clip; None of a Frechet distance, which is of sets.
    `root`     whether a video's value is the root of the mean.
    `beside`   the metric that this one is the truth's own value of.
    `silent`   when a video says nothing of it, and is left out.
    `weighed`  the metric whose values weigh the videos: of a ratio, its denominator, so that the
               row is the mean above over the mean below. Without it all videos weigh the same.
    """

    name: str
    title: str
    unit: str
    better: Better
    digits: int
    needs: tuple[Need, ...]
    sums: Callable[[Seen], Sums] | None = None
    root: bool = False
    beside: str = ""
    silent: str = ""
    weighed: str = ""


def value_of(metric: Metric, sums: Sums) -> float:
    """A video's value; NaN where its clips say nothing."""
    total, weight = sums
    if not weight > 0:
        return math.nan
    return math.sqrt(total / weight) if metric.root else total / weight


def _mean(value: float | None, weight: float = 1.0) -> Sums:
    known = value is not None and math.isfinite(value) and weight > 0
    return (value * weight, weight) if known else (0.0, 0.0)  # type: ignore[operator]


def _over_images(function: Callable[[np.ndarray, np.ndarray], float], seen: Seen) -> Sums:
    values = [function(ours, truth) for ours, truth in seen.images]
    return float(np.sum(values)), float(len(values))


def _psnr(seen: Seen) -> Sums:
    return _over_images(psnr, seen)


def _psnr_person(seen: Seen) -> Sums:
    if seen.person is None:
        return 0.0, 0.0
    pairs = zip(seen.images, seen.person, strict=False)  # image metrics may take one frame alone
    values = [psnr(ours[there], truth[there]) for (ours, truth), there in pairs if there.any()]
    return float(np.sum(values)), float(len(values))


def _ssim(seen: Seen) -> Sums:
    if min(seen.reference.frames.shape[1:3]) < SSIM_WINDOW[seen.protocol.images.ssim]:
        return 0.0, 0.0
    return _over_images(lambda a, b: ssim(a, b, seen.protocol.images.ssim), seen)


def _l1(seen: Seen) -> Sums:
    return _over_images(lambda a, b: l1(a, b, seen.protocol.images.l1), seen)


def _lpips(seen: Seen) -> Sums:
    return float(np.sum(seen.lpips)), float(len(seen.lpips))


def _squares(seen: Seen) -> Sums:
    return _mean(errors(seen.depth, seen.true_depth).mse, seen.depth.size)


def _squares_person(seen: Seen) -> Sums:
    if seen.person is None:
        return 0.0, 0.0
    inside = errors(seen.depth, seen.true_depth, seen.person)
    return _mean(inside.mse, float(seen.person.sum()))


def _squares_flat(seen: Seen) -> Sums:
    if seen.person is None or not seen.person.any():
        return 0.0, 0.0
    inside = seen.true_depth[seen.person].astype(np.float64)
    return _mean(float(inside.var()), float(inside.size))


def _aligned(which: str) -> Callable[[Seen], Sums]:
    return lambda seen: (float(getattr(seen.aligned, which)), float(seen.aligned.pixels))


def _dtssd(seen: Seen) -> Sums:
    return _mean(dtssd(seen.depth, seen.true_depth), len(seen.depth) - 1)


def _dtssd_frames(seen: Seen) -> Sums:
    return seen.dtssd_frames or (0.0, 0.0)


def _over_known(values: np.ndarray) -> Sums:
    """Of the frames alone that have a value: each counts once, in whichever clip it is."""
    known = values[~np.isnan(values)]
    return float(known.sum()), float(len(known))


def _edges(seen: Seen) -> Sums:
    assert seen.generated.depth is not None
    depth = resized_depth(seen.generated.depth, seen.generated.frames.shape[1:3])
    return _over_known(edge_f1(seen.generated.frames, depth))


def _edges_truth(seen: Seen) -> Sums:
    return _over_known(edge_f1(seen.reference.frames, seen.true_depth))


def _akd(error: PoseError | None) -> Sums:
    return (0.0, 0.0) if error is None else _mean(error.akd, error.found)


def _of_body(error: PoseError | None) -> Sums:
    return (0.0, 0.0) if error is None else _mean(error.of_body, error.found)


def _missing(error: PoseError | None) -> Sums:
    return (0.0, 0.0) if error is None else _mean(error.missing, error.joints)


def _read(seen: Seen) -> Sums:
    if seen.pose_of_truth is None or seen.pose_where_read is None:
        return 0.0, 0.0
    joints = seen.pose_of_truth.joints
    return _mean(seen.pose_where_read.joints / joints if joints else None, joints)


def _seam(seen: Seen) -> Sums:
    return _mean(seam(seen.generated.frames, seen.stride))


def _seam_truth(seen: Seen) -> Sums:
    return _mean(seam(seen.reference.frames, seen.stride))


def _drift(which: str) -> Callable[[Seen], Sums]:
    def sums(seen: Seen) -> Sums:
        if seen.person is None:
            return 0.0, 0.0
        return _mean(getattr(drift(seen.frames, seen.person), which))

    return sums


def _motion(seen: Seen) -> Sums:
    ours, truth = seen.moved
    steps = len(seen.reference.frames) - 1
    return (ours * steps, truth * steps) if truth > 0 else (0.0, 0.0)


def _motion_truth(seen: Seen) -> Sums:
    return _mean(seen.moved[1], len(seen.reference.frames) - 1)


_TRUTH = "the truth's own"
_FLAT = "error of the true clip's mean depth"
_ANNOTATOR = "the annotator's own, on the truth"
_DRIFT: tuple[Need, ...] = ("long", "person")
_VIDEO: tuple[Need, ...] = ("snippets",)
_DEPTH: tuple[Need, ...] = ("depth", "truth's depth")
_PERSON: tuple[Need, ...] = (*_DEPTH, "person")
_NO_PERSON = "no person in the truth"
_ONE_FRAME = "it has one frame"
_SMALL = "its frames are smaller than SSIM's window"
_NO_EDGE = "no edge in its depth"
_NOT_FOUND = "no key point of the driving pose was found"
_NOT_READ = (
    "no key point of the driving pose is read rightly in the truth, or none of them is found"
)
_NO_POSE = "no key point in the driving pose"
_NO_SEAM = "too short for two windows, or it moves at one phase alone, a seam without end"
_NO_DRIFT = "frame 0, or all others, do not show it"

METRICS: Mapping[str, Metric] = {
    row.name: row
    for row in (
        Metric("fid_fvd", "FID-FVD", "", "lower", 2, ("snippets", "resnet3d")),
        Metric("fvd", "FVD", "", "lower", 2, ("snippets", "i3d")),
        Metric("fid_fvd_stride1", "FID-FVD, stride 1", "", "lower", 2, ("snippets", "resnet3d")),
        Metric("fvd_stride1", "FVD, stride 1", "", "lower", 2, ("snippets", "i3d")),
        Metric("fid", "FID", "", "lower", 2, ("inception",)),
        Metric("depth_rmse", "depth L2 (RMSE)", "depth", "lower", 4, _DEPTH, _squares, root=True),
        Metric("depth_mse", "depth MSE", "depth²", "lower", 5, _DEPTH, _squares),
        Metric(
            "depth_rmse_person",
            "depth RMSE, person",
            "depth",
            "lower",
            4,
            _PERSON,
            _squares_person,
            root=True,
            silent=_NO_PERSON,
        ),
        Metric(
            "depth_rmse_person_flat",
            _FLAT,
            "depth",
            "lower",
            4,
            _PERSON,
            _squares_flat,
            root=True,
            beside="depth_rmse_person",
            silent=_NO_PERSON,
        ),
        Metric(
            "depth_mse_person",
            "depth MSE, person",
            "depth²",
            "lower",
            5,
            _PERSON,
            _squares_person,
            silent=_NO_PERSON,
        ),
        Metric(
            "absrel",
            "AbsRel, aligned",
            "",
            "lower",
            4,
            _DEPTH,
            _aligned("absrel"),
            silent=_NO_PERSON,
        ),
        Metric(
            "rmse_aligned",
            "RMSE, aligned",
            "1/disparity",
            "lower",
            4,
            _DEPTH,
            _aligned("squares"),
            root=True,
            silent=_NO_PERSON,
        ),
        Metric(
            "delta1",
            "delta1, aligned",
            "",
            "higher",
            4,
            _DEPTH,
            _aligned("delta1"),
            silent=_NO_PERSON,
        ),
        Metric("dtssd", "dtSSD of depth", "depth", "lower", 4, _DEPTH, _dtssd, silent=_ONE_FRAME),
        Metric(
            "dtssd_frames",
            "dtSSD of frames",
            "(0-255)²",
            "lower",
            2,
            _VIDEO,
            _dtssd_frames,
            silent=_ONE_FRAME,
        ),
        Metric(
            "edge_f1",
            "edges of video and depth, F1",
            "",
            "higher",
            3,
            ("depth",),
            _edges,
            silent=_NO_EDGE,
        ),
        Metric(
            "edge_f1_truth",
            _TRUTH,
            "",
            "higher",
            3,
            ("truth's depth",),
            _edges_truth,
            beside="edge_f1",
            silent=_NO_EDGE,
        ),
        Metric("psnr", "PSNR", "dB", "higher", 2, ("images",), _psnr),
        Metric(
            "psnr_person",
            "PSNR, person",
            "dB",
            "higher",
            2,
            ("images", "person"),
            _psnr_person,
            silent=_NO_PERSON,
        ),
        Metric("ssim", "SSIM", "", "higher", 4, ("images",), _ssim, silent=_SMALL),
        Metric("l1", "L1", "", "lower", 6, ("images",), _l1),
        Metric("lpips", "LPIPS", "", "lower", 4, ("images", "lpips"), _lpips),
        Metric(
            "akd",
            "pose error (AKD)",
            "px of 256",
            "lower",
            2,
            ("pose", "annotator"),
            lambda seen: _akd(seen.pose),
            silent=_NOT_FOUND,
        ),
        Metric(
            "akd_truth",
            _ANNOTATOR,
            "px of 256",
            "lower",
            2,
            ("pose", "annotator"),
            lambda seen: _akd(seen.pose_of_truth),
            beside="akd",
            silent=_NOT_FOUND,
        ),
        Metric(
            "akd_body",
            "pose error, of the body's size",
            "",
            "lower",
            4,
            ("pose", "annotator"),
            lambda seen: _of_body(seen.pose),
            silent=_NOT_FOUND,
        ),
        Metric(
            "akd_body_truth",
            _ANNOTATOR,
            "",
            "lower",
            4,
            ("pose", "annotator"),
            lambda seen: _of_body(seen.pose_of_truth),
            beside="akd_body",
            silent=_NOT_FOUND,
        ),
        Metric(
            "mkr",
            "missing key points (MKR)",
            "",
            "lower",
            4,
            ("pose", "annotator"),
            lambda seen: _missing(seen.pose),
            silent=_NO_POSE,
        ),
        Metric(
            "mkr_truth",
            _ANNOTATOR,
            "",
            "lower",
            4,
            ("pose", "annotator"),
            lambda seen: _missing(seen.pose_of_truth),
            beside="mkr",
            silent=_NO_POSE,
        ),
        Metric(
            "akd_body_read",
            "pose error, of the body's size, where the truth is read rightly",
            "",
            "lower",
            4,
            ("pose", "annotator"),
            lambda seen: _of_body(seen.pose_where_read),
            silent=_NOT_READ,
        ),
        Metric(
            "mkr_read",
            "missing key points, where the truth is read rightly",
            "",
            "lower",
            4,
            ("pose", "annotator"),
            lambda seen: _missing(seen.pose_where_read),
            silent=_NOT_READ,
        ),
        Metric(
            "read_truth",
            "fraction of the joints that are",
            "",
            "neither",
            4,
            ("pose", "annotator"),
            _read,
            beside="mkr_read",
            silent=_NO_POSE,
        ),
        Metric("seam", "seam", "", "one", 3, ("long",), _seam, silent=_NO_SEAM),
        Metric(
            "seam_truth",
            _TRUTH,
            "",
            "one",
            3,
            ("long",),
            _seam_truth,
            beside="seam",
            silent=_NO_SEAM,
        ),
        Metric(
            "drift",
            "drift, background",
            "levels",
            "lower",
            2,
            _DRIFT,
            _drift("background"),
            silent=_NO_DRIFT,
        ),
        Metric(
            "drift_person",
            "drift, person",
            "levels",
            "lower",
            2,
            _DRIFT,
            _drift("person"),
            silent=_NO_DRIFT,
        ),
        Metric(
            "motion",
            "motion over the truth's",
            "",
            "one",
            3,
            (),
            _motion,
            silent="it has one frame, or the truth does not move at all",
            weighed="motion_truth",
        ),
        Metric(
            "motion_truth",
            _TRUTH,
            "px of 256",
            "neither",
            3,
            (),
            _motion_truth,
            beside="motion",
            silent=_ONE_FRAME,
        ),
    )
}
