"""Retargeting, measured on rendered people: joint error, and which pairs are refused.

Two bodies do one motion, drawn from the same random numbers, so that it is true where each joint of
the one is when the motion is taken from the other. Nothing is rendered but joints. The person is
known from one frame, as from a photo: the motion's first, or one of another motion.

    python bench/retarget.py [--pairs 200] [--seed 1000] [--json FILE]

Needs the extra `people`. The method's numbers were chosen on seeds below 1000.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from idol.generate.errors import CannotRetargetError
from idol.generate.retarget import RetargetMethod, body_size, retarget
from idol.generate.retarget_check import misfits
from preprocess.sources.people.body import PHENOTYPES, Body, make_body, normals, template
from preprocess.sources.people.camera import Camera
from preprocess.sources.people.draws import draws
from preprocess.sources.people.footsteps import Place
from preprocess.sources.people.joints import joints_of
from preprocess.sources.people.motion import make_motion
from preprocess.sources.people.posture import Rig, pose_bones
from preprocess.sources.people.rasterize import skin
from preprocess.sources.people.spec import BodyRanges, CameraRanges

FPS, FRAMES, SIZE = 25.0, 70, 512
FIRST = "one camera, photo in the first frame"
EACH = "a camera each, photo in the first frame"
OTHER = "one camera, photo in another pose: shape alone"
KINDS = (FIRST, EACH, OTHER)
STANDING = ("walk", "turn", "reach", "dance", "gesture", "crouch")


@dataclass(frozen=True, eq=False)
class Somebody:
    """A body that motions can be made for."""

    body: Body
    rig: Rig
    normals: np.ndarray

    @staticmethod
    def of(seed: int, who: int) -> Somebody:
        random = draws("bench", "retarget", seed, "body", who)
        ranges = BodyRanges()
        phenotype = {n: float(random.uniform(*getattr(ranges, n))) for n in PHENOTYPES}
        body = make_body(phenotype)
        return Somebody(
            body,
            Rig.of(body, template(), 0.02),
            normals(body.vertices, template().faces).astype(np.float32),
        )


def joints(
    who: Somebody,
    motion: str,
    heading: float,
    seed: int,
    camera: Camera,
    *,
    at: Sequence[int] = range(0, FRAMES, 2),
    as_tall_as: Somebody | None = None,
) -> np.ndarray:
    """(F, 134, 3) in pixels, of the frames `at`; the same seed is the same motion.

    Taller people take longer over a step: with `as_tall_as`, time goes as it does for them, so that
    two people are at the same point of a step at the same time.
    """
    pace = 1.0
    if motion == "walk" and as_tall_as is not None:
        speed = draws("bench", "retarget", seed, "motion", motion).uniform(0.75, 1.45)
        own, other = (0.62 - 0.1 * speed * w.rig.stature / 1.7 for w in (who, as_tall_as))
        pace = own / other
    random = draws("bench", "retarget", seed, "motion", motion)
    place = Place(0.0, 0.0, heading)
    done = make_motion(motion, random, pace * FRAMES / FPS, who.rig, place)
    times = np.array(at) / FPS
    shared = template()
    heads, transforms = pose_bones(done.posture(pace * times), who.body, who.rig, shared)
    of = _vertices()
    vertices = np.zeros((len(who.body.vertices), 3), np.float32)
    points = np.zeros((len(times), 134, 3), np.float32)
    for t, seconds in enumerate(times):
        vertices[of], _ = skin(
            who.body.vertices[of].astype(np.float32), who.normals[of], shared.weights[of],
            shared.influences[of], transforms[t],
        )  # fmt: skip
        world = joints_of(vertices, heads[t])
        seen = camera.at(seconds).project(world)
        known = np.isfinite(world).all(-1)
        inside = ((seen[:, :2] > -0.5) & (seen[:, :2] < SIZE - 0.5)).all(-1)
        points[t, :, :2] = np.where(known[:, None], seen[:, :2], 0)
        points[t, :, 2] = known & inside
    return points


@lru_cache(maxsize=1)
def _vertices() -> np.ndarray:
    """Those that joints of the body are made of; the tips of fingers are not asked for."""
    return np.unique(np.concatenate([of for of, _ in template().joints.values()]))


def still_camera(seed: int, who: int) -> Camera:
    """One that does not move and has a standing person in view."""
    random = draws("bench", "retarget", seed, "camera", who)
    ranges = CameraRanges()
    distance = random.uniform(3.0, 7.0)
    fill = random.uniform(0.5, 0.8)
    place = np.array([random.normal(0, 0.15) * distance, -distance, random.uniform(*ranges.height)])
    aim = np.array([random.uniform(-0.2, 0.2), 0.0, random.uniform(0.7, 1.0)])
    focal = fill * SIZE * distance / 1.7
    return Camera(
        lambda t: np.broadcast_to(place, (len(t), 3)),
        lambda t: np.broadcast_to(aim, (len(t), 3)),
        focal, SIZE, SIZE, True,
    )  # fmt: skip


@dataclass
class Errors:
    """Mean distance of the body's joints from the truth, in fractions of the body's height."""

    by_method: dict[str, list[float]] = field(default_factory=dict)

    def add(
        self, method: str, points: np.ndarray, truth: np.ndarray, *, anywhere: bool = False
    ) -> None:
        """With `anywhere` the whole motion may be shifted: no photo says where it begins."""
        seen = (truth[:, :18, 2] > 0) & (points[:, :18, 2] > 0)
        off = points[:, :18, :2] - truth[:, :18, :2]
        if anywhere:
            off = off - off[seen].mean(0)
        away = np.linalg.norm(off, axis=-1)
        size = float(np.nanmax(body_size(truth)))
        self.by_method.setdefault(method, []).append(float(away[seen].mean()) / size)

    def means(self) -> dict[str, float]:
        return {method: float(np.mean(values)) for method, values in self.by_method.items()}


def joint_errors(pairs: int, seed: int, kind: str) -> dict[str, Errors]:
    """By motion, for a kind of KINDS."""
    found: dict[str, Errors] = {}
    motions = (
        ("reach", "dance", "gesture", "turn", "crouch") if kind == OTHER else (*STANDING, "sit")
    )
    for number in range(pairs):
        s = seed + number
        motion = motions[number % len(motions)]
        random = draws("bench", "retarget", s, "pair")
        heading = float(random.uniform(-0.8, 0.8))
        driver, person = Somebody.of(s, 0), Somebody.of(s, 1)
        theirs = still_camera(s, 0)
        own = still_camera(s, 1) if kind == EACH else theirs
        drawn = joints(driver, motion, heading, s, theirs)
        truth = joints(person, motion, heading, s, own, as_tall_as=driver)
        photo = truth[:1]
        if kind == OTHER:
            turned = heading + float(random.uniform(-0.4, 0.4))
            photo = joints(person, "gesture", turned, s + 500_000, own, at=[20])
        errors = found.setdefault(motion, Errors())
        for method in get_args(RetargetMethod):
            made = retarget(drawn, photo, method).keypoints
            errors.add(method, made, truth, anywhere=kind == OTHER)
    return found


def refusals(pairs: int, seed: int) -> dict[str, tuple[int, int]]:
    """By kind of pair, how many were refused of how many."""
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for number in range(pairs):
        s = seed + number
        random = draws("bench", "retarget", s, "refusal")
        driver, person = Somebody.of(s, 0), Somebody.of(s, 1)
        a, b = still_camera(s, 0), still_camera(s, 1)
        standing = str(random.choice(STANDING[:-1]))
        if standing == "turn":
            standing = "gesture"  # one who turns round is seen from all sides
        other = str(random.choice(("walk", "reach", "dance", "gesture")))
        front = float(random.uniform(-0.9, 0.9))
        near = float(random.uniform(-0.9, 0.9))
        back = float(np.pi + random.uniform(-0.9, 0.9))
        moment = int(random.integers(FRAMES))

        def photo(motion: str, heading: float) -> np.ndarray:
            return joints(person, motion, heading, s + 500_000, b, at=[moment])  # noqa: B023

        def drive(motion: str, heading: float) -> np.ndarray:
            return joints(driver, motion, heading, s, a, at=range(0, FRAMES, 5))  # noqa: B023

        stands, stands_back = photo(standing, front), photo(standing, back)
        few = stands.copy()
        few[:, int(random.integers(2, 6)) : 18, 2] = 0
        moves, moves_back, sits = drive(other, near), drive(other, back), drive("sit", near)
        sits_there = photo("sit", front)
        cases = {
            "fits: standing, both from the front": (moves, stands),
            "fits: standing, both from behind": (moves_back, photo(standing, np.pi + near)),
            "fits: both sitting": (sits, sits_there),
            "front against back": (moves_back, stands),
            "back against front": (moves, stands_back),
            "sitting against standing": (moves, sits_there),
            "standing against sitting": (sits, stands),
            "too few joints": (moves, few),
        }
        for name, (motion, person_points) in cases.items():
            counts[name] += 1
            try:
                wrong = misfits(motion, person_points)
                retarget(motion, person_points, "proportions")
            except CannotRetargetError as error:
                wrong = [str(error)]
            refused[name] += bool(wrong)
    return {name: (refused[name], counts[name]) for name in counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=140)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=110)
    report: dict[str, Any] = {"pairs": options.pairs, "seed": options.seed}
    for title in KINDS:
        found = joint_errors(options.pairs, options.seed, title)
        table = Table("motion", "none", "similarity", "proportions", "against none", title=title)
        rows = {motion: errors.means() for motion, errors in sorted(found.items())}
        methods = get_args(RetargetMethod)
        every = {
            m: float(np.mean([v for e in found.values() for v in e.by_method[m]])) for m in methods
        }
        for motion, means in {**rows, "all": every}.items():
            ratio = means["proportions"] / means["none"]
            table.add_row(motion, *(f"{means[m]:.4f}" for m in methods), f"{ratio:.2f}")
        console.print(table)
        report[title] = {**rows, "all": every}
    table = Table("pair", "refused", "of", title="refusals")
    counts = refusals(options.pairs, options.seed)
    for name, (refused, of) in counts.items():
        table.add_row(name, f"{refused}", f"{of}")
    for kind in (True, False):
        chosen = [v for name, v in counts.items() if name.startswith("fits") is kind]
        share = sum(r for r, _ in chosen) / sum(n for _, n in chosen)
        word = "fitting" if kind else "mismatched"
        table.add_row(f"all {word}", f"{share:.1%}", f"{sum(n for _, n in chosen)}")
        report[f"{word} refused"] = share
    report["refusals"] = {name: {"refused": r, "of": n} for name, (r, n) in counts.items()}
    console.print(table)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
