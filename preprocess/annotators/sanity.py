"""What anatomy forbids: key points that no body can have taken, and masks that are no person's.

Networks are sometimes sure of nonsense: for a frame or two left and right change places, the whole
figure collapses, a joint jumps across the picture and back. Smoothing would spread that to the
frames around, so it is found before, frame against frame: a body cannot be elsewhere for a
fifteenth of a second. What moves fast but steadily stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shards.sample.keypoints import COCO_18, OPENPOSE_134, Keypoints

__all__ = [
    "CheckedKeypoints",
    "Findings",
    "check_poses",
    "joints_in_mask",
    "nonsense_mask",
]

_LONGEST_GAP = 3  # frames in a row that are filled in between good ones, and taken for a slip
_SEEN = 0.1  # joints scored lower say nothing
# Lengths are in torsos, neck to hips, about half a metre. A hand that comes back at
# once was not 4.5 m/s fast.
_SPEED = 9.0  # torsos a second
_JITTER = 0.15  # torsos within which positions of one place scatter
_LESS = 0.5  # of its score is left to a joint that is filled in
# Length of a bone in torsos, of a grown-up seen from the front; a child's differ by a tenth.
_LENGTHS = {
    ("neck", "right_shoulder"): 0.35,
    ("neck", "left_shoulder"): 0.35,
    ("right_shoulder", "right_elbow"): 0.6,
    ("left_shoulder", "left_elbow"): 0.6,
    ("right_elbow", "right_wrist"): 0.55,
    ("left_elbow", "left_wrist"): 0.55,
    ("neck", "right_hip"): 1.05,
    ("neck", "left_hip"): 1.05,
    ("right_hip", "right_knee"): 0.85,
    ("left_hip", "left_knee"): 0.85,
    ("right_knee", "right_ankle"): 0.8,
    ("left_knee", "left_ankle"): 0.8,
    ("neck", "nose"): 0.5,
}
_TOO_LONG = 2.0  # times what its fellows say: perspective stretches by half
_OFF_LINE = 0.75  # of the way from before to after: no turn is so sharp
_PLAIN = 1.5  # times the way that a joint can go
_COLLAPSED = 0.4  # of the figure's size in the frames around
_WHOLE = 0.4  # of a figure's joints: where more are wrong, all are
_SWAP_COST = 0.05  # torsos a joint by which exchanged sides must fit better, each frame

_BODY = len(COCO_18)
_BONES = np.array([COCO_18.indices(*bone) for bone in _LENGTHS])
_BONE_LENGTHS = np.array(list(_LENGTHS.values()))
_MIRROR = OPENPOSE_134.mirrored()
_ARMS, _LEGS = (
    np.array([i for i, joint in enumerate(OPENPOSE_134.joints) if any(p in joint for p in parts)])
    for parts in (("shoulder", "elbow", "wrist", "_hand_"), ("hip", "knee", "ankle", "toe", "heel"))
)
_SHOULDERS = COCO_18.indices("right_shoulder", "left_shoulder")
_HIPS = COCO_18.indices("right_hip", "left_hip")
# What hangs on a joint of the body, and is wrong where that is.
_HANGS_ON = {
    "nose": [i for i, j in enumerate(OPENPOSE_134.joints) if j.startswith("face_")],
    **{
        f"{side}_{joint}": [
            i
            for i, j in enumerate(OPENPOSE_134.joints)
            if j.startswith(f"{side}_") and any(p in j for p in parts)
        ]
        for side in ("left", "right")
        for joint, parts in (("wrist", ("_hand_",)), ("ankle", ("toe", "heel")))
    },
}


@dataclass(frozen=True)
class Findings:
    """`rejected`: joints of the body, each in each frame, that were taken out; `interpolated`: how
    many of them were filled in; `swapped`: frames in which the sides were exchanged."""

    rejected: int = 0
    interpolated: int = 0
    swapped: int = 0

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            self.rejected + other.rejected,
            self.interpolated + other.interpolated,
            self.swapped + other.swapped,
        )


@dataclass(frozen=True, eq=False)
class CheckedKeypoints(Keypoints):
    """Key points, and what was found wrong with them; None where nothing was checked."""

    findings: Findings | None = None

    @classmethod
    def of(
        cls, points: np.ndarray, to_clip: np.ndarray, findings: Findings | None
    ) -> CheckedKeypoints:
        """OPENPOSE_134's joints in pixels of the source, brought to the clip's by (2, 3) affine."""
        moved = Keypoints(points, OPENPOSE_134).transformed(to_clip)
        return cls(moved.points, moved.joint_set, findings)


def check_poses(points: np.ndarray, fps: float) -> tuple[np.ndarray, Findings]:
    """People's joints without what anatomy forbids.

    points: (frames, people, 134, 3) float32 of OPENPOSE_134: x, y in pixels, score in [0, 1]; each
    person is one over all frames. fps: of these frames (> 0).
    Sides that are exchanged against most frames are exchanged back. Joints that are elsewhere for
    up to three frames, bones twice as long as the others say, and figures that collapse are
    rejected: filled in on the line between the frames before and after, with half their score,
    where both are known, and else scored 0.
    """
    checked = points.copy()
    findings = Findings()
    for person in range(points.shape[1]):
        checked[:, person], found = _check(checked[:, person], fps)
        findings += found
    return checked, findings


def _check(joints: np.ndarray, fps: float) -> tuple[np.ndarray, Findings]:
    """(T, 134, 3) of one person."""
    torso = _torso(joints)
    if torso is None:
        return joints, Findings()
    joints, swapped = _unswapped(joints, torso)
    seen = joints[..., 2] >= _SEEN
    step = torso * (_JITTER + _SPEED / fps)  # pixels from one frame to the next, at most
    wrong = np.zeros(joints.shape[:2], bool)
    body = np.s_[:, :_BODY]
    wrong[body] |= _collapsed(joints[body], seen[body])[:, None] & seen[body]
    wrong[body] |= _stretched(joints[body], seen[body], torso)
    for joint in range(_BODY):
        good = seen[:, joint] & ~wrong[:, joint]
        wrong[:, joint] |= _elsewhere(joints[:, joint, :2], good, step)
    many = wrong[body].sum(1) > _WHOLE * np.maximum(seen[body].sum(1), 1)
    wrong[many] = seen[many]
    for name, others in _HANGS_ON.items():
        wrong[:, others] |= wrong[:, [COCO_18.joints.index(name)]] & seen[:, others]
    filled, interpolated = _filled(joints, seen & ~wrong, wrong)
    return filled, Findings(int(wrong[body].sum()), interpolated, swapped)


def _torso(joints: np.ndarray) -> float | None:
    """Pixels: by all bones over all frames, of which the middle is taken; None without any."""
    length, known = _bones(joints[:, :_BODY], joints[:, :_BODY, 2] >= _SEEN)
    length = np.where(known, length / _BONE_LENGTHS, np.nan)[known.sum(1) >= 3]
    if not len(length):
        return None
    # Foreshortened bones are shorter: a frame's size is that of the longer ones.
    size = float(np.median(np.nanpercentile(length, 70, axis=1)))
    return size if size > 0 else None


def _bones(body: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, bones) lengths in pixels, and whether both ends are seen."""
    a, b = _BONES.T
    length = np.linalg.norm(body[:, a, :2] - body[:, b, :2], axis=-1)
    return length, seen[:, a] & seen[:, b]


