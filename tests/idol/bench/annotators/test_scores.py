"""Figures of annotators: the truth scores perfectly, and known errors exactly what they are."""

from __future__ import annotations

import numpy as np
import pytest

from idol.bench.annotators import scores
from idol.bench.annotators.truth import TrueClip
from shards.sample.keypoints import COCO_18

SIDE = 100
# A person 50 pixels high, in their box (30, 20) to (50, 70): the longer side is 50.
BOX = (30.0, 20.0, 50.0, 70.0)
LONGER = 50.0
HIPS = 4.0  # metres


def _joints(x: float) -> np.ndarray:
    """(18, 3): a row of joints down the middle, the left ones 8 pixels to the right."""
    found = np.ones((18, 3), np.float32)
    for joint, name in enumerate(COCO_18.joints):
        found[joint, :2] = x + 8 * name.startswith("left_"), 22 + 2 * joint
    return found


def _clip(frames: int = 3) -> TrueClip:
    """Two people who stand still; the subject's ankles are hidden, the right eye is outside."""
    masks = np.zeros((frames, 2, SIDE, SIDE), np.uint8)
    masks[:, 0, 20:70, 30:50] = 255
    masks[:, 1, 20:70, 70:90] = 255
    joints = np.stack([_joints(36), _joints(76)])
    joints[0, COCO_18.indices("right_ankle", "left_ankle"), 2] = 0.5
    joints[0, COCO_18.indices("right_eye"), 2] = 0
    depth = np.full((frames, SIDE, SIDE), np.nan, np.float32)
    depth[:, 20:70, 30:50] = HIPS + np.linspace(-0.2, 0.2, 20, dtype=np.float32)
    space = np.full((frames, 2, 18, 3), HIPS, np.float32)
    return TrueClip(
        np.zeros((frames, SIDE, SIDE, 3), np.uint8),
        masks,
        np.repeat(joints[None], frames, 0),
        space,
        depth,
        (BOX,) * frames,
        ({},) * frames,
    )


TRUE = _clip()
POINTS = TRUE.joints[:, :1].copy()
MASKS = TRUE.masks[:, 0].copy()


def _means(found: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(np.nanmean(v)) for name, v in found.items() if not np.isnan(v).all()}


def test_the_truth_scores_perfectly() -> None:
    pose = _means(scores.keypoints(TRUE, POINTS))
    assert pose == {
        "missed": 0, "wrong": 0, "pck_10": 1, "pck_05": 1, "pck_10_hidden": 1,
        "error": 0, "swapped": 0, "jitter": 0,
    }  # fmt: skip
    mask = _means(scores.masks(TRUE, MASKS))
    assert mask == {"missed": 0, "wrong": 0, "iou": 1, "boundary_f": 1, "flicker": 0}
    depth = _means(scores.depth(TRUE, TRUE.depth, metres_from="camera", inverse=False))
    flat = 100 * np.abs(np.linspace(-0.2, 0.2, 20)).mean()
    assert depth.pop("flat_cm") == pytest.approx(flat, abs=1e-3)
    assert depth.pop("flat_aligned_cm") == pytest.approx(flat, abs=1e-3)
    assert depth == pytest.approx(
        {
            "missed": 0, "wrong": 0, "covered": 1,
            "error_cm": 0, "aligned_cm": 0, "flicker_cm": 0,
        },
        abs=1e-4,
    )  # fmt: skip


def test_joints_that_are_away_count_by_the_longer_side_of_the_box() -> None:
    points = POINTS.copy()
    points[..., 0] += 0.07 * LONGER
    found = _means(scores.keypoints(TRUE, points))
    assert (found["pck_10"], found["pck_05"], found["pck_10_hidden"]) == (1, 0, 1)
    assert found["error"] == pytest.approx(0.07)
    assert found["jitter"] == pytest.approx(0, abs=1e-6)  # it is away, but still


def test_the_fraction_of_seen_joints_within_reach() -> None:
    points = POINTS.copy()
    seen = np.flatnonzero(TRUE.joints[0, 0, :, 2] == 1)
    assert len(seen) == 15
    points[:, 0, seen[:5], 1] += 0.11 * LONGER
    points[:, 0, seen[5], 2] = 0  # not found
    points[:, 0, COCO_18.indices("right_ankle"), 0] += 20  # hidden: another figure
    found = _means(scores.keypoints(TRUE, points))
    assert found["pck_10"] == pytest.approx(9 / 15)
    assert found["pck_10_hidden"] == pytest.approx(1 / 2)
    assert found["error"] == pytest.approx(5 / 14 * 0.11)


def test_jitter_is_motion_that_is_not_true() -> None:
    points = POINTS.copy()
    points[1, ..., 0] += 2.0
    found = scores.keypoints(TRUE, points)["jitter"]
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx(2 / LONGER)
    moving = TrueClip(**{**vars(TRUE), "joints": TRUE.joints.copy()})
    moving.joints[1, 0, :, 0] += 2.0
    assert np.nanmax(scores.keypoints(moving, points)["jitter"]) == 0


def test_exchanged_sides_are_counted_in_pairs() -> None:
    points = POINTS.copy()
    for name in ("shoulder", "elbow", "wrist"):
        pair = COCO_18.indices(f"right_{name}", f"left_{name}")
        points[0, 0, pair] = points[0, 0, pair[::-1]]
    found = scores.keypoints(TRUE, points)["swapped"]
    assert found.tolist() == [0.5, 0, 0]


