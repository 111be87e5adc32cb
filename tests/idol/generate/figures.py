"""Stick figures of known proportions, seen from afar: 18 joints of the body."""

from __future__ import annotations

import numpy as np

from shards.sample.keypoints import COCO_18, OPENPOSE_134

__all__ = ["BONES", "figure", "walk"]

# Pixels.
BONES = {
    "torso": 60.0, "shoulder": 21.0, "hip": 11.0, "upper arm": 34.0, "forearm": 30.0, "thigh": 50.0,
    "shin": 46.0, "head": 26.0, "face": 6.0,
}  # fmt: skip


def figure(
    bones: dict[str, float],
    *,
    at: tuple[float, float] = (200.0, 300.0),
    turned: float = 0.0,
    sits: bool = False,
    legs: tuple[float, float] = (0.0, 0.0),
    arms: tuple[float, float] = (0.15, 0.15),
) -> np.ndarray:
    """(134, 3): hips above `at`, where the lower foot is. `turned` from the camera in radians;
    `legs` and `arms`, right and left, swing forward by so many radians."""
    out = np.array([np.cos(turned), 0.0, np.sin(turned)])  # to the figure's left
    front = np.array([-np.sin(turned), 0.0, np.cos(turned)]) * (-1, 1, -1)
    down = np.array([0.0, 1.0, 0.0])
    place: dict[str, np.ndarray] = {}
    middle = np.zeros(3)
    place["neck"] = middle - bones["torso"] * down
    place["nose"] = place["neck"] - bones["head"] * down + 4 * front
    for side, sign, leg, arm in (
        ("right", -1, *_of(legs, arms, 0)),
        ("left", 1, *_of(legs, arms, 1)),
    ):
        place[f"{side}_shoulder"] = place["neck"] + sign * bones["shoulder"] * out
        swing = np.cos(arm) * down + np.sin(arm) * front
        spread = 0.25 * sign * out
        upper, lower = swing + spread, swing + 0.3 * front
        elbow = place[f"{side}_shoulder"] + bones["upper arm"] * _unit(upper)
        place[f"{side}_elbow"] = elbow
        place[f"{side}_wrist"] = elbow + bones["forearm"] * _unit(lower)
        hip = middle + sign * bones["hip"] * out
        thigh = front if sits else np.cos(leg) * down + np.sin(leg) * front
        place[f"{side}_hip"] = hip
        place[f"{side}_knee"] = hip + bones["thigh"] * thigh
        shin = down if sits else np.cos(0.6 * leg) * down + np.sin(0.6 * leg) * front
        place[f"{side}_ankle"] = place[f"{side}_knee"] + bones["shin"] * shin
        place[f"{side}_eye"] = place["nose"] + bones["face"] * (0.5 * sign * out - 0.5 * down)
        place[f"{side}_ear"] = place[f"{side}_eye"] + bones["face"] * sign * out
    points = np.zeros((len(OPENPOSE_134), 3), np.float32)
    xyz = np.array([place[name] for name in COCO_18.joints])
    # Seen from a little above, so that what is in front is lower.
    points[:18, 0], points[:18, 1] = xyz[:, 0], xyz[:, 1] - 0.15 * xyz[:, 2]
    points[:18, 2] = 1
    points[:18, :2] += np.array(at) - (0, points[:18, 1].max())
    return points


def walk(
    bones: dict[str, float],
    *,
    frames: int = 40,
    at: tuple[float, float] = (200.0, 300.0),
    step: float = 0.0,
    turned: float = 0.5,
) -> np.ndarray:
    """(F, 134, 3): legs and arms swing, and the figure goes `step` pixels a frame to the right."""
    moved = []
    for t in range(frames):
        swing = 0.5 * np.sin(2 * np.pi * t / 20)
        moved.append(
            figure(
                bones, at=(at[0] + step * t, at[1]), turned=turned, legs=(swing, -swing),
                arms=(0.1 - swing, 0.1 + swing),
            )
        )  # fmt: skip
    return np.stack(moved)


def _of(legs: tuple[float, float], arms: tuple[float, float], side: int) -> tuple[float, float]:
    return legs[side], arms[side]


def _unit(vector: np.ndarray) -> np.ndarray:
    length: np.ndarray = vector / np.linalg.norm(vector)
    return length
