"""A video before it is rendered: who is in it, what they do, where, and who looks on from where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocess.sources.people.body import PHENOTYPES, Body, make_body, template
from preprocess.sources.people.camera import Camera
from preprocess.sources.people.draws import Spline, choose, draws
from preprocess.sources.people.dressing import make_layers
from preprocess.sources.people.footsteps import Place
from preprocess.sources.people.layers import Layer, Wearer
from preprocess.sources.people.motion import Motion, make_motion
from preprocess.sources.people.posture import Rig, pose_bones
from preprocess.sources.people.rasterize import skin
from preprocess.sources.people.spec import PeopleSpec
from preprocess.sources.people.stage import Stage, make_stage
from preprocess.sources.people.textures import colour

__all__ = ["Figure", "Person", "Seat", "World", "figures", "make_world"]

_FILM = 36.0  # millimetres of width that focal lengths are told for


@dataclass(frozen=True, eq=False)
class Figure:
    """A body and what it does, undressed: all that joints depend on.

    `sole`: metres of shoe under it.
    """

    phenotype: dict[str, float]
    body: Body
    sole: float
    rig: Rig
    motion: Motion


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in a video, and the words that say who."""

    body: Body
    rig: Rig
    motion: Motion
    layers: tuple[Layer, ...]
    about: dict[str, object]


@dataclass(frozen=True, eq=False)
class Seat:
    """What somebody sits on: `vertices` (V, 3) in the world, `faces` (F, 3), sRGB `colour`."""

    vertices: np.ndarray
    faces: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True, eq=False)
class World:
    people: tuple[Person, ...]  # the first is the subject
    seats: tuple[Seat, ...]
    camera: Camera
    stage: Stage
    about: dict[str, object]


_Random = Callable[..., np.random.Generator]


def figures(spec: PeopleSpec, video: int) -> tuple[list[Figure], Camera]:
    """Who moves how in video number `video` of the spec, and who looks on: as in `make_world`,
    before no picture, without what costs most."""
    random = _random_of(spec, video)
    people = [_figure(spec, of_person, place) for of_person, place in _everybody(spec, random)]
    return people, _camera(random("camera"), spec, people, pictured=False)


def make_world(spec: PeopleSpec, video: int, pictures: tuple[Path, ...] = ()) -> World:
    """Video number `video` of the spec: the same always, whatever was made before."""
    random = _random_of(spec, video)
    stage = make_stage(random("stage"), dict(spec.stages), pictures)
    everybody = _everybody(spec, random)
    places = [place for _, place in everybody]
    people = tuple(_person(spec, of_person, place) for of_person, place in everybody)
    seats = tuple(
        _seat(random("seat", n), spec, person, place)
        for n, (person, place) in enumerate(zip(people, places, strict=True))
        if person.motion.seated
    )
    camera = _camera(random("camera"), spec, people, pictured=stage.picture is not None)
    about = {
        "video": video,
        "people": [person.about for person in people],
        "stage": "picture" if stage.picture is not None else "box",
        "camera": "still" if camera.still else "panning",
    }
    return World(people, seats, camera, stage, about)


def _random_of(spec: PeopleSpec, video: int) -> _Random:
    def random(*name: object) -> np.random.Generator:
        return draws("people", 1, spec.seed, video, *name)

    return random


def _everybody(spec: PeopleSpec, random: _Random) -> list[tuple[_Random, Place]]:
    """Of each person what they are drawn by, and where they are."""
    two = random("number").uniform() < spec.two_people
    places = _places(random("places"), spec, two)
    return [
        (lambda *name, n=n: random("person", n, *name), place) for n, place in enumerate(places)
    ]


def _places(random: np.random.Generator, spec: PeopleSpec, two: bool) -> list[Place]:
    def facing() -> float:
        limit = np.radians(spec.facing)
        # Most people face the camera, more or less.
        return float(np.clip(random.normal(0, 0.9), -np.pi, np.pi)) * limit / np.pi * 1.0 + (
            float(random.uniform(-limit, limit)) * 0.35
        )

    if not two:
        return [Place(0.0, 0.0, facing())]
    apart = random.uniform(0.75, 1.3)
    side = random.choice([-1.0, 1.0])
    behind = random.uniform(-0.1, 0.7)
    return [
        Place(-side * apart / 2, 0.0, facing()),
        Place(side * apart / 2, behind, facing()),
    ]


def _figure(spec: PeopleSpec, random: _Random, place: Place) -> Figure:
    draw = random("body")
    phenotype = {name: float(draw.uniform(*getattr(spec.body, name))) for name in PHENOTYPES}
    body = make_body(phenotype)
    sole = _sole(random("looks"))
    rig = Rig.of(body, template(), sole)
    name = choose(random("motion"), dict(spec.motions))
    motion = make_motion(name, random("motion", name), spec.seconds, rig, place)
    return Figure(phenotype, body, sole, rig, motion)


def _sole(looks: np.random.Generator) -> float:
    """The first that is drawn of somebody's looks."""
    return float(looks.uniform(0.012, 0.035))