def _unswapped(joints: np.ndarray, torso: float) -> tuple[np.ndarray, int]:
    """Sides of arms and legs exchanged back where they are against the frames around; in how many
    frames.

    The path of least motion through the frames (Viterbi), each with its arms and its legs as they
    are or exchanged; a trunk with the shoulders one way round and the hips the other costs, too.
    What more frames say is right, since a body turns round in no single one.
    """
    bodies = [np.array([i for i in group if i < _BODY]) for group in (_ARMS, _LEGS)]
    # (T, arms exchanged, legs exchanged): what a frame costs, and where its best way came from.
    count = len(joints)
    cost = np.zeros((count, 2, 2))
    came = np.zeros((count, 2, 2), int)
    for t in range(count):
        own = _SWAP_COST * np.add.outer([0, 1], [0, 1]) + _twist(joints[t], torso)
        if t == 0:
            cost[t] = own
            continue
        arms, legs = (_motion(joints[t - 1], joints[t], group, torso) for group in bodies)
        # From (arms, legs) before, to (arms, legs) now.
        step = arms[:, None, :, None] + legs[None, :, None, :]
        total = (cost[t - 1][:, :, None, None] + step).reshape(4, 2, 2)
        came[t] = total.argmin(0)
        cost[t] = total.min(0) + own
    state = int(cost[-1].argmin())
    path = np.zeros((count, 2), bool)
    for t in range(count - 1, -1, -1):
        path[t] = divmod(state, 2)
        state = int(came[t].ravel()[state])
    joints = joints.copy()
    for exchanged, group in zip(path.T, (_ARMS, _LEGS), strict=True):
        if exchanged.sum() > count / 2:
            exchanged[:] = ~exchanged
        mirrored = joints[:, _MIRROR[group]]
        joints[np.ix_(exchanged, group)] = mirrored[exchanged]
    return joints, int(path.any(1).sum())


