"""Shoes: lasts around the feet, and shafts around the ankles."""

import numpy as np

from preprocess.sources.people import textures
from preprocess.sources.people.layers import Layer, Paint, Samples, Wearer, sheet, shell

__all__ = ["shoe_layers"]


def shoe_layers(wearer: Wearer, sole: float, rim: float) -> list[Layer]:
    upper = textures.colour(wearer.random, (0.0, 0.6), (0.05, 0.95))
    edge = np.full(3, wearer.random.choice([0.92, 0.15, 0.5]))
    accent = (
        edge
        if wearer.random.uniform() < 0.7
        else textures.colour(wearer.random, (0.2, 0.9), (0.2, 0.9))
    )
    c = wearer.shared.canonical

    def paint(s: Samples) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = s.canonical.T
        colour = np.where((z < -0.806)[:, None], edge, upper).astype(np.float32)
        lace = (abs(y + 0.085) < 0.04) & (z > -0.79) & ((y * 90 % 1) < 0.35)
        colour[lace & (abs(abs(x) - 0.175) < 0.02)] = accent
        return colour, np.full(len(z), 0.15, np.float32)

    def keeps(s: Samples) -> np.ndarray:
        return s.canonical[:, 2] < rim

    superset = (c[:, 2] < rim + 0.03) & (c[:, 2] > -0.79)
    superset &= (wearer.regions.arm < 0) & (c[:, 1] > -0.09)
    shaft = shell(wearer, "shafts", 0.008, superset, keeps, paint)
    return [_last(wearer, side, sole, paint) for side in ("L", "R")] + [shaft]


def _last(wearer: Wearer, side: str, sole: float, paint: Paint) -> Layer:
    """A shoe: rings around the foot from heel to toe, each the hull of what it goes around."""
    rows, columns = 30, 28
    c, v = wearer.shared.canonical, wearer.body.vertices
    sign = 1.0 if side == "L" else -1.0
    foot = (c[:, 2] < -0.745) & (sign * c[:, 0] > 0)
    heel, toe = v[foot, 1].max(), v[foot, 1].min()
    length = heel - toe
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ways = np.stack([np.sin(turn), np.cos(turn)], axis=-1)  # in x and z
    rest = np.empty((rows, columns, 3))
    canonical = np.empty((rows, columns, 3))
    floor = v[foot, 2].min()
    for i, t in enumerate(np.linspace(0, 1, rows)):
        y = heel - t * length
        near = foot & (abs(v[:, 1] - np.clip(y, toe + 0.025 * length, heel)) < 0.05 * length)
        centre = v[near][:, [0, 2]].mean(0)
        reach = ((v[near][:, [0, 2]] - centre) @ ways.T).max(0)
        ends = np.sqrt(np.clip(1 - ((t - 0.5) / 0.5) ** 8, 0, 1))  # rounded at both
        ring = centre + ((reach + 0.005) * ends)[:, None] * ways
        low = np.clip((floor + 0.018 - ring[:, 1]) / 0.014, 0, 1)
        ring[:, 1] = np.where(low > 0, np.minimum(ring[:, 1], floor + 0.018), ring[:, 1])
        ring[:, 1] -= low * (ring[:, 1] - floor + sole)
        rest[i] = np.column_stack(
            [ring[:, 0], np.full(columns, y - 0.004 * (2 * t - 1)), ring[:, 1]]
        )
        canonical[i, :, 0] = sign * 0.175 + (ring[:, 0] - centre[0])
        canonical[i, :, 1] = 0.05 - 0.245 * t
        canonical[i, :, 2] = -0.82 + (ring[:, 1] - floor)
    toes = np.repeat(np.clip((np.linspace(0, 1, rows) - 0.62) / 0.2, 0, 1), columns)
    weights = np.stack([1 - toes, toes], -1)
    bones = (f"foot.{side}", f"toe2-1.{side}")
    return sheet(wearer, f"shoe.{side}", rest, canonical, weights, bones, paint)
