"""The face of a person: a mesh of 468 points, looked for at the head of the body."""

import math
from dataclasses import dataclass

import numpy as np

from preprocess.annotators.lite.body import Body
from preprocess.annotators.lite.detectors import FACE, Detector
from preprocess.annotators.lite.network import Locate, Network
from preprocess.annotators.lite.regions import around_box, rotation_between
from preprocess.annotators.tracked import Region
from preprocess.pixels import Pixels

__all__ = ["FACE_POINTS", "Face", "FaceFinder"]

FACE_POINTS = 468
# Below this the network says that its region holds no face.
FACE_PRESENT = 0.5
# Of the body's landmarks: the face's are the first eleven; right eye and left eye among them.
BODY_FACE, BODY_EYES = slice(0, 11), (5, 2)
# Outer corners of the right and left eye in the mesh.
MESH_EYES = (33, 263)


@dataclass(frozen=True, eq=False)
class Face:
    """`points` (468, 3) float32: x, y in pixels of the frame, and the face's `score` in [.5, 1].

    `region` is the square looked at, `next_region` the one to look at in the next frame.
    """

    points: np.ndarray
    score: float
    region: Region
    next_region: Region


class FaceFinder:
    """Finds the face of a body. Holds networks but no state: the last frame's face comes in."""

    def __init__(self, locate: Locate, *, threads: int = 1) -> None:
        self._detector = Detector(locate, FACE, threads=threads)
        self._mesh = Network(locate("face_landmark.tflite"), threads=threads)

    def __call__(self, frame: Pixels, body: Body, previous: Face | None) -> Face | None:
        """The face of `body` in `frame` (H, W, 3) uint8 RGB, None when it is turned away.

        `previous` is what the frame before gave.
        """
        head = body.landmarks[BODY_FACE, :2].astype(np.float64)
        tilt = rotation_between(head[BODY_EYES[0]], head[BODY_EYES[1]], upright=0.0)
        rough = around_box(head, tilt).grown(3.0)
        if rough.size < 1:
            return None
        found = self._detector(frame, rough)
        if not found:
            return None
        marks = found[0].points
        tilt = rotation_between(marks[0], marks[1], upright=0.0)
        region = around_box(marks, tilt).grown(2.0, down=-0.1)
        if previous is not None and _still_there(previous, region):
            region = previous.next_region
        return self._look(frame, region)

    def _look(self, frame: Pixels, region: Region) -> Face | None:
        """Run the mesh network on a region."""
        side = self._mesh.side
        outputs = self._mesh(region.crop(frame, side))
        score = 1.0 / (1.0 + math.exp(-float(outputs["conv2d_31"].ravel()[0])))
        if not score >= FACE_PRESENT:
            return None
        mesh = outputs["conv2d_21"].reshape(FACE_POINTS, 3)[:, :2].astype(np.float64) / side
        places = region.place(mesh)
        tilt = rotation_between(places[MESH_EYES[0]], places[MESH_EYES[1]], upright=0.0)
        points = np.column_stack([places, np.full(FACE_POINTS, score)]).astype(np.float32)
        return Face(points, score, region, around_box(places, tilt).grown(1.5))


def _still_there(previous: Face, region: Region) -> bool:
    """Whether the last frame's face agrees with this frame's `region`, and so may be followed."""
    spot = region.relative(previous.points[:, :2].astype(np.float64))
    return previous.next_region.near(region, turn=math.radians(15), shift=0.1, scale=0.3) and bool(
        (np.abs(spot - 0.5) <= 0.4).all()
    )
