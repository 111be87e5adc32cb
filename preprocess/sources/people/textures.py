"""Patterns of cloth, floors and walls: tiles that repeat, (256, 256, 3) float32 sRGB in [0, 1]."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from preprocess.sources.people.draws import choose

__all__ = ["TILE", "cloth", "colour", "ground", "noise", "sample", "wall"]

TILE = 256


def noise(
    random: np.random.Generator, cells: int, octaves: int = 4, gain: float = 0.5
) -> np.ndarray:
    """(TILE, TILE) float32 in [0, 1] that repeats: `cells` bumps across, and finer ones on them."""
    total = np.zeros((TILE, TILE), np.float32)
    weight = 1.0
    for octave in range(octaves):
        n = min(cells * 2**octave, TILE)
        grid = random.uniform(-1, 1, (n, n)).astype(np.float32)
        # Wrapped around before it is enlarged, so that the tile repeats without a seam.
        pad = 2
        wrapped = np.pad(grid, pad, mode="wrap")
        side = TILE * (n + 2 * pad) // n if TILE % n == 0 else round(TILE * (n + 2 * pad) / n)
        big = cv2.resize(wrapped, (side, side), interpolation=cv2.INTER_CUBIC)
        edge = (side - TILE) // 2
        total += weight * big[edge : edge + TILE, edge : edge + TILE]
        weight *= gain
    low, high = np.percentile(total, (1, 99))
    return np.clip((total - low) / (high - low), 0, 1)


def colour(
    random: np.random.Generator,
    saturation: tuple[float, float] = (0.0, 0.8),
    value: tuple[float, float] = (0.1, 0.95),
) -> np.ndarray:
    """(3,) float32 sRGB."""
    hue = random.uniform()
    return np.array(
        colorsys.hsv_to_rgb(hue, random.uniform(*saturation), random.uniform(*value)), np.float32
    )


def sample(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The tile at (N,) coordinates of which 1 is its side: (N, 3) or (N,), bilinear."""
    n = len(u)
    if not n:
        return np.empty((0, *tile.shape[2:]), np.float32)
    size = tile.shape[0]
    width = 4096
    rows = -(-n // width)
    x, y = np.zeros((2, rows * width), np.float32)
    x[:n], y[:n] = (u % 1.0) * size, (v % 1.0) * size
    grown = cv2.copyMakeBorder(tile, 0, 1, 0, 1, cv2.BORDER_WRAP)
    found = cv2.remap(grown, x.reshape(rows, width), y.reshape(rows, width), cv2.INTER_LINEAR)
    return found.reshape(rows * width, *tile.shape[2:])[:n]


def _mix(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    return (a + (b - a) * t[..., None]).astype(np.float32)


def _stripes(across: np.ndarray, count: int, share: float) -> np.ndarray:
    return ((across * count) % 1.0 < share).astype(np.float32)


_V, _U = (np.mgrid[0:TILE, 0:TILE] / TILE).astype(np.float32)


def cloth(random: np.random.Generator, kind: str | None = None) -> np.ndarray:
    """A tile of cloth, 0.4 m wide: plain, stripes, checks, dots, blotches, denim or two colours."""
    kinds = {"plain": 4, "stripes": 1.5, "checks": 1, "dots": 0.7, "blotches": 0.8, "denim": 1}
    kind = kind or choose(random, kinds)
    base = colour(random, (0.0, 0.85), (0.12, 0.92))
    other = colour(random, (0.0, 0.9), (0.08, 0.95))
    weave = 0.94 + 0.12 * noise(random, 32, 3)
    tile = np.broadcast_to(base, (TILE, TILE, 3)).astype(np.float32)
    if kind == "stripes":
        along = _V if random.uniform() < 0.7 else _U
        tile = _mix(
            base, other, _stripes(along, int(random.integers(3, 14)), random.uniform(0.2, 0.6))
        )
    elif kind == "checks":
        count, share = int(random.integers(3, 9)), random.uniform(0.25, 0.55)
        t = 0.5 * (_stripes(_U, count, share) + _stripes(_V, count, share))
        tile = _mix(base, other, t)
    elif kind == "dots":
        count, radius = int(random.integers(3, 8)), random.uniform(0.15, 0.35)
        away = np.hypot((_U * count) % 1.0 - 0.5, (_V * count) % 1.0 - 0.5)
        tile = _mix(base, other, (away < radius).astype(np.float32))
    elif kind == "blotches":
        third = colour(random, (0.2, 0.9), (0.2, 0.95))
        tile = _mix(base, other, (noise(random, 5, 2) > 0.5).astype(np.float32))
        tile = tile + (third - tile) * (noise(random, 6, 2) > 0.65)[..., None].astype(np.float32)
    elif kind == "denim":
        blue = np.array([0.16, 0.22, 0.38], np.float32) * random.uniform(0.5, 1.9)
        tile = np.broadcast_to(np.clip(blue, 0, 1), (TILE, TILE, 3)).astype(np.float32)
        weave = 0.8 + 0.4 * noise(random, 16, 4)
    return np.clip(tile * weave[..., None], 0, 1).astype(np.float32)


def ground(random: np.random.Generator, kind: str) -> np.ndarray:
    """A floor or ground: wood, tiles, carpet, concrete, grass, asphalt, paving, sand or plain."""
    grain = noise(random, 8, 5)
    if kind == "wood":
        base = np.array([0.5, 0.34, 0.2], np.float32) * random.uniform(0.6, 1.5)
        planks = 6
        row = np.floor(_V * planks).astype(int) % planks
        tone = random.uniform(0.8, 1.2, planks)[row].astype(np.float32)
        long = cv2.resize(noise(random, 16, 3)[:, :16], (TILE, TILE), interpolation=cv2.INTER_CUBIC)
        gap = 1 - 0.5 * ((_V * planks) % 1.0 < 0.03)
        shift = random.uniform(0, 1, planks)[row]
        gap *= 1 - 0.5 * (((_U + shift) % 1.0) < 0.006)
        return np.clip(base * (tone * (0.82 + 0.36 * long) * gap)[..., None], 0, 1).astype(
            np.float32
        )
    if kind in ("tiles", "paving"):
        count = 2 if kind == "tiles" else 4
        base = colour(random, (0.0, 0.25), (0.45, 0.9) if kind == "tiles" else (0.35, 0.65))
        other = base * (random.uniform(0.35, 0.8) if random.uniform() < 0.4 else 0.97)
        chess = ((np.floor(_U * count) + np.floor(_V * count)) % 2).astype(np.float32)
        joint = (((_U * count) % 1.0 < 0.03) | ((_V * count) % 1.0 < 0.03)).astype(np.float32)
        tile = _mix(base, other, chess) * (0.88 + 0.2 * grain)[..., None]
        return np.clip(tile * (1 - 0.35 * joint)[..., None], 0, 1).astype(np.float32)
    bases = {
        "grass": np.array([0.24, 0.36, 0.13], np.float32) * random.uniform(0.7, 1.3),
        "asphalt": np.array([0.3, 0.3, 0.32], np.float32) * random.uniform(0.7, 1.3),
        "sand": np.array([0.72, 0.62, 0.46], np.float32) * random.uniform(0.8, 1.1),
        "concrete": np.array([0.55, 0.55, 0.53], np.float32) * random.uniform(0.7, 1.3),
    }
    base = bases.get(kind, colour(random, (0.0, 0.4), (0.25, 0.85)))
    depth = {"grass": 0.7, "asphalt": 0.35, "sand": 0.22, "concrete": 0.25, "carpet": 0.2}.get(
        kind, 0.06
    )
    if kind in ("grass", "carpet", "asphalt"):
        grain = 0.5 * grain + 0.5 * noise(random, 64, 3)
    return np.clip(base * (1 - depth / 2 + depth * grain)[..., None], 0, 1).astype(np.float32)


def wall(random: np.random.Generator, kind: str) -> np.ndarray:
    """A wall: paint, wallpaper, bricks, wood, concrete, hedge or facade."""
    grain = noise(random, 4, 5)
    if kind == "bricks":
        rows = 16
        row = np.floor(_V * rows)
        u = _U * 6 + 0.5 * (row % 2)
        joint = (((_V * rows) % 1.0) < 0.12) | ((u % 1.0) < 0.05)
        tone = random.uniform(0.75, 1.2, (rows, 8))[
            row.astype(int) % rows, np.floor(u).astype(int) % 8
        ]
        base = np.array([0.52, 0.28, 0.2], np.float32) * random.uniform(0.7, 1.4)
        brick = base * (tone * (0.85 + 0.3 * grain))[..., None]
        mortar = np.full(3, random.uniform(0.45, 0.75), np.float32)
        return np.clip(np.where(joint[..., None], mortar, brick), 0, 1).astype(np.float32)
    if kind == "wallpaper":
        base = colour(random, (0.05, 0.45), (0.45, 0.9))
        other = np.clip(base * random.uniform(0.75, 1.2), 0, 1)
        count = int(random.integers(4, 20))
        return _mix(base, other, _stripes(_U, count, 0.5)) * (0.97 + 0.05 * grain)[..., None]
    if kind == "hedge":
        base = np.array([0.16, 0.27, 0.1], np.float32) * random.uniform(0.7, 1.4)
        leaves = noise(random, 24, 4)
        return np.clip(base * (0.35 + 1.3 * leaves * (0.6 + 0.4 * grain))[..., None], 0, 1)
    if kind == "facade":
        base = colour(random, (0.0, 0.35), (0.4, 0.85))
        count = int(random.integers(2, 5))
        u, v = (_U * count) % 1.0, (_V * count) % 1.0
        pane = (abs(u - 0.5) < 0.24) & (abs(v - 0.5) < 0.3)
        frame = (abs(u - 0.5) < 0.28) & (abs(v - 0.5) < 0.34) & ~pane
        tile = np.broadcast_to(base, (TILE, TILE, 3)) * (0.9 + 0.15 * grain)[..., None]
        glass = np.array([0.25, 0.32, 0.4], np.float32) * random.uniform(0.5, 1.4)
        lit = random.uniform(0.5, 1.3, (count, count))[
            np.floor(_V * count).astype(int) % count, np.floor(_U * count).astype(int) % count
        ]
        tile = np.where(pane[..., None], glass * lit[..., None], tile)
        tile = np.where(frame[..., None], np.clip(base * 1.25, 0, 1), tile)
        return np.clip(tile, 0, 1).astype(np.float32)
    if kind == "wood":
        return np.ascontiguousarray(ground(random, "wood").transpose(1, 0, 2))
    if kind == "concrete":
        return ground(random, "concrete")
    base = colour(random, (0.0, 0.4), (0.4, 0.95))
    return np.clip(base * (0.96 + 0.06 * grain)[..., None], 0, 1).astype(np.float32)
