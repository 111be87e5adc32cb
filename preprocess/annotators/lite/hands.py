"""The two hands of a person: 21 points each, looked for at the wrists of the body."""

import math
from dataclasses import dataclass, field

import numpy as np

from preprocess.annotators.lite.body import Body
from preprocess.annotators.lite.detectors import PALM, Detector
from preprocess.annotators.lite.network import Locate, Network
from preprocess.annotators.lite.regions import around_box, from_circle, rotation_between
from preprocess.annotators.tracked import Region
from preprocess.pixels import Pixels

__all__ = ["HAND_POINTS", "Hand", "HandFinder", "Hands"]

HAND_POINTS = 21
# The body's wrist, little-finger and index-finger knuckles, of the person's own left and right.
SIDES = {"left": (15, 17, 19), "right": (16, 18, 20)}
# Below this the network says that its region holds no hand.
HAND_PRESENT = 0.5
# The body's wrist must be this visible for a hand to be worth looking for.
WRIST_SEEN = 0.1
# The palm detector takes as long as the rest together. It is tried if the wrist is this visible,
# in the first frame without the hand and then in every so many.
WRIST_CLEAR = 0.8
PALM_EVERY = 4
# Hands whose regions overlap more than this are one hand found from both wrists.
SAME_HAND = 0.5
# The wrist, then the knuckles of index, middle, ring and little finger, among the 21 points.
WRIST, KNUCKLES = 0, (5, 9, 13, 17)


@dataclass(frozen=True, eq=False)
class Hand:
    """`points` (21, 3) float32: x, y in pixels of the frame, and the hand's `score` in [.5, 1].

    `region` is the square looked at, `next_region` the one to look at in the next frame.
    """

    points: np.ndarray
    score: float
    region: Region
    next_region: Region


@dataclass(frozen=True, eq=False)
class Hands:
    """The hands of a frame, by "left" and "right" of the person: those `found`, and for how many
    frames in a row each has been `missed`."""

    found: dict[str, Hand] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)


class HandFinder:
    """Finds the hands of a body. Holds networks but no state: the last frame's hands come in."""

    def __init__(self, locate: Locate, *, threads: int = 1) -> None:
        self._recrop = Network(locate("hand_recrop.tflite"), threads=threads)
        self._landmarks = Network(locate("hand_landmark_full.tflite"), threads=threads)
        self._palms = Detector(locate, PALM, threads=threads)

    def __call__(self, frame: Pixels, body: Body, previous: Hands | None) -> Hands:
        """The hands of `body` in `frame`, (H, W, 3) uint8 RGB.

        `previous` is what the frame before gave.
        """
        previous = Hands() if previous is None else previous
        found = {}
        for side in SIDES:
            hand = self._find(frame, body, side, previous)
            if hand is not None:
                found[side] = hand
        if len(found) == 2 and found["left"].region.overlap(found["right"].region) > SAME_HAND:
            del found[max(found, key=lambda side: _to_wrist(found[side], body, side))]
        missed = {side: previous.missed.get(side, 0) + 1 for side in SIDES if side not in found}
        return Hands(found, missed)

    def _find(self, frame: Pixels, body: Body, side: str, previous: Hands) -> Hand | None:
        """One hand: where it was if it is still there, else at the wrist, else at a palm near."""
        wrist, little, index = body.landmarks[list(SIDES[side])].astype(np.float64)
        height, width = frame.shape[:2]
        inside = 0 <= wrist[0] < width and 0 <= wrist[1] < height
        if not inside or wrist[3] < WRIST_SEEN:
            return None
        # The body's own guess: around the middle finger's knuckle, reaching beyond the wrist.
        knuckle = (2 * index[:2] + little[:2]) / 3
        rough = Region(
            x=float(knuckle[0]),
            y=float(knuckle[1]),
            size=2 * math.dist(wrist[:2].tolist(), knuckle.tolist()),
            rotation=rotation_between(wrist[:2], knuckle, upright=90.0),
        ).grown(2.7, down=-0.1)
        if rough.size < 1:
            return None
        region = self._recropped(frame, rough)
        before = previous.found.get(side)
        if before is not None and _still_there(before, region):
            region = before.next_region
        hand = self._look(frame, region)
        palm_due = previous.missed.get(side, 0) % PALM_EVERY == 0
        if hand is None and palm_due and wrist[3] >= WRIST_CLEAR:
            palm = self._palm_near(frame, rough, wrist[:2])
            hand = None if palm is None else self._look(frame, palm)
        # A hand far from its wrist is somebody else's, or the other one.
        if hand is not None and _to_wrist(hand, body, side) > rough.size / 2:
            return None
        return hand

    def _recropped(self, frame: Pixels, rough: Region) -> Region:
        """`rough` moved, sized and turned to fit the hand, by a network trained for that."""
        side = self._recrop.side
        points = self._recrop(rough.crop(frame, side))["output_crop"].reshape(2, 2) / side
        centre, rim = rough.place(points.astype(np.float64))
        return from_circle(centre, rim, upright=-90.0).grown(1.0, down=-0.1)

    def _palm_near(self, frame: Pixels, rough: Region, wrist: np.ndarray) -> Region | None:
        """The region of the palm nearest to the body's `wrist`, if one is seen around it."""
        palms = self._palms(frame, rough.grown(1.5))
        if not palms:
            return None
        palm = min(palms, key=lambda found: float(np.linalg.norm(found.points[0] - wrist)))
        rotation = rotation_between(palm.points[0], palm.points[2], upright=90.0)
        return around_box(palm.points, rotation).grown(2.6, down=-0.5)

    def _look(self, frame: Pixels, region: Region) -> Hand | None:
        """Run the landmark network on a region."""
        side = self._landmarks.side
        outputs = self._landmarks(region.crop(frame, side))
        score = float(outputs["Identity_1"][0])
        if not score >= HAND_PRESENT:
            return None
        in_region = outputs["Identity"].reshape(HAND_POINTS, 3)[:, :2].astype(np.float64) / side
        places = region.place(in_region)
        points = np.column_stack([places, np.full(HAND_POINTS, score)]).astype(np.float32)
        return Hand(points, score, region, _around_hand(places))


def _around_hand(points: np.ndarray) -> Region:
    """The square for the next frame: around the palm's points, the fingers up."""
    palm = points[[0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]]
    index, middle, ring = points[list(KNUCKLES[:3])]
    fingers = ((index + ring) / 2 + middle) / 2
    rotation = rotation_between(points[WRIST], fingers, upright=90.0)
    return around_box(palm, rotation, tilted=True).grown(2.0, down=-0.1)


def _still_there(previous: Hand, region: Region) -> bool:
    """Whether the last frame's hand agrees with this frame's `region`, and so may be followed."""
    spot = region.relative(previous.points[:, :2].astype(np.float64))
    return previous.next_region.near(region, turn=math.radians(40), shift=0.2, scale=0.4) and bool(
        (np.abs(spot - 0.5) <= 0.45).all()
    )


def _to_wrist(hand: Hand, body: Body, side: str) -> float:
    """Distance in pixels from the hand's wrist to the body's."""
    return float(np.linalg.norm(hand.points[WRIST, :2] - body.landmarks[SIDES[side][0], :2]))
