"""Where people are: a room, a studio, a place outdoors, or before a picture of the user's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from preprocess.frames import read_image
from preprocess.sources.people import textures
from preprocess.sources.people.camera import View
from preprocess.sources.people.draws import choose
from preprocess.sources.people.rotations import unit
from preprocess.sources.people.tracing import trace

__all__ = ["SKY", "Backdrop", "Light", "Stage", "make_stage"]

SKY = 60.0  # metres: what is further away is sky, at this distance


@dataclass(frozen=True, eq=False)
class Light:
    """`towards` (3,) unit vector to the light; linear RGB of it and of what comes from around."""

    towards: np.ndarray
    direct: np.ndarray
    ambient: np.ndarray
    softness: float  # of shadows on the floor, metres


@dataclass(frozen=True, eq=False)
class _Decal:
    """A rectangle on a wall: a poster, a window, a door."""

    face: int
    low: tuple[float, float]
    high: tuple[float, float]
    tile: np.ndarray
    shine: float


@dataclass(frozen=True, eq=False)
class _Box:
    """A piece of furniture."""

    low: np.ndarray
    high: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True, eq=False)
class Backdrop:
    """The stage in the samples of a picture, row by row, float32.

    `depth` (H, W) metres along the viewing axis; `points` (H * W, 3) in the world; `albedo`
    (H * W, 3) linear RGB; `facing` and `around` (H * W,): how much of the direct and of the
    ambient light it takes.
    """

    depth: np.ndarray
    points: np.ndarray
    albedo: np.ndarray
    facing: np.ndarray
    around: np.ndarray


@dataclass(frozen=True, eq=False)
class Stage:
    """A box seen from within: faces are x low, x high, y low, y high, floor, ceiling (or sky)."""

    low: np.ndarray
    high: np.ndarray
    tiles: tuple[np.ndarray, ...]
    scales: tuple[float, ...]  # metres that a tile is wide
    tops: float  # of the walls; above them is sky
    decals: tuple[_Decal, ...]
    boxes: tuple[_Box, ...]
    sky: tuple[np.ndarray, np.ndarray]  # at the horizon, overhead
    light: Light
    picture: np.ndarray | None = None  # linear RGB, instead of all surfaces

    def seen(self, view: View, times: int) -> Backdrop:
        """Through times x times samples a pixel."""
        shape = (view.height * times, view.width * times)
        rays = view.ray_grid(times)
        step = 1 / (view.focal * times)
        room = (self.low, self.high, self.tops, SKY)
        low, high, colours = (
            np.array(rows, np.float32).reshape(-1, 3)
            for rows in (
                [b.low for b in self.boxes],
                [b.high for b in self.boxes],
                [b.colour for b in self.boxes],
            )
        )
        depth, points, albedo, facing, around, surface = trace(
            shape, step, rays, view.place, room, self.light.towards, self._tiles, self._decals,
            (low, high, colours), self.sky,
        )  # fmt: skip
        if self.picture is not None:
            albedo = self._from_picture(view, times)
            floor = surface == 4
            facing = np.where(floor, 0.35, 0.0).astype(np.float32)
            around = np.where(floor, 0.65, 1.0).astype(np.float32)
        return Backdrop(depth.reshape(shape), points, albedo, facing, around)

    @cached_property
    def _tiles(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All tiles and their smaller versions, as the kernel reads them."""
        tiles = [*self.tiles, *(decal.tile for decal in self.decals)]
        parts: list[np.ndarray] = []
        offsets = np.full((len(tiles), 9), -1, np.int32)
        at = 0
        for number, tile in enumerate(tiles):
            for level in range(9):
                offsets[number, level] = at
                parts.append(tile.reshape(-1, 3))
                at += len(parts[-1])
                if tile.shape[0] == 1:
                    break
                tile = cv2.resize(tile, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return (
            np.concatenate(parts).astype(np.float32),
            offsets,
            np.array([tile.shape[0] for tile in tiles], np.int32),
            np.array(self.scales, np.float32),
        )

    @cached_property
    def _decals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return (
            np.array([d.face for d in self.decals], np.int32),
            np.array([d.low for d in self.decals], np.float32).reshape(-1, 2),
            np.array([d.high for d in self.decals], np.float32).reshape(-1, 2),
            np.array([d.shine for d in self.decals], np.float32),
        )

    def _from_picture(self, view: View, times: int) -> np.ndarray:
        assert self.picture is not None
        size = (view.width * times, view.height * times)
        return cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA).reshape(-1, 3)