def test_nobody_found_is_missed_and_every_joint_too() -> None:
    points = POINTS.copy()
    points[1, ..., 2] = 0
    found = scores.keypoints(TRUE, points)
    assert found["missed"].tolist() == [0, 1, 0]
    assert found["pck_10"].tolist() == [1, 0, 1]
    assert np.isnan(found["error"][1])
    assert np.isnan(found["jitter"]).all()  # a frame without neighbours has no steps


def test_somebody_else_is_wrong() -> None:
    other = TRUE.joints[:, 1:2].copy()
    found = _means(scores.keypoints(TRUE, other))
    assert (found["wrong"], found["pck_10"]) == (1, 0)
    assert "error" not in found
    nobody = POINTS + np.array([0, 30, 0], np.float32)
    assert _means(scores.keypoints(TRUE, nobody))["wrong"] == 1
    assert _means(scores.masks(TRUE, TRUE.masks[:, 1]))["wrong"] == 1


def test_frames_without_the_subject_say_nothing() -> None:
    gone = TrueClip(**{**vars(TRUE), "boxes": (BOX, None, BOX)})
    for found in (
        scores.keypoints(gone, POINTS),
        scores.masks(gone, MASKS),
        scores.depth(gone, TRUE.depth, metres_from="camera", inverse=False),
    ):
        for values in found.values():
            assert np.isnan(values[1])


def test_masks_by_the_pixels_that_are_shared() -> None:
    masks = np.roll(MASKS, 5, axis=2)  # 5 of 20 columns
    found = _means(scores.masks(TRUE, masks))
    assert found["iou"] == pytest.approx(15 / 25)
    # Outlines may lie .008 of the diagonal apart: 1.1 pixels.
    assert _means(scores.masks(TRUE, np.roll(MASKS, 1, axis=2)))["boundary_f"] == pytest.approx(1)
    assert found["boundary_f"] < 0.5
    assert found["flicker"] == 0


def test_a_mask_flickers_by_what_changes_that_should_not() -> None:
    masks = MASKS.copy()
    masks[1, 20:70, 50:52] = 255  # two columns of twenty, for a frame
    assert scores.masks(TRUE, masks)["flicker"][1:] == pytest.approx(0.1)
    assert np.isnan(scores.masks(TRUE, masks)["flicker"][0])


def test_an_empty_mask_is_missed() -> None:
    masks = MASKS.copy()
    masks[0] = 0
    found = scores.masks(TRUE, masks)
    assert found["missed"].tolist() == [1, 0, 0]
    assert found["iou"].tolist() == [0, 1, 1]
    assert found["boundary_f"].tolist() == [0, 1, 1]
    assert np.isnan(found["wrong"][0])


def test_depth_in_metres_from_the_hips_or_the_camera() -> None:
    nearer = TRUE.depth - np.float32(0.03)
    for metres_from, depth in (("camera", nearer), ("hips", nearer - HIPS)):
        found = _means(scores.depth(TRUE, depth, metres_from=metres_from, inverse=False))
        assert found["error_cm"] == pytest.approx(3, abs=1e-3)
        assert found["aligned_cm"] == pytest.approx(0, abs=1e-3)


def test_scale_and_shift_are_free_where_depth_has_a_unit_of_its_own() -> None:
    found = _means(scores.depth(TRUE, 7 * TRUE.depth - 3, metres_from=None, inverse=False))
    assert found["aligned_cm"] == pytest.approx(0, abs=1e-3)
    assert "error_cm" not in found
    disparity = -(5 / TRUE.depth + 2)
    found = _means(scores.depth(TRUE, disparity, metres_from=None, inverse=True))
    assert found["aligned_cm"] == pytest.approx(0, abs=1e-3)
    assert (
        _means(scores.depth(TRUE, disparity, metres_from=None, inverse=False))["aligned_cm"] > 0.1
    )


def test_a_flat_mask_scores_what_a_flat_mask_scores() -> None:
    flat = np.where(np.isnan(TRUE.depth), np.nan, 0).astype(np.float32)
    found = _means(scores.depth(TRUE, flat, metres_from="hips", inverse=False))
    assert found["error_cm"] == pytest.approx(found["flat_cm"])
    assert found["aligned_cm"] == pytest.approx(found["flat_aligned_cm"])


def test_depth_is_compared_where_there_is_some() -> None:
    depth = TRUE.depth.copy()
    depth[:, 20:45] = np.nan
    depth[2] = np.nan
    depth[2, 90, 90] = 4.0
    depth[1] = np.nan
    found = scores.depth(TRUE, depth, metres_from="camera", inverse=False)
    assert found["covered"].tolist() == [0.5, 0, 0]
    assert found["missed"].tolist() == [0, 1, 0]
    assert found["wrong"][[0, 2]].tolist() == [0, 1]
    assert np.isnan(found["error_cm"][1:]).all()


def test_depth_flickers_by_the_change_of_its_error() -> None:
    depth = TRUE.depth.copy()
    depth[1] += 0.02
    found = scores.depth(TRUE, depth, metres_from="camera", inverse=False)["flicker_cm"]
    assert found[1:] == pytest.approx(2, abs=1e-3)
