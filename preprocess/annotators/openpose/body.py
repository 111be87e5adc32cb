"""Bodies: maps to peaks in pixels of the image, peaks to people (Cao et al., CVPR 2017)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from preprocess.annotators.openpose.enlarger import STRIDE, enlarger
from preprocess.annotators.openpose.networks import Network
from preprocess.annotators.openpose.peaks import peaks_of

__all__ = ["LIMB_FIELDS", "find_bodies", "group"]

JOINTS = 18

# Limbs in the order in which people are assembled, as joints of COCO_18, each with the first of
# the two channels (x, y) of its affinity field. The last two only complete people.
LIMB_FIELDS = (
    *((1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0)),
    *((8, 9, 2), (9, 10, 4), (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30)),
    *((14, 16, 34), (0, 15, 32), (15, 17, 36), (2, 16, 18), (5, 17, 26)),
)
_BEGINNING = 17  # limbs that may begin a person

SAMPLES = 10  # points along a limb at which its field is looked at
LEAST_AFFINITY = 0.05  # the field along the limb's direction, wanted at over 80 % of them
LEAST_JOINTS = 4
LEAST_MEAN_SCORE = 0.4  # of a person's joints and limbs together

# Channels from this one on, at whole pixels x, y (N,) -> (2, N)
FieldAt = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


@dataclass(eq=False)
class _Person:
    """A person being assembled: joint -> its peak, as an index into all peaks."""

    peaks: dict[int, int] = field(default_factory=dict)
    score: float = 0.0
    joints: int = 0


def group(peaks: Sequence[np.ndarray], field_at: FieldAt, height: int) -> list[np.ndarray]:
    """The people among the peaks.

    peaks: for each of the 18 joints (n, 3) x, y in whole pixels and score. `field_at` gives two
    successive channels of the affinity fields, an x and a y, at some pixels. height: of the
    image; limbs longer than half of it cost.
    Returns (18, 3) float64 a person: x, y, score, zeros for joints that are absent.
    """
    start = np.cumsum([0, *(len(p) for p in peaks)])
    every = np.concatenate(list(peaks))
    people: list[_Person] = []
    for number, (a, b, channel) in enumerate(LIMB_FIELDS):
        for i, j, affinity in _connections(peaks[a], peaks[b], field_at, channel, height):
            first, second = int(start[a] + i), int(start[b] + j)
            _join(people, (a, first), (b, second), affinity, every, number < _BEGINNING)
    found = []
    for person in people:
        if person.joints >= LEAST_JOINTS and person.score / person.joints >= LEAST_MEAN_SCORE:
            joints = np.zeros((JOINTS, 3))
            for joint, peak in person.peaks.items():
                joints[joint] = every[peak]
            found.append(joints)
    return found


def _connections(
    a: np.ndarray, b: np.ndarray, field_at: FieldAt, channel: int, height: int
) -> list[tuple[int, int, float]]:
    """Pairs of one limb's two joints with their affinity; every joint at most once, best first."""
    if not len(a) or not len(b):
        return []
    i, j = (index.ravel() for index in np.indices((len(a), len(b))))
    along = b[j, :2] - a[i, :2]
    length = np.maximum(np.hypot(*along.T), 1e-3)
    direction = along / length[:, None]
    points = np.rint(np.linspace(a[i, :2], b[j, :2], SAMPLES)).astype(int)  # (SAMPLES, pairs, 2)
    fields = field_at(channel, points[..., 0].ravel(), points[..., 1].ravel())
    affinity = (fields.reshape(2, SAMPLES, -1) * direction.T[:, None]).sum(0)
    score = affinity.mean(0) + np.minimum(0.5 * height / length - 1, 0)
    good = ((affinity > LEAST_AFFINITY).sum(0) > 0.8 * SAMPLES) & (score > 0)
    chosen: list[tuple[int, int, float]] = []
    for pair in np.argsort(-score, kind="stable"):
        pair_is_free = all(i[pair] != x and j[pair] != y for x, y, _ in chosen)
        if good[pair] and pair_is_free:
            chosen.append((int(i[pair]), int(j[pair]), float(score[pair])))
    return chosen


def _join(
    people: list[_Person],
    a: tuple[int, int],
    b: tuple[int, int],
    affinity: float,
    every: np.ndarray,
    may_begin: bool,
) -> None:
    """Add the limb from joint a to joint b, each (joint, peak), to those who have one of them."""
    owners = [p for p in people if p.peaks.get(a[0]) == a[1] or p.peaks.get(b[0]) == b[1]]
    if not owners:
        if may_begin:
            score = float(every[a[1], 2] + every[b[1], 2]) + affinity
            people.append(_Person(dict((a, b)), score, 2))
        return
    one = owners[0]
    if len(owners) == 1:
        if one.peaks.get(b[0]) == b[1]:
            return
    elif not one.peaks.keys() & owners[1].peaks.keys():
        other = owners[1]
        one.peaks |= other.peaks
        one.score += other.score + affinity
        one.joints += other.joints
        people.remove(other)
        return
    one.peaks[b[0]] = b[1]
    one.score += float(every[b[1], 2]) + affinity
    one.joints += 1


HEIGHT = 184  # pixels of the network's input, whatever the image's: half its training size
LEAST_PEAK = 0.1
_PADDING = 128  # grey


def find_bodies(network: Network, frames: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The people in each frame, (H, W, 3) uint8 RGB, all of one size.

    Each is (18, 3) float64 in the order of COCO_18: x and y in the frame's pixels, score the
    height of the joint's peak; zeros for a joint that is absent.
    """
    height, width = frames[0].shape[:2]
    scale = HEIGHT / height
    used = (int(height * scale), int(width * scale))
    shrinks = used[0] + used[1] < height + width
    images = []
    for frame in frames:
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
        rgb = cv2.resize(frame, used[::-1], interpolation=how)
        image = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        below, right = (-side % STRIDE for side in used)
        grey = (_PADDING,) * 3
        images.append(
            cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=grey)
        )
    cells = (images[0].shape[0] // STRIDE, images[0].shape[1] // STRIDE)
    to_frame = enlarger(cells, used, (height, width))
    people = []
    for fields, joints in network.maps(images):
        on_cpu = fields.cpu().numpy()

        def field_at(
            channel: int, x: np.ndarray, y: np.ndarray, fields: np.ndarray = on_cpu
        ) -> np.ndarray:
            return to_frame.at(fields[channel : channel + 2], x, y)

        people.append(group(peaks_of(joints[:JOINTS], to_frame, LEAST_PEAK), field_at, height))
    return people