def make_stage(
    random: np.random.Generator, kinds: dict[str, float], pictures: tuple[Path, ...]
) -> Stage:
    """`kinds`: weights of room, studio, outdoors and picture, which takes one of `pictures`."""
    kind = choose(random, {k: w for k, w in kinds.items() if k != "picture" or pictures})
    if kind == "room":
        return _room(random)
    if kind == "outdoors":
        return _outdoors(random)
    stage = _studio(random)
    if kind == "picture":
        image, _ = read_image(pictures[int(random.integers(len(pictures)))])
        return replace(stage, picture=(image.astype(np.float32) / 255) ** 2.2)
    return stage


def _light(random: np.random.Generator, outdoors: bool) -> Light:
    turn = random.uniform(-1.2, 1.2) + (np.pi if outdoors and random.uniform() < 0.3 else 0)
    up = random.uniform(0.6, 1.25)
    towards = unit(np.array([np.sin(turn) * np.cos(up), -np.cos(turn) * np.cos(up), np.sin(up)]))
    warm = random.uniform(-0.08, 0.1)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    share = random.uniform(0.35, 0.7) if outdoors else random.uniform(0.2, 0.55)
    level = random.uniform(0.85, 1.2)
    cool = np.array([0.95, 1.0, 1.08]) if outdoors else np.array([1.0, 1.0, 1.0])
    softness = random.uniform(0.02, 0.12) if outdoors else random.uniform(0.05, 0.22)
    return Light(towards, level * 1.5 * share * tint, level * (1 - share) * 1.15 * cool, softness)


def _room(random: np.random.Generator) -> Stage:
    low = np.array([-random.uniform(1.8, 4.5), -12.0, 0.0])
    high = np.array([random.uniform(1.8, 4.5), random.uniform(1.2, 4.5), random.uniform(2.4, 3.4)])
    kind = choose(random, {"paint": 5, "wallpaper": 2, "bricks": 1, "wood": 1, "concrete": 1})
    wall = textures.wall(random, kind)
    side = wall if random.uniform() < 0.7 else textures.wall(random, "paint")
    floor = textures.ground(
        random, choose(random, {"wood": 4, "tiles": 2, "carpet": 2, "concrete": 1})
    )
    ceiling = np.full((textures.TILE, textures.TILE, 3), random.uniform(0.8, 0.97), np.float32)
    decals = []
    for face in (3, 3, 0, 1):
        if random.uniform() < 0.65:
            decals.append(_decal(random, face, low, high))
    if random.uniform() < 0.85:  # along the floor
        board = np.clip(textures.colour(random, (0, 0.2), (0.5, 0.95)), 0, 1)
        tile = np.broadcast_to(board, (8, 8, 3)).astype(np.float32).copy()
        decals.append(_Decal(3, (float(low[0]), 0.0), (float(high[0]), 0.09), tile, 0.0))
    boxes = []
    for _ in range(int(random.integers(0, 5))):
        wide, deep, tall = (
            random.uniform(0.3, 1.4),
            random.uniform(0.3, 0.7),
            random.uniform(0.3, 1.7),
        )
        x = random.uniform(low[0], high[0] - wide)
        y = high[1] - deep - random.uniform(0, 0.1)
        if y < 0.7 and abs(x + wide / 2) < 1.0:
            continue
        boxes.append(
            _Box(
                np.array([x, y, 0.0]),
                np.array([x + wide, y + deep, tall]),
                textures.colour(random, (0.0, 0.6), (0.15, 0.9)),
            )
        )
    tiles = (side, side, wall, wall, floor, ceiling)
    scale = 1.2 if kind in ("bricks", "wood") else 2.0
    grey = np.array([0.9, 0.9, 0.9])
    return Stage(
        low, high, tiles, (scale,) * 4 + (random.uniform(0.9, 1.6), 2.0), 99.0, tuple(decals),
        tuple(boxes), (grey, grey), _light(random, outdoors=False),
    )  # fmt: skip


