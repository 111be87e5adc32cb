"""Retargeting on stick figures of known proportions, and what is refused."""

import numpy as np
import pytest

from idol.generate.errors import CannotRetargetError
from idol.generate.retarget import body_size, retarget
from idol.generate.retarget_check import facing, misfits, thigh_drop
from tests.idol.generate.figures import BONES, figure, walk

HALF_SECOND = 12


def error(points: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of joints that both show, in the truth's size."""
    both = (points[:, :18, 2] > 0) & (truth[:, :18, 2] > 0)
    away = np.linalg.norm(points[:, :18, :2] - truth[:, :18, :2], axis=-1)
    return float(away[both].mean() / np.nanmax(body_size(truth)))


TALL = {bone: 1.25 * length for bone, length in BONES.items()}
LONG_LEGS = {**BONES, "thigh": 1.2 * BONES["thigh"], "shin": 1.2 * BONES["shin"]}


@pytest.mark.parametrize("bones", [TALL, LONG_LEGS])
def test_the_joint_error_falls_to_a_quarter_at_most(bones: dict[str, float]) -> None:
    driving = walk(BONES, at=(200, 400), step=0.0)
    truth = walk(bones, at=(330, 420), step=0.0)
    before = error(retarget(driving, truth[:1], "none").keypoints, truth)
    after = error(retarget(driving, truth[:1], "proportions").keypoints, truth)
    assert after <= before / 4
    assert after < 0.02


def test_proportions_beat_one_scale_for_another_build() -> None:
    driving = walk(BONES, at=(200, 400), step=0.0)
    truth = walk(LONG_LEGS, at=(200, 400), step=0.0)
    one = error(retarget(driving, truth[:1], "similarity").keypoints, truth)
    each = error(retarget(driving, truth[:1], "proportions").keypoints, truth)
    assert each < one / 3


def test_similarity_is_the_scale_and_place_of_the_person() -> None:
    driving = walk(BONES, at=(200, 400), step=2.0)
    person = driving[:1].copy()
    person[..., :2] = 2 * person[..., :2] + (30, -70)
    found = retarget(driving, person, "similarity")
    expected = 2 * driving[..., :2] + np.array([30, -70])
    assert found.scale == pytest.approx(2, rel=1e-3)
    seen = driving[..., 2] > 0
    assert np.abs(found.keypoints[seen][:, :2] - expected[seen]).max() < 1


def test_none_moves_nothing_but_by_the_letterbox() -> None:
    driving = walk(BONES)
    assert np.array_equal(retarget(driving, driving[:0], "none").keypoints, driving)
    moved = retarget(driving, driving[:0], "none", fit=(0.5, 10, 20)).keypoints
    assert np.allclose(moved[..., 0], 0.5 * driving[..., 0] + 10)
    assert np.allclose(moved[..., 1], 0.5 * driving[..., 1] + 20)


def test_the_foot_that_is_stood_on_stays_on_the_ground() -> None:
    driving = walk(BONES, at=(200, 400), step=0.0)
    person = walk(LONG_LEGS, at=(200, 400), step=0.0)[:1]
    moved = retarget(driving, person, "proportions").keypoints
    ground = moved[:, [10, 13], 1].max(1)
    assert np.ptp(ground) < 0.015 * body_size(moved)[0]


def test_missing_joints_leave_the_rest_where_it_was_and_finite() -> None:
    rng = np.random.default_rng(0)
    driving = walk(BONES, step=1.0)
    person = walk(TALL)[:1]
    whole = retarget(driving, person, "proportions").keypoints
    lost = driving.copy()
    gone = rng.uniform(size=lost.shape[:2]) < 0.15
    gone[0] = False
    lost[gone] = (np.nan, np.nan, 0)
    moved = retarget(lost, person, "proportions").keypoints
    seen = (moved[:, :18, 2] > 0) & np.isfinite(moved[:, :18]).all(-1)
    away = np.linalg.norm(moved[:, :18, :2] - whole[:, :18, :2], axis=-1)[seen]
    assert seen.mean() > 0.8
    assert np.median(away) < 0.01 * body_size(whole)[0]
    assert away.max() < 0.12 * body_size(whole)[0]


def test_hands_and_feet_go_with_their_joints() -> None:
    driving = walk(BONES)
    driving[:, 92] = driving[:, 7] + (10, 0, 0)  # beside the left wrist
    moved = retarget(driving, walk(TALL)[:1], "proportions").keypoints
    away = moved[:, 92, :2] - moved[:, 7, :2]
    assert np.allclose(away, (12.5, 0), atol=0.5)


def test_who_shares_no_joint_with_the_motion_is_refused() -> None:
    driving, person = walk(BONES), walk(BONES)[:1]
    driving[:, :8, 2] = 0
    person[:, 8:, 2] = 0
    with pytest.raises(CannotRetargetError, match="no three joints of the body in common"):
        retarget(driving, person, "proportions")


FRONT, BACK = figure(BONES), figure(BONES, turned=np.pi)
SITS = figure(BONES, sits=True)


def test_a_figure_tells_its_side_and_whether_it_sits() -> None:
    assert facing(FRONT[None])[0] > 0.8
    assert facing(BACK[None])[0] < -0.8
    assert abs(facing(figure(BONES, turned=np.pi / 2)[None])[0]) < 0.1
    assert thigh_drop(FRONT[None])[0] > 0.7
    assert thigh_drop(SITS[None])[0] < 0.4


@pytest.mark.parametrize(
    ("driving", "person", "reason"),
    [
        (BACK, FRONT, "seen from the front, the motion from behind in 100%"),
        (FRONT, BACK, "seen from behind, the motion from the front in 100%"),
        (FRONT, SITS, "the person sits or squats, the motion stands"),
        (SITS, FRONT, "the person stands, the motion sits or squats"),
        (FRONT, np.where(np.arange(134)[:, None] < 7, FRONT, 0), "shows 7 of 18 joints"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    driving: np.ndarray, person: np.ndarray, reason: str
) -> None:
    (said,) = misfits(np.repeat(driving[None], 5, 0), person[None].astype(np.float32))
    assert reason in said


@pytest.mark.parametrize("pose", [FRONT, BACK, SITS, figure(BONES, turned=1.2)])
def test_who_does_the_same_fits(pose: np.ndarray) -> None:
    assert misfits(np.repeat(pose[None], 5, 0), pose[None]) == []


def test_one_who_goes_down_and_up_again_fits_who_stands() -> None:
    half = np.stack([FRONT] * HALF_SECOND + [SITS] * HALF_SECOND)
    assert misfits(half, FRONT[None]) == []