def _person(spec: PeopleSpec, random: _Random, place: Place) -> Person:
    figure = _figure(spec, random, place)
    phenotype, body, sole, motion = figure.phenotype, figure.body, figure.sole, figure.motion
    looks = random("looks")
    _sole(looks)
    skin = float(looks.uniform(*spec.skin))
    loose = float(looks.uniform(*spec.loose))
    woman = phenotype["gender"] > 0.5
    # The model's bodies are women at 1; skirts and long hair are worn more by them, not only.
    bottoms = {
        n: w * (1 if woman or not n.endswith("skirt") else 0.04) for n, w in spec.bottoms.items()
    }
    tops = {n: w * (1 if woman or n != "dress" else 0.04) for n, w in spec.tops.items()}
    rare = ("long", "bun", "ponytail") if not woman else ("bald", "buzz")
    hair = {n: w * (0.15 if n in rare else 1) for n, w in spec.hair.items()}
    bottom = choose(looks, bottoms if sum(bottoms.values()) else dict(spec.bottoms))
    top = choose(looks, tops if sum(tops.values()) else dict(spec.tops))
    cut = choose(looks, hair)
    if motion.name in ("crouch", "sit") and (bottom == "long skirt" or top == "dress"):
        bottom = "skirt"
    layers = make_layers(
        Wearer(random("layers"), body, template()), skin=skin, gender=phenotype["gender"],
        loose=loose, sole=sole, top=top, bottom=bottom, hair=cut,
    )  # fmt: skip
    about = {
        "phenotype": {name: round(value, 4) for name, value in phenotype.items()},
        "height": round(body.height + sole, 4),
        "motion": motion.name,
        "heading": round(np.degrees(place.heading), 1),
        "top": top,
        "bottom": bottom,
        "hair": cut,
        "loose": round(loose, 3),
        "skin": round(skin, 3),
    }
    return Person(body, figure.rig, motion, tuple(layers), about)


def _seat(random: np.random.Generator, spec: PeopleSpec, person: Person, place: Place) -> Seat:
    """A stool or a box under somebody, as high as they sit."""
    shared = template()
    times = np.linspace(0, spec.seconds, 4)
    _, transforms = pose_bones(person.motion.posture(times), person.body, person.rig, shared)
    layer = person.layers[0]
    size = random.uniform(0.15, 0.2)
    top = 10.0
    for t in range(len(times)):
        placed, _ = skin(layer.rest, layer.normals, layer.weights, layer.influences, transforms[t])
        over = np.linalg.norm(placed[:, :2] - [place.x, place.y], axis=1) < size
        top = min(top, float(placed[over, 2].min()))
    round_ = random.uniform() < 0.5
    turn = np.linspace(0, 2 * np.pi, 24 if round_ else 4, endpoint=False) + np.pi / 4
    turn = turn + place.heading
    ring = np.stack([np.cos(turn), np.sin(turn)], -1) * (size if round_ else size * 1.3)
    ring = ring + [place.x, place.y]
    n = len(ring)
    high = np.column_stack([ring, np.full(n, top)])
    low = np.column_stack([ring, np.zeros(n)])
    vertices = np.concatenate([high, low, [[place.x, place.y, top]]])
    i, j = np.arange(n), (np.arange(n) + 1) % n
    sides = [np.stack([i, j, i + n], -1), np.stack([j, j + n, i + n], -1)]
    faces = np.concatenate([*sides, np.stack([i, j, np.full(n, 2 * n)], -1)])
    return Seat(
        vertices.astype(np.float32), faces.astype(np.int32), colour(random, (0, 0.5), (0.2, 0.9))
    )


def _camera(
    random: np.random.Generator,
    spec: PeopleSpec,
    people: Sequence[Person | Figure],
    *,
    pictured: bool,
) -> Camera:
    ranges = spec.camera
    times = np.linspace(0, spec.seconds, 16)
    pelvis = np.stack([p.motion.posture(times).pelvis for p in people]).mean(0)
    tall = max(p.rig.stature for p in people)
    for _ in range(200):
        distance = random.uniform(*ranges.distance)
        height = random.uniform(*ranges.height)
        focal = random.uniform(*ranges.focal) / _FILM * max(spec.width, spec.height)
        fill = focal * tall / distance / spec.height
        span = np.ptp(pelvis[:, 0]) + 0.9 + 1.1 * (len(people) - 1)
        if ranges.fill[0] <= fill <= ranges.fill[1] and focal * span / distance < 1.15 * spec.width:
            break
    else:  # the ranges leave nearly nothing: the distance and the fill decide
        focal = random.uniform(*ranges.fill) * spec.height * distance / tall
    still = pictured or random.uniform() < ranges.still
    azimuth = random.normal(0, 0.2)
    away = np.array([np.sin(azimuth), -np.cos(azimuth)]) * distance
    middle = pelvis[len(pelvis) // 2]
    place = np.array([middle[0] + away[0], middle[1] + away[1], height])
    visible = spec.height * distance / focal  # metres of height in the picture
    spare = max(visible - tall, 0.0)
    level = tall / 2 + random.uniform(-0.3, 0.3) * spare
    off = random.uniform(-0.12, 0.12) * visible * spec.width / spec.height
    start, end = pelvis[0], pelvis[-1]
    rate = np.radians(random.uniform(*ranges.pan)) * distance * random.choice([-1.0, 1.0])
    sway = Spline(random, spec.seconds, random.normal(0, 0.012, (64, 3)), (0.7, 1.6))
    follow = 0.0 if still else random.uniform(0.6, 1.0)
    # A pan must not lose who is followed.
    limit = 0.18 * visible * spec.width / spec.height
    mid = spec.seconds / 2

    def aim(seconds: np.ndarray) -> np.ndarray:
        u = np.clip(seconds / spec.seconds, 0, 1)[:, None]
        target = middle + follow * (start * (1 - u) + end * u - middle)
        target = np.column_stack([target[:, :2], np.full(len(seconds), level)])
        if not still:
            target[:, 0] += np.clip(rate * (seconds - mid), -limit, limit)
        target[:, 0] += off
        return target if still else target + sway(seconds)

    def stand(seconds: np.ndarray) -> np.ndarray:
        where = np.broadcast_to(place, (len(seconds), 3))
        return where if still else where + 0.5 * sway(seconds + 0.35)

    return Camera(stand, aim, float(focal), spec.width, spec.height, still)
