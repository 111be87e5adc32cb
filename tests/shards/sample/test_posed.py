"""The posed foreground: limbs follow their joints, and nothing else moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shards.sample.keypoints import COCO_18, OPENPOSE_134, Keypoints
from shards.sample.posed import lay_over, pose_of, reference_joints

SIZE = 128
COLOURS = {
    ("neck", "middle"): (200, 60, 60),
    ("right_shoulder", "right_elbow"): (60, 200, 60),
    ("right_elbow", "right_wrist"): (60, 60, 200),
    ("left_shoulder", "left_elbow"): (200, 200, 60),
    ("left_elbow", "left_wrist"): (60, 200, 200),
    ("right_hip", "right_knee"): (200, 60, 200),
    ("right_knee", "right_ankle"): (120, 60, 20),
    ("left_hip", "left_knee"): (20, 120, 60),
    ("left_knee", "left_ankle"): (60, 20, 120),
}
STANDING = {
    "nose": (64, 22), "neck": (64, 34), "right_eye": (61, 20), "left_eye": (67, 20),
    "right_ear": (58, 22), "left_ear": (70, 22),
    "right_shoulder": (54, 35), "right_elbow": (36, 44), "right_wrist": (22, 54),
    "left_shoulder": (74, 35), "left_elbow": (92, 44), "left_wrist": (106, 54),
    "right_hip": (58, 68), "right_knee": (52, 90), "right_ankle": (46, 112),
    "left_hip": (70, 68), "left_knee": (76, 90), "left_ankle": (82, 112),
}  # fmt: skip


def joints_at(**moved: tuple[float, float]) -> np.ndarray:
    """(18, 3) of somebody who stands, but for joints that are elsewhere."""
    places = {**STANDING, **moved}
    return np.array([(*places[joint], 1) for joint in COCO_18.joints], np.float32)


def drawn(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Somebody whose limbs have a colour each, and their mask."""
    image = np.full((SIZE, SIZE, 3), 255, np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    place = dict(zip(COCO_18.joints, joints[:, :2], strict=True))
    place["middle"] = (place["right_hip"] + place["left_hip"]) / 2
    for (a, b), colour in COLOURS.items():
        ends = [tuple(round(v) for v in place[joint]) for joint in (a, b)]
        width = 18 if b == "middle" else 7
        cv2.line(image, *ends, colour, width)
        cv2.line(mask, *ends, 255, width)
    return image, mask


def middle(joints: np.ndarray, a: str, b: str) -> tuple[int, int]:
    x, y = joints[COCO_18.indices(a, b), :2].mean(0).round().astype(int)
    return int(y), int(x)


def ramp() -> np.ndarray:
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    return np.dstack([x, y, x + y >> 1]).astype(np.uint8)


def test_in_the_same_pose_the_person_is_as_they_were() -> None:
    joints = joints_at()
    image, mask = drawn(joints)
    laid = lay_over(ramp(), image, mask, joints, joints[None])[0].astype(int)
    whole = np.where(mask[..., None] > 0, image, ramp()).astype(int)
    assert np.abs(laid - whole)[mask > 0].mean() < 3
    outside = cv2.dilate(mask, np.ones((3, 3), np.uint8)) == 0
    np.testing.assert_array_equal(laid[outside], whole[outside])


def test_limbs_follow_their_joints_in_size_place_and_turn() -> None:
    joints = joints_at()
    image, mask = drawn(joints)
    raised = joints_at(right_elbow=(40, 26), right_wrist=(30, 16))
    elsewhere = raised * (0.5, 0.5, 1) + (10, 40, 0)
    for pose in (raised, elsewhere.astype(np.float32)):
        (laid,) = lay_over(ramp(), image, mask, joints, pose[None])
        for (a, b), colour in COLOURS.items():
            if b != "middle":
                at = middle(pose, a, b)
                assert np.abs(laid[at].astype(int) - colour).max() < 40, (a, b)
    # Where the arm was there is the background now.
    was = middle(joints, "right_elbow", "right_wrist")
    (laid,) = lay_over(ramp(), image, mask, joints, raised[None])
    np.testing.assert_array_equal(laid[was], ramp()[was])


@pytest.mark.parametrize("nose", [60, 78])
def test_a_mirror_image_is_that_of_everything(nose: int) -> None:
    joints = joints_at(left_wrist=(100, 30), nose=(nose, 22))
    image, mask = drawn(joints)
    pose = joints_at(
        right_knee=(40, 84), right_ankle=(34, 104), left_elbow=(90, 30), nose=(124 - nose, 22)
    )
    (laid,) = lay_over(ramp(), image, mask, joints, pose[None])

    def turned(points: np.ndarray) -> np.ndarray:
        return Keypoints(points[None, None], COCO_18).flipped(SIZE).points[0, 0]

    (other,) = lay_over(
        np.ascontiguousarray(ramp()[:, ::-1]),
        np.ascontiguousarray(image[:, ::-1]),
        np.ascontiguousarray(mask[:, ::-1]),
        turned(joints),
        turned(pose)[None],
    )
    difference = np.abs(other[:, ::-1].astype(int) - laid)
    assert difference.mean() < 0.1
    assert (difference > 8).mean() < 0.002


def test_a_larger_foreground_is_the_same_person() -> None:
    joints = joints_at()
    image, mask = (cv2.GaussianBlur(a, None, 2) for a in drawn(joints))
    pose = joints_at(left_wrist=(100, 30))[None]
    (laid,) = lay_over(ramp(), image, mask, joints, pose)
    double = joints.copy()
    double[:, :2] = (double[:, :2] + 0.5) * 2 - 0.5
    larger = [
        cv2.resize(a, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR) for a in (image, mask)
    ]
    (other,) = lay_over(ramp(), *larger, double, pose)
    assert np.abs(other.astype(int) - laid).mean() < 1


def test_depth_goes_along_limbs_as_joints_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A little before the bones; the middle of a part is as deep as its joints in the mean."""
    joints = joints_at()
    image, mask = drawn(joints)
    raised = joints_at(right_elbow=(40, 26), right_wrist=(30, 16))
    deep = {"right_wrist": 0.2, "right_elbow": 0.5, "right_shoulder": 0.6, "left_ankle": 0.7}
    told = np.array([[deep.get(joint, 0.4) for joint in COCO_18.joints]], np.float32)
    monkeypatch.setattr("shards.sample.posed.lifted", lambda poses, min_score: told)
    depth = np.empty((1, SIZE, SIZE), np.float32)
    (laid,) = lay_over(ramp(), image, mask, joints, raised[None], depth=depth)
    (found,) = depth
    for a, b, expected, before in (
        ("right_elbow", "right_wrist", 0.35, 0.035),
        ("left_knee", "left_ankle", 0.55, 0.065),
        ("left_elbow", "left_wrist", 0.4, 0.035),
        ("right_shoulder", "left_hip", 0.44, 0.093),
    ):
        assert found[middle(raised, a, b)] == pytest.approx(expected - before, abs=0.03), (a, b)
    line = [
        found[round(26 + share * -10), round(40 + share * -10)] for share in (0.1, 0.3, 0.5, 0.7)
    ]
    assert (np.diff(line) < -0.02).all()
    # Where nobody is there is none, and nobody is where the background is as it was.
    same = (laid == ramp()).all(-1)
    assert (found[same] == 1).mean() > 0.99
    assert ((found < 0.75) | (found == 1)).all()
    assert (found < 1).sum() == pytest.approx((mask > 0).sum(), rel=0.35)


def test_a_part_takes_no_other_along() -> None:
    """An arm that hangs beside the torso in the foreground is not there when it is raised."""
    hanging = joints_at(
        right_elbow=(46, 52), right_wrist=(44, 68), left_elbow=(82, 52), left_wrist=(84, 68)
    )
    image, mask = drawn(hanging)
    raised = hanging.copy()
    raised[COCO_18.indices("right_elbow", "right_wrist"), :2] = (40, 26), (30, 16)
    (laid,) = lay_over(ramp(), image, mask, hanging, raised[None])
    was = middle(hanging, "right_elbow", "right_wrist")
    np.testing.assert_array_equal(laid[was], ramp()[was])
    assert np.abs(laid[middle(raised, "right_elbow", "right_wrist")] - [60.0, 60, 200]).max() < 40


def test_a_leg_takes_no_tip_of_the_others_shoe_along() -> None:
    """The tip is nearer to the other leg, and does not hang together with it."""
    together = joints_at(left_knee=(74, 90), left_ankle=(72, 112))
    image, mask = drawn(together)
    shoe, tip = (255, 140, 0), (59, 117)
    for drawn_on, value in ((image, shoe), (mask, 255)):
        cv2.line(drawn_on, (46, 114), tip, value, 4)
    apart = joints_at(left_knee=(90, 88), left_ankle=(104, 108))
    (laid,) = lay_over(np.zeros_like(image), image, mask, together, apart[None])
    orange = (laid[..., 0] > 120) & (laid[..., 1] > 60) & (laid[..., 2] < 20)
    assert orange[tip[1], tip[0]]
    assert not orange[:, 66:].any()


def test_the_nearer_limb_is_before_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    joints = joints_at()
    image, mask = drawn(joints)
    # Both forearms cross the chest at one place.
    crossed = joints_at(
        right_elbow=(44, 50), right_wrist=(80, 56), left_elbow=(84, 50), left_wrist=(48, 56)
    )
    for nearer, colour in (("right", (60, 60, 200)), ("left", (60, 200, 200))):
        told = np.full((1, 18), 0.5)
        told[0, COCO_18.indices(f"{nearer}_elbow", f"{nearer}_wrist")] = 0.1
        monkeypatch.setattr("shards.sample.posed.lifted", lambda poses, min_score, told=told: told)
        (laid,) = lay_over(ramp(), image, mask, joints, crossed[None])
        assert np.abs(laid[53, 64].astype(int) - colour).max() < 40, nearer


def test_a_head_keeps_its_size_from_any_side_and_looks_where_the_face_does() -> None:
    """Half of the head is red and half is blue; from the side the face's joints are in a line."""
    left = {"nose": (56, 22), "right_eye": (57, 20), "left_eye": (58, 20), "left_ear": (64, 22)}
    right = {"nose": (72, 22), "right_eye": (70, 20), "left_eye": (71, 20), "left_ear": (64, 22)}
    joints = joints_at(**left)
    joints[COCO_18.indices("right_ear"), 2] = 0
    image, mask = drawn(joints)
    for picture, value in ((image, (220, 40, 40)), (mask, 255)):
        cv2.circle(picture, (64, 22), 9, value, -1)
    image[10:33, 64:74][mask[10:33, 64:74] > 0] = (40, 40, 220)
    away = joints_at(**right)
    away[COCO_18.indices("right_ear"), 2] = 0
    front = joints_at()
    nodding = joints.copy()
    nodding[COCO_18.indices("neck"), 1] -= 4
    for pose, to_the_left in ((joints, 0), (away, 2), (front, 0), (nodding, 0)):
        (laid,) = lay_over(ramp(), image, mask, joints, pose[None])
        assert laid[20, 58].argmax() == to_the_left
        assert laid[20, 70].argmax() == 2 - to_the_left
        changed = (laid[10:29, 50:79].astype(int) != ramp()[10:29, 50:79]).any(-1)
        assert 15 <= changed.any(0).sum() <= 22


@pytest.mark.parametrize("ears", [(), ("right_ear",), ("left_ear",), ("right_ear", "left_ear")])
def test_ears_that_are_not_seen_turn_nobody_about(ears: tuple[str, ...]) -> None:
    joints = joints_at()
    image, mask = drawn(joints)
    for picture, value in ((image, (220, 40, 40)), (mask, 255)):
        cv2.circle(picture, (64, 22), 9, value, -1)
    hidden = joints.copy()
    hidden[COCO_18.indices(*ears), 2] = 0
    (whole,) = lay_over(ramp(), image, mask, joints, joints[None])
    for own, pose in ((joints, hidden), (hidden, joints), (hidden, hidden)):
        (laid,) = lay_over(ramp(), image, mask, own, pose[None])
        assert np.abs(laid.astype(int) - whole).mean() < 0.5
    # Who glances to the other side stands as they did.
    glances = [
        joints_at(nose=(x, 22), right_eye=(x - 2, 20), left_eye=(x + 2, 20)) for x in (59, 69)
    ]
    (laid,) = lay_over(ramp(), image, mask, glances[0], glances[1][None])
    assert np.abs(laid[70:].astype(int) - whole[70:]).max() < 8


def test_who_looks_to_the_other_side_has_their_feet_there_too() -> None:
    left = {"nose": (56, 22), "right_eye": (57, 20), "left_eye": (58, 20), "left_ear": (64, 22)}
    joints = joints_at(**left, right_ear=(64, 22))
    image, mask = drawn(joints)
    for picture, value in ((image, (120, 60, 20)), (mask, 255)):  # a foot
        cv2.line(picture, (46, 112), (36, 116), value, 5)
    right = {"nose": (72, 22), "right_eye": (70, 20), "left_eye": (71, 20), "left_ear": (64, 22)}
    away = joints_at(**right, right_ear=(64, 22))
    for pose in (joints, away):
        for joint in ("shoulder", "hip"):
            pose[COCO_18.indices(f"right_{joint}", f"left_{joint}"), 0] = 61, 67
    there, here = (lay_over(ramp(), image, mask, joints, pose[None])[0] for pose in (joints, away))
    drawn_there, drawn_here = (
        np.abs(laid.astype(int) - ramp())[108:120].max(-1) > 60 for laid in (there, here)
    )
    assert drawn_there[:, 36:42].sum() > 20 > drawn_here[:, 36:42].sum()
    assert drawn_here[:, 50:58].sum() > 20 > drawn_there[:, 50:58].sum()


@pytest.mark.parametrize("seen", [0, 1, 2])
def test_nobody_is_laid_over_where_too_few_joints_are_seen(seen: int) -> None:
    joints = joints_at()
    image, mask = drawn(joints)
    hidden = joints.copy()
    hidden[seen:, 2] = 0.2
    for own, pose in ((hidden, joints), (joints, hidden)):
        (laid,) = lay_over(ramp(), image, mask, own, pose[None])
        np.testing.assert_array_equal(laid, ramp())


def test_bodies_that_make_no_sense_break_nothing() -> None:
    """All joints in one place, on a line, far outside, or in a turn that shows no torso."""
    joints = joints_at()
    image, mask = drawn(joints)
    one, line, far, edge = (joints.copy() for _ in range(4))
    one[:, :2] = 60
    line[:, 1] = 64
    far[:, :2] += 5000
    edge[:, 0] = 64 + (edge[:, 0] - 64) * 1e-3
    lost, endless = joints.copy(), joints.copy()
    lost[COCO_18.indices("left_eye", "right_knee"), 0] = np.nan
    endless[COCO_18.indices("neck", "right_wrist"), 0] = np.inf
    poses = np.stack([one, line, far, edge, lost, endless])
    for own in (joints, one, line, edge, lost, endless):
        laid = lay_over(ramp(), image, mask, own, poses)
        np.testing.assert_array_equal(laid[2], ramp())
    (hidden,) = lay_over(ramp(), image, np.zeros_like(mask), joints, joints[None])
    np.testing.assert_array_equal(hidden, ramp())


def info(**reference: object) -> dict[str, object]:
    return {
        "frame_indices": [10, 12, 14],
        "crop": {"box": [20, 40, 276, 296]},
        "size": [128, 128],
        "reference": {"frame": 12, "box": [60, 80, 188, 208], **reference},
    }


def test_the_foregrounds_joints_are_those_of_the_json_or_of_its_own_frame() -> None:
    said = joints_at(nose=(1.25, 2.5))
    found = reference_joints(info(joints=said.tolist()), None, 128)
    assert found is not None
    np.testing.assert_array_equal(found, said)

    points = np.stack([joints_at(), joints_at(nose=(50, 40)), joints_at()])
    found = reference_joints(info(), points, 64)
    assert found is not None
    # Two source pixels are one of the clip, and two of the foreground: 64 of 128.
    nose = (np.array([50, 40]) + 0.5) * 2 + (20, 40)
    np.testing.assert_allclose(found[0, :2], (nose - (60, 80)) / 2 - 0.5, atol=1e-4)
    np.testing.assert_array_equal(found[:, 2], 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame": 11},
        {"frame": None},
        {"box": None},
        {"box": [5, 5, 5, 5]},
        {"joints": [[1, 2, 3]]},
        {"joints": "none"},
        {"joints": [[float("nan")] * 3] * 18},
    ],
)
def test_a_json_that_does_not_tell_gives_none(wrong: dict[str, object]) -> None:
    points = np.stack([joints_at()] * 3)
    assert reference_joints(info(**wrong), points, 64) is None
    assert reference_joints({}, points, 64) is None
    assert reference_joints(info(), None, 64) is None


def test_the_body_is_the_first_persons() -> None:
    points = np.zeros((2, 2, 134, 3), np.float32)
    points[:, 0, : len(COCO_18)] = joints_at()
    said = {"keypoints": {"joint_set": OPENPOSE_134.name, "min_score": 0.5}}
    body, least = pose_of(points, said)
    np.testing.assert_array_equal(body, np.stack([joints_at()] * 2))
    assert least == 0.5
    for wrong in ({}, {"keypoints": {"joint_set": "coco_18"}}, {"keypoints": 3}):
        with pytest.raises(ValueError, match="joint set"):
            pose_of(points, wrong)
    with pytest.raises(ValueError, match="joint set"):
        pose_of(points[:, :0], said)
