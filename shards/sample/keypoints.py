"""Named joint sets, and the one keypoint value that every pose annotator gives.

`OPENPOSE_134` is what shards store: 18 body joints, 6 of the feet, 68 of the face, 21 of each
hand, in the order in which DWPose's users know them. An annotator that lacks a joint scores it 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "BLAZEPOSE_33",
    "COCO_18",
    "FACE_68",
    "FEET_6",
    "HAND_21",
    "JOINT_SETS",
    "OPENPOSE_134",
    "JointSet",
    "Keypoints",
    "are_seen",
    "only_finite",
    "wholebody_from_blazepose",
]


@dataclass(frozen=True)
class JointSet:
    """An ordered, named list of joints."""

    name: str
    joints: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def indices(self, *joints: str) -> list[int]:
        """Positions of the named joints. Raises ValueError for a joint that is not in the set."""
        return [self.joints.index(joint) for joint in joints]

    def mirrored(self) -> np.ndarray:
        """(J,) int: for each joint the index of its mirror image, for flips."""
        return np.array([self.joints.index(_other_side(joint)) for joint in self.joints])


# Joints of the face are numbered, not named: their mirror images by number (68-point convention).
_FACE_MIRROR = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # nostrils
    *(45, 44, 43, 42, 47, 46),  # right eye
    *(39, 38, 37, 36, 41, 40),  # left eye
    *range(54, 47, -1),  # outer lip, upper
    *range(59, 54, -1),  # outer lip, lower
    *range(64, 59, -1),  # inner lip, upper
    *range(67, 64, -1),  # inner lip, lower
)


def _other_side(joint: str) -> str:
    if joint.startswith("left_"):
        return "right_" + joint.removeprefix("left_")
    if joint.startswith("right_"):
        return "left_" + joint.removeprefix("right_")
    if joint.startswith("face_"):
        return f"face_{_FACE_MIRROR[int(joint.removeprefix('face_'))]}"
    return joint


def _sides(*names: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


BLAZEPOSE_33 = JointSet(
    "blazepose_33",
    (
        "nose",
        *("left_eye_inner", "left_eye", "left_eye_outer"),
        *("right_eye_inner", "right_eye", "right_eye_outer"),
        *_sides("ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        *_sides("hip", "knee", "ankle", "heel", "big_toe"),
    ),
)
COCO_18 = JointSet(
    "coco_18",
    (
        *("nose", "neck"),
        *("right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
    ),
)
FEET_6 = JointSet(
    "feet_6",
    tuple(f"{s}_{j}" for s in ("left", "right") for j in ("big_toe", "small_toe", "heel")),
)
FACE_68 = JointSet("face_68", tuple(f"face_{i}" for i in range(68)))
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
HAND_21 = JointSet("hand_21", ("palm", *(f"{f}_{j}" for f in _FINGERS for j in range(1, 5))))
OPENPOSE_134 = JointSet(
    "openpose_134",
    (
        *COCO_18.joints,
        *FEET_6.joints,
        *FACE_68.joints,
        *(f"left_hand_{joint}" for joint in HAND_21.joints),
        *(f"right_hand_{joint}" for joint in HAND_21.joints),
    ),
)
JOINT_SETS = {s.name: s for s in (BLAZEPOSE_33, COCO_18, FEET_6, FACE_68, HAND_21, OPENPOSE_134)}

# Vertices of the 468-point face mesh that lie on the 68-point convention's marks.
FACE_MESH_TO_68 = (
    *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)


@dataclass(frozen=True, eq=False)
class Keypoints:
    """`points` (frames, people, joints, 3) float32: x, y in pixels and a score in [0, 1].

    Pixel centres are integers. A joint not seen scores 0 and its position means nothing.
    Raises ValueError when `points` does not fit `joint_set`.
    """

    points: np.ndarray
    joint_set: JointSet

    def __post_init__(self) -> None:
        shape = self.points.shape
        if len(shape) != 4 or shape[2:] != (len(self.joint_set), 3):
            raise ValueError(
                f"keypoints {shape} do not fit {self.joint_set.name}: "
                f"(frames, people, {len(self.joint_set)}, 3) expected"
            )
        if self.points.dtype != np.float32:
            raise ValueError(f"keypoints must be float32, not {self.points.dtype}")

    def transformed(self, affine: np.ndarray) -> Keypoints:
        """The same joints after x, y -> affine @ (x, y, 1); affine is (2, 3)."""
        points = self.points.copy()
        points[..., :2] = points[..., :2] @ affine[:, :2].T + affine[:, 2]
        return Keypoints(points.astype(np.float32), self.joint_set)

    def flipped(self, width: int) -> Keypoints:
        """The joints of the image mirrored left to right: left and right change names."""
        points = self.points[:, :, self.joint_set.mirrored()]
        points[..., 0] = width - 1 - points[..., 0]
        return Keypoints(points, self.joint_set)

    def select(self, joints: JointSet, prefix: str = "") -> np.ndarray:
        """(frames, people, len(joints), 3): the joints named `prefix + name`, in that order.

        Raises ValueError when this set lacks one of them.
        """
        return self.points[:, :, self.joint_set.indices(*(prefix + j for j in joints.joints))]


def are_seen(points: np.ndarray, min_score: float) -> np.ndarray:
    """(...) bool: which joints (..., 3), x, y and a score, have such a score and are finite."""
    seen: np.ndarray = (points[..., 2] >= min_score) & np.isfinite(points).all(-1)
    return seen


def only_finite(points: np.ndarray) -> np.ndarray:
    """The joints (..., 3) with 0 for those that have a number which is not finite: not seen."""
    finite: np.ndarray = np.where(np.isfinite(points).all(-1, keepdims=True), points, 0)
    return finite


def wholebody_from_blazepose(
    body: np.ndarray,
    left_hand: np.ndarray | None = None,
    right_hand: np.ndarray | None = None,
    face: np.ndarray | None = None,
) -> np.ndarray:
    """One person's OPENPOSE_134 joints from BlazePose, hand and face-mesh landmarks.

    body (33, 3), hands (21, 3), face (468, 3) or (68, 3): x, y, score. Returns (134, 3) float32.
    The neck is midway between the shoulders, scored as the worse of them.
    """
    joints = np.zeros((len(OPENPOSE_134), 3), np.float32)
    for i, name in enumerate(BLAZEPOSE_33.joints):
        if name in OPENPOSE_134.joints:
            joints[OPENPOSE_134.joints.index(name)] = body[i]
    shoulders = body[BLAZEPOSE_33.indices("left_shoulder", "right_shoulder")]
    neck = COCO_18.joints.index("neck")
    joints[neck] = *shoulders[:, :2].mean(0), shoulders[:, 2].min()
    face_start = len(COCO_18) + len(FEET_6)
    left_start = face_start + len(FACE_68)
    if face is not None:
        marks = face[list(FACE_MESH_TO_68)] if len(face) == 468 else face
        joints[face_start:left_start] = marks
    if left_hand is not None:
        joints[left_start : left_start + 21] = left_hand
    if right_hand is not None:
        joints[left_start + 21 :] = right_hand
    return joints