def _decal(random: np.random.Generator, face: int, low: np.ndarray, high: np.ndarray) -> _Decal:
    along = 0 if face >= 2 else 1
    kind = choose(random, {"poster": 3, "window": 2, "door": 2, "shelf": 1})
    wide, bottom, tall = {
        "poster": (random.uniform(0.4, 1.2), random.uniform(1.0, 1.5), random.uniform(0.4, 0.9)),
        "window": (random.uniform(0.8, 1.8), random.uniform(0.7, 1.0), random.uniform(0.9, 1.3)),
        "door": (0.9, 0.0, 2.05),
        "shelf": (random.uniform(0.8, 1.6), random.uniform(0.9, 1.5), 0.25),
    }[kind]
    start = random.uniform(max(low[along], -4.0), max(high[along] - wide, low[along] + 0.1))
    size = textures.TILE
    v, u = np.mgrid[0:size, 0:size] / size
    if kind == "poster":
        tile = textures.wall(random, choose(random, ("paint", "wallpaper", "hedge", "facade")))
        tile = tile * (0.7 + 0.5 * textures.noise(random, 3, 3))[..., None]
        frame = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) < 0.04
        tile = np.where(frame[..., None], textures.colour(random, (0, 0.3), (0.05, 0.9)), tile)
        shine = 0.0
    elif kind == "window":
        sky = np.array([0.72, 0.82, 0.95]) * random.uniform(0.75, 1.05)
        tile = sky + (np.array([0.55, 0.6, 0.55]) - sky) * (v > random.uniform(0.5, 0.9))[..., None]
        bar = (np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) < 0.04) | (
            abs(u - 0.5) < 0.02
        )
        tile = np.where(bar[..., None], [0.93, 0.93, 0.92], tile)
        shine = 0.6
    elif kind == "door":
        base = textures.colour(random, (0.0, 0.5), (0.3, 0.95))
        panel = (abs(u - 0.5) < 0.33) & (((v > 0.08) & (v < 0.45)) | ((v > 0.53) & (v < 0.93)))
        tile = np.where(panel[..., None], base * 0.93, base)
        shine = 0.0
    else:
        tones = textures.colour(random, (0, 0.5), (0.2, 0.8)) * random.uniform(0.5, 1.4, (24, 3))
        books = np.clip(tones, 0, 1)[(u * 24).astype(int) % 24]
        tile = np.where(
            (v > 0.93)[..., None], textures.colour(random, (0.2, 0.6), (0.2, 0.6)), books
        )
        shine = 0.0
    tile = np.clip(tile, 0, 1).astype(np.float32)
    return _Decal(face, (start, bottom), (start + wide, bottom + tall), tile, shine)


def _studio(random: np.random.Generator) -> Stage:
    """A plain floor and wall of one colour, or two."""
    far = random.uniform(0.9, 3.0)
    colour = textures.colour(random, (0.0, 0.35), (0.25, 0.97))
    grain = textures.noise(random, 4, 4)
    tile = np.clip(colour * (0.97 + 0.05 * grain)[..., None], 0, 1).astype(np.float32)
    below = tile if random.uniform() < 0.5 else textures.ground(random, "plain")
    size = random.uniform(4, 9)
    grey = np.array([0.9, 0.9, 0.9])
    return Stage(
        np.array([-size, -12.0, 0.0]), np.array([size, far, 9.0]),
        (tile, tile, tile, tile, below, tile), (2.0,) * 6, 99.0, (), (), (grey, grey),
        _light(random, outdoors=False),
    )  # fmt: skip


def _outdoors(random: np.random.Generator) -> Stage:
    wide, far = random.uniform(5, 25), random.uniform(3, 28)
    kind = choose(random, {"hedge": 3, "facade": 4, "bricks": 2, "concrete": 1})
    wall = textures.wall(random, kind)
    floor = choose(random, {"grass": 3, "asphalt": 3, "paving": 3, "sand": 1})
    tops = random.uniform(1.5, 4.0) if kind == "hedge" else random.uniform(3.0, 14.0)
    horizon = np.array([0.85, 0.9, 0.96]) * random.uniform(0.85, 1.02)
    overhead = np.array([0.35, 0.55, 0.85]) * random.uniform(0.7, 1.15)
    if random.uniform() < 0.35:  # overcast
        overhead = horizon * 0.9
    boxes = []
    for _ in range(int(random.integers(0, 4))):
        side = random.choice([-1.0, 1.0])
        x, y = side * random.uniform(1.6, 4.0), random.uniform(0.8, max(1.0, far - 0.6))
        wide_, tall = random.uniform(0.15, 1.2), random.uniform(0.3, 2.8)
        boxes.append(
            _Box(
                np.array([x - wide_ / 2, y, 0.0]),
                np.array([x + wide_ / 2, y + wide_, tall]),
                textures.colour(random, (0.0, 0.6), (0.1, 0.8)),
            )
        )
    scale = {"facade": random.uniform(4, 7), "bricks": 1.4, "hedge": 1.6, "concrete": 3.0}[kind]
    return Stage(
        np.array([-wide, -40.0, 0.0]), np.array([wide, far, 200.0]),
        (wall, wall, wall, wall, textures.ground(random, floor), wall),
        (scale,) * 4 + (random.uniform(1.2, 2.2), 4.0), tops, (), tuple(boxes),
        (np.clip(horizon, 0, 1), np.clip(overhead, 0, 1)), _light(random, outdoors=True),
    )  # fmt: skip