def _motion(before: np.ndarray, after: np.ndarray, group: np.ndarray, torso: float) -> np.ndarray:
    """(2, 2): how far joints move on average, in torsos, from a frame as it is or exchanged to the
    next as it is or exchanged."""
    a, b = (np.stack([frame[group], frame[_MIRROR[group]]]) for frame in (before, after))
    known = (a[:, None, :, 2] >= _SEEN) & (b[None, :, :, 2] >= _SEEN)
    moved = np.linalg.norm(a[:, None, :, :2] - b[None, :, :, :2], axis=-1) / torso
    # Far is far: a joint that is lost must not decide which side is which.
    return (np.minimum(moved, 1.0) * known).sum(-1) / np.maximum(known.sum(-1), 1)


def _twist(frame: np.ndarray, torso: float) -> np.ndarray:
    """(arms exchanged, legs exchanged): what a trunk costs that is turned against itself."""
    ends = frame[[*_SHOULDERS, *_HIPS]]
    if (ends[:, 2] < _SEEN).any():
        return np.zeros((2, 2))
    shoulders, hips = ends[1, :2] - ends[0, :2], ends[3, :2] - ends[2, :2]
    against = float(np.clip(-(shoulders @ hips) / torso**2 / 0.1, -1, 1))
    return 0.25 * np.array([[against, -against], [-against, against]]).clip(min=0)


def _runs(where: np.ndarray) -> list[tuple[int, int]]:
    """First and one after the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _collapsed(body: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(T,) bool: frames in which the figure is much smaller than before and after."""
    low = np.where(seen[..., None], body[..., :2], np.inf).min(1)
    high = np.where(seen[..., None], body[..., :2], -np.inf).max(1)
    known = seen.sum(1) >= 6
    size = np.where(known, (high - low).max(-1), np.nan)
    small = np.zeros(len(body), bool)
    for first in range(1, len(body)):
        for end in range(first + 1, min(first + _LONGEST_GAP, len(body) - 1) + 1):
            around = min(size[first - 1], size[end])  # NaN where nothing is known
            if known[first:end].all() and (size[first:end] < _COLLAPSED * around).all():
                small[first:end] = True
    return small


def _stretched(body: np.ndarray, seen: np.ndarray, torso: float) -> np.ndarray:
    """(T, 18) bool: the ends of bones that are much longer than the figure's size allows.

    Of a bone's two ends the one is wrong of which more bones are too long; the outer one where
    that does not tell.
    """
    length, known = _bones(body, seen)
    long = known & (length > _TOO_LONG * torso * _BONE_LENGTHS)
    # A bone that is so long most of the time is so seen, as by a camera close to a hand.
    long &= long.sum(0) <= 0.5 * np.maximum(known.sum(0), 1)
    wrong = np.zeros(seen.shape, bool)
    for t, bone in np.argwhere(long):
        inner, outer = _BONES[bone]
        ends = [int(long[t, (joint == _BONES).any(1)].sum()) for joint in (inner, outer)]
        wrong[t, inner if ends[0] > ends[1] else outer] = True
    return wrong


