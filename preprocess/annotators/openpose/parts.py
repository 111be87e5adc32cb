"""Hands and faces: squares around them from the body's joints, and the joints in these squares."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.annotators.openpose.enlarger import STRIDE, enlarger
from preprocess.annotators.openpose.networks import Network
from shards.sample.keypoints import COCO_18

__all__ = ["Square", "face_square", "find_faces", "find_hands", "hand_square"]

LEAST_SIDE = 20  # pixels; there is nothing to see in smaller squares
HAND_JOINTS = 21
FACE_MARKS = 68
LEAST_PEAK = 0.05
HAND_SIZES = (184, 368, 552, 736)  # the network looks at each hand at these, and is averaged
HAND_MAP = 128
FACE_SIZE = 384


@dataclass(frozen=True)
class Square:
    """A part of a frame, (H, W, 3) uint8 RGB: `side` pixels from (x, y)."""

    frame: np.ndarray
    x: int
    y: int
    side: int

    def image(self) -> np.ndarray:
        """(side, side, 3) uint8 BGR."""
        inside = self.frame[self.y : self.y + self.side, self.x : self.x + self.side]
        return cv2.cvtColor(inside, cv2.COLOR_RGB2BGR)

    def joint(self, column: int, row: int, score: float, size: int) -> tuple[float, float, float]:
        """x, y in the frame, score: of a pixel of this square resized to `size`."""
        scale = self.side / size
        x = self.x + (column + 0.5) * scale - 0.5
        y = self.y + (row + 0.5) * scale - 0.5
        return x, y, score


def hand_square(frame: np.ndarray, body: np.ndarray, side: str) -> Square | None:
    """Around the "left" or "right" hand of a body (18, 3): a third of the forearm past the wrist.

    None when the arm is not all seen, or the hand is too small or outside the frame.
    """
    arm = body[COCO_18.indices(*(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist")))]
    if (arm[:, 2] == 0).any():
        return None
    shoulder, elbow, wrist = arm[:, :2]
    reach = 1.5 * max(np.hypot(*(wrist - elbow)), 0.9 * np.hypot(*(elbow - shoulder)))
    return _square(frame, wrist + 0.33 * (wrist - elbow) - reach / 2, reach)


def face_square(frame: np.ndarray, body: np.ndarray) -> Square | None:
    """Around the nose of a body (18, 3), reaching three times as far as the eyes, or half again as
    far as the ears. None when these are not seen, or the face is too small or outside the frame."""
    nose = body[COCO_18.joints.index("nose")]
    reach = 0.0
    for joint, times in (("eye", 3.0), ("ear", 1.5)):
        for x, y, score in body[COCO_18.indices(f"right_{joint}", f"left_{joint}")]:
            if score > 0:
                reach = max(reach, times * max(abs(x - nose[0]), abs(y - nose[1])))
    return _square(frame, nose[:2] - reach, 2 * reach) if nose[2] > 0 else None


def _square(frame: np.ndarray, corner: np.ndarray, side: float) -> Square | None:
    """Whole pixels, moved in at the frame's left and top, cut smaller at its right and bottom."""
    height, width = frame.shape[:2]
    x, y = np.maximum(corner, 0)
    side = min(side, width - x, height - y)
    return Square(frame, int(x), int(y), int(side)) if side >= LEAST_SIDE else None


def find_hands(network: Network, squares: Sequence[Square]) -> list[np.ndarray]:
    """(21, 3) a hand: x, y in the frame's pixels and score; zeros for joints that are not found."""
    images = [cv2.GaussianBlur(square.image(), (0, 0), 0.8) for square in squares]
    shape = (len(squares), HAND_JOINTS, HAND_MAP, HAND_MAP)
    means, blurred = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for size in HAND_SIZES:
        to_map = enlarger((size // STRIDE,) * 2, (size, size), (HAND_MAP, HAND_MAP))
        resized = [_resized(image, size) for image in images]
        for hand, (maps,) in enumerate(network.maps(resized)):
            share = maps[:HAND_JOINTS] / len(HAND_SIZES)
            means[hand] += to_map.whole(share).cpu().numpy()
            blurred[hand] += to_map.whole(share, smooth=True).cpu().numpy()
    hands = []
    for hand, square in enumerate(squares):
        joints = np.zeros((HAND_JOINTS, 3))
        for joint, values, smooth in zip(joints, means[hand], blurred[hand], strict=True):
            # Of the spots in the map, the heaviest one's highest pixel.
            _, spots = cv2.connectedComponents((smooth > LEAST_PEAK).astype(np.uint8))
            sums = np.bincount(spots.ravel(), weights=values.ravel())[1:]
            if len(sums):
                inside = np.where(spots == 1 + np.argmax(sums), values, 0)
                row, column = divmod(int(np.argmax(inside)), HAND_MAP)
                joint[:] = square.joint(column, row, float(inside[row, column]), HAND_MAP)
        hands.append(joints)
    return hands


def find_faces(network: Network, squares: Sequence[Square]) -> list[np.ndarray]:
    """(68, 3) a face: x, y in the frame's pixels and score; zeros for marks that are not found."""
    size = (FACE_SIZE, FACE_SIZE)
    to_map = enlarger((FACE_SIZE // STRIDE,) * 2, size, size)
    faces = []
    for square, (maps,) in zip(
        squares, network.maps([_resized(s.image(), FACE_SIZE) for s in squares]), strict=True
    ):
        flat = to_map.whole(maps[:FACE_MARKS]).flatten(1)
        scores, places = (values.cpu().numpy() for values in flat.max(1))
        marks = np.zeros((FACE_MARKS, 3))
        for mark, score, place in zip(marks, scores, places, strict=True):
            if score > LEAST_PEAK:
                row, column = divmod(int(place), FACE_SIZE)
                mark[:] = square.joint(column, row, float(score), FACE_SIZE)
        faces.append(marks)
    return faces


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    how = cv2.INTER_AREA if size < image.shape[0] else cv2.INTER_LANCZOS4
    return cv2.resize(image, (size, size), interpolation=how)
