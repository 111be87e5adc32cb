"""Hair: where it grows, its cuts and colours."""

import numpy as np

from preprocess.sources.people import textures
from preprocess.sources.people.layers import Layer, Paint, Samples, Wearer, sheet, shell
from preprocess.sources.people.rotations import unit

__all__ = ["HAIR", "hair_colour", "hair_layers", "hairy"]

HAIR = ("bald", "buzz", "short", "medium", "long", "bun", "ponytail")

_HEAD = np.array([0.0, -0.05, 0.7])


def hair_colour(wearer: Wearer, skin: float) -> np.ndarray:
    colours = np.array(
        [[0.07, 0.05, 0.04], [0.16, 0.1, 0.06], [0.3, 0.19, 0.1], [0.55, 0.4, 0.2],
         [0.75, 0.6, 0.36], [0.45, 0.2, 0.1], [0.6, 0.6, 0.6]]
    )  # fmt: skip
    likely = (
        np.array([3, 3, 2, 1, 1, 0.5, 0.8]) if skin < 0.45 else np.array([5, 2, 0.5, 0, 0, 0, 0.6])
    )
    return colours[
        wearer.random.choice(len(colours), p=likely / likely.sum())
    ] * wearer.random.uniform(0.85, 1.15)


def hairy(canonical: np.ndarray, lower: float) -> np.ndarray:
    """Where hair grows; `lower` metres further down at the sides and the nape."""
    x, y, z = abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    # From the forehead over the temples behind the ears to the nape.
    line = np.interp(y, [-0.16, -0.12, -0.085, -0.055, -0.02, 0.06],
                     [0.768, 0.765, 0.735, 0.69 - lower, 0.66 - lower, 0.625 - lower])  # fmt: skip
    line = line - 0.012 * np.clip(x / 0.05, 0, 1) * (y < -0.11)
    return (z > line) & (z > 0.55)


def hair_layers(wearer: Wearer, kind: str, shade: np.ndarray) -> list[Layer]:
    if kind in ("bald", "buzz"):
        return []
    c = wearer.shared.canonical
    thick = {"short": (0.008, 0.02), "medium": (0.018, 0.032), "long": (0.012, 0.024)}.get(
        kind, (0.006, 0.012)
    )
    lower = {"medium": wearer.random.uniform(0.03, 0.07), "long": 0.05}.get(kind, 0.0)
    depth = wearer.random.uniform(*thick)
    d = unit(c - _HEAD)
    top = np.clip(0.55 + 0.6 * d[:, 2], 0.35, 1.0)
    ragged = textures.sample(textures.noise(wearer.random, 8, 3), d[:, 0], d[:, 1])
    out = depth * top * (0.75 + 0.5 * ragged) + 0.003
    superset = hairy(c, lower + 0.03) | (hairy(c + [0, 0, 0.02], lower) & (c[:, 2] > 0.58))
    fringe = wearer.random.uniform(0.0, 0.022) if wearer.random.uniform() < 0.5 else 0.0
    paint = _strands(wearer, shade)

    def keeps(s: Samples) -> np.ndarray:
        raised = s.canonical + np.where(s.canonical[:, 1:2] < -0.1, [0, 0, fringe], [0.0, 0, 0])
        return hairy(raised, lower)

    layers = [shell(wearer, f"{kind} hair", out, superset, keeps, paint)]
    if kind == "long":
        layers.append(_curtain(wearer, paint))
    elif kind == "bun":
        at = np.array([0.0, 0.055, wearer.random.uniform(0.72, 0.8)])
        layers.append(_ball(wearer, at, np.array([0.04, 0.035, 0.04]), paint))
    elif kind == "ponytail":
        at = np.array([0.0, 0.075, wearer.random.uniform(0.6, 0.66)])
        layers.append(
            _ball(wearer, at, np.array([0.028, 0.03, wearer.random.uniform(0.09, 0.15)]), paint)
        )
    return layers


def _strands(wearer: Wearer, shade: np.ndarray) -> Paint:
    streak = textures.noise(wearer.random, 32, 2)

    def paint(s: Samples) -> tuple[np.ndarray, np.ndarray]:
        d = unit(s.canonical - _HEAD)
        turn = np.arctan2(d[:, 0], d[:, 1])
        light = 0.65 + 0.7 * textures.sample(streak, turn / np.pi * 1.5, 0.08 * d[:, 2])
        return shade * light[:, None], np.full(len(d), 0.1, np.float32)

    return paint


def _to_body(wearer: Wearer, points: np.ndarray) -> np.ndarray:
    """Places (..., 3) around the mean body's head, around this body's."""
    heads = wearer.regions.head > 0.5
    mean, mine = wearer.shared.canonical[heads], wearer.body.vertices[heads]
    scale = np.ptp(mine, axis=0) / np.ptp(mean, axis=0)
    placed: np.ndarray = mine.mean(0) + (points - mean.mean(0)) * scale
    return placed


def _curtain(wearer: Wearer, paint: Paint) -> Layer:
    """Hair that hangs from the back and the sides of the head."""
    rows, columns = 26, 40
    end = wearer.random.uniform(0.33, 0.52)
    wide = wearer.random.uniform(1.9, 2.3)
    turn = np.linspace(-wide, wide, columns)
    z = np.linspace(0.76, end, rows)
    out = np.interp(-z, [-0.76, -0.7, -0.62, -0.5, -0.3], [0.075, 0.1, 0.1, 0.11, 0.13])
    back = np.interp(-z, [-0.76, -0.7, -0.62, -0.52, -0.3], [0.1, 0.112, 0.1, 0.135, 0.15])
    wave = 0.006 * np.sin(7 * turn + wearer.random.uniform(0, 6))
    x = (out[:, None] + wave) * np.sin(turn)
    y = -0.05 + (back[:, None] + wave) * np.cos(turn)
    grid = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], -1)
    on_head = np.clip((grid[..., 2].ravel() - 0.5) / 0.14, 0, 1)
    neck = 0.6 * (1 - abs(2 * on_head - 1))
    weights = np.stack([on_head * (1 - neck), neck, (1 - on_head) * (1 - neck)], -1)
    bones = ("head", "neck02", "spine01")
    rest = _to_body(wearer, grid)
    return sheet(wearer, "long hair, hanging", rest, grid, weights, bones, paint, closed=False)


def _ball(wearer: Wearer, at: np.ndarray, radii: np.ndarray, paint: Paint) -> Layer:
    """Hair that is tied: an ellipsoid at a place of the mean body."""
    rows, columns = 12, 20
    up = np.linspace(0.02, np.pi - 0.02, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    round_ = [np.sin(up) * np.cos(turn), np.sin(up) * np.sin(turn), np.cos(up) + 0 * turn]
    grid = at + np.stack(round_, -1) * radii
    weights = np.ones((rows * columns, 1))
    return sheet(wearer, "tied hair", _to_body(wearer, grid), grid, weights, ("head",), paint)