def _elsewhere(xy: np.ndarray, good: np.ndarray, step: float) -> np.ndarray:
    """(T,) bool: runs of up to _LONGEST_GAP frames in which a joint is far from the line between
    where it is before and after."""
    away = np.zeros(len(xy), bool)
    places = np.flatnonzero(good)
    for i in range(1, len(places)):
        if away[places[i]]:
            continue
        for count in range(1, _LONGEST_GAP + 1):
            if i + count >= len(places):
                break
            before, after = places[i - 1], places[i + count]
            between = places[i : i + count]
            if after - before > _LONGEST_GAP + 1 or away[before]:
                break
            share = ((between - before) / (after - before))[:, None]
            line = xy[before] + share * (xy[after] - xy[before])
            least = max(step, _OFF_LINE * float(np.linalg.norm(xy[after] - xy[before])))
            if (np.linalg.norm(xy[between] - line, axis=-1) > least).all():
                away[between] = True
                break
    # At the ends there is one side to go by: a jump there has to be plainer.
    for end, beside, further in (places[:3], places[:-4:-1]) if len(places) > 3 else ():
        jump, rest = (np.linalg.norm(xy[a] - xy[b]) for a, b in ((end, beside), (beside, further)))
        if abs(end - beside) == 1 and jump > _PLAIN * step and rest < step:
            away[end] = True
    return away


def _filled(joints: np.ndarray, good: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, int]:
    """With what is wrong filled in where both sides are known and near; the rest scores 0."""
    joints = joints.copy()
    filled = 0
    for joint in np.flatnonzero(wrong.any(0)):
        for first, end in _runs(wrong[:, joint]):
            before, after = first - 1, end
            known = before >= 0 and after < len(joints)
            if known and end - first <= _LONGEST_GAP and good[before, joint] and good[after, joint]:
                share = (np.arange(first, end) - before) / (after - before)
                a, b = joints[before, joint], joints[after, joint]
                joints[first:end, joint] = a + share[:, None] * (b - a)
                joints[first:end, joint, 2] = _LESS * min(a[2], b[2])
                filled += (end - first) * int(joint < _BODY)
            else:
                joints[first:end, joint] = 0
    return joints, filled


_RECTANGLE = 0.93  # of its box that a mask fills: people fill two thirds at most
_IN_MASK = 0.4  # of the body's joints that lie in a person's mask, at least
_SURE = 0.5  # joints scored lower are not asked


def nonsense_mask(mask: np.ndarray, joints: np.ndarray | None) -> str | None:
    """Why a frame's mask, (S, S) uint8, cannot be that of people; None where it can.

    joints: (people, joints, 3) in its pixels, the first 18 as in COCO_18; None where nobody looked.
    """
    person = mask > 127
    if not person.any():
        return None
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    if min(height, width) >= 4 and person.sum() > _RECTANGLE * height * width:
        return "a rectangle"
    share = None if joints is None else joints_in_mask(mask, joints)
    if share is not None and share < _IN_MASK:
        return f"it holds {share:.0%} of the joints"
    return None


def joints_in_mask(mask: np.ndarray, joints: np.ndarray) -> float | None:
    """The fraction of the sure joints of bodies, within the picture, that lie in or at a mask."""
    size = np.array(mask.shape[::-1])
    body = joints[:, :_BODY].reshape(-1, 3)
    at = np.rint(body[:, :2]).astype(np.int64)
    asked = (body[:, 2] >= _SURE) & (at >= 0).all(1) & (at < size).all(1)
    if asked.sum() < 4:
        return None
    reach = max(3, round(0.02 * size.max())) | 1
    near = cv2.dilate((mask > 127).astype(np.uint8), np.ones((reach, reach), np.uint8))
    x, y = at[asked].T
    return float((near[y, x] > 0).mean())
