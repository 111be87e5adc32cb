"""Clothes: shells around the body, cut where they end, and skirts."""

from dataclasses import replace

import numpy as np

from preprocess.sources.people import textures
from preprocess.sources.people.layers import Layer, Paint, Samples, Wearer, sheet, shell

__all__ = ["BOTTOMS", "TOPS", "clothes_layers"]

TOPS = ("t-shirt", "long sleeves", "tank top", "hoodie", "jacket", "shirt", "dress")
BOTTOMS = ("trousers", "wide trousers", "shorts", "skirt", "long skirt")

_WAIST = 0.12


def clothes_layers(wearer: Wearer, loose: float, top: str, bottom: str) -> list[Layer]:
    layers = []
    tile = textures.cloth(wearer.random)
    if top == "dress" and not bottom.endswith("skirt"):
        bottom = str(wearer.random.choice(["skirt", "long skirt"]))
    if bottom.endswith("skirt"):
        hem = (
            wearer.random.uniform(-0.32, -0.18)
            if bottom == "skirt"
            else wearer.random.uniform(-0.62, -0.42)
        )
        cloth = tile if top == "dress" else textures.cloth(wearer.random)
        # Thighs that rise further than the cone follows look as if its cloth lay on them.
        layers.append(_trousers(wearer, 0.15 * loose, "shorts", cloth, hem=hem))
        layers.append(_skirt(wearer, loose, bottom, cloth, hem))
    else:
        kind = wearer.random.choice(["denim", "plain", "plain", "checks"])
        layers.append(_trousers(wearer, loose, bottom, textures.cloth(wearer.random, kind)))
    layers += _top(wearer, loose, top, tile)
    if top == "jacket":
        layers += _top(wearer, loose, "open", textures.cloth(wearer.random, "plain"))
    return layers


def _folds(wearer: Wearer, canonical: np.ndarray, amount: float) -> np.ndarray:
    """(V,) metres by which cloth stands off more here and less there, in long soft folds."""
    tile = textures.noise(wearer.random, 4, 3)
    c = canonical
    return amount * textures.sample(tile, 2.2 * c[:, 0] + 1.3 * c[:, 1], 0.9 * c[:, 2])


def _fabric(wearer: Wearer, tile: np.ndarray, scale: float = 2.5, gloss: float = 0.03) -> Paint:
    crease = textures.noise(wearer.random, 6, 4)

    def paint(s: Samples) -> tuple[np.ndarray, np.ndarray]:
        c = s.canonical
        around = c[:, 0] + np.where(c[:, 1] > -0.02, 0.37, 0.0) + 0.6 * c[:, 1]
        # Along the sleeve, on arms.
        sleeve = s.arm >= 0
        u = np.where(sleeve, 0.8 * c[:, 1] + 0.5 * (c[:, 0] + c[:, 2]), around)
        v = np.where(sleeve, 0.55 * s.arm, c[:, 2])
        colour = textures.sample(tile, scale * u, scale * v)
        shade = 0.86 + 0.22 * textures.sample(crease, 3.1 * u, 1.3 * v)
        return colour * shade[:, None], np.full(len(c), gloss, np.float32)

    return paint


def _trousers(
    wearer: Wearer,
    loose: float,
    kind: str,
    tile: np.ndarray,
    hem: float | None = None,
) -> Layer:
    regions = wearer.regions
    c = wearer.shared.canonical
    if hem is None:
        hem = (
            wearer.random.uniform(-0.36, -0.16)
            if kind == "shorts"
            else wearer.random.uniform(-0.76, -0.7)
        )
    flare = {"wide trousers": wearer.random.uniform(0.025, 0.05)}.get(
        kind, wearer.random.uniform(0.0, 0.012)
    ) * loose
    down = np.clip((0.02 - c[:, 2]) / (0.02 - hem), 0, 1)
    out = 0.007 + (0.006 + flare * down) * loose + _folds(wearer, c, 0.008 * loose) * down
    # Between the thighs there is no room.
    inner = np.clip(1 - abs(c[:, 0]) / 0.05, 0, 1) * (c[:, 2] > -0.3)
    out = out * (1 - 0.85 * inner)
    superset = (c[:, 2] < _WAIST + 0.03) & (c[:, 2] > hem - 0.03) & (regions.arm < -0.5)

    def keeps(s: Samples) -> np.ndarray:
        return (s.canonical[:, 2] < _WAIST - 0.02) & (s.canonical[:, 2] > hem)

    return shell(wearer, kind, out, superset, keeps, _fabric(wearer, tile))


def _top(
    wearer: Wearer,
    loose: float,
    kind: str,
    tile: np.ndarray,
) -> list[Layer]:
    regions = wearer.regions
    c = wearer.shared.canonical
    sleeve = {
        "t-shirt": wearer.random.uniform(0.18, 0.45),
        "tank top": -0.2,
        "dress": wearer.random.choice([-0.2, 0.3, 0.9]),
    }.get(kind, wearer.random.uniform(0.86, 0.96))
    hem = {"dress": 0.0, "tank top": -0.02, "jacket": 0.0}.get(
        kind, wearer.random.uniform(-0.1, 0.02)
    )
    if kind == "open":
        hem = wearer.random.uniform(-0.16, 0.0)
    stand = {"hoodie": 0.022, "open": 0.026, "shirt": 0.013}.get(kind, 0.011)
    vee = wearer.random.choice([0.0, 0.0, 0.1]) if kind != "hoodie" else 0.0
    neck = 0.575 if kind in ("hoodie", "open", "shirt") else wearer.random.uniform(0.525, 0.56)
    strap = wearer.random.uniform(0.09, 0.125)
    gap = wearer.random.uniform(0.03, 0.09)
    low = np.clip((0.3 - c[:, 2]) / 0.35, 0, 1)
    out: np.ndarray = stand * (0.55 + 0.45 * loose) + (0.012 * low * loose)
    out = out + _folds(wearer, c, 0.012 * loose)
    out = out + np.where(regions.arm > 0, 0.008 * loose * np.clip(regions.arm * 2, 0, 1), 0)
    superset = (c[:, 2] < neck + 0.05) & (c[:, 2] > hem - 0.04) & (regions.hand < 0.9)
    superset |= (regions.arm >= 0) & (regions.hand < 0.9)

    def keeps(s: Samples) -> np.ndarray:
        x, y, z = s.canonical.T
        front = y < 0.0
        opening = neck - np.where(front, vee + 0.35 * (0.09 - abs(x)).clip(0), 0.0) * (
            abs(x) < 0.09
        )
        there = (z < opening + 0.25 * (abs(x) > 0.1)) & (z > hem)
        there = np.where(s.arm >= 0, s.arm < sleeve, there)
        if kind in ("tank top", "dress") and sleeve < 0:
            there &= (s.arm < -0.35) & ~((abs(x) > strap) & (z > 0.44))
        if kind == "open":
            there &= ~(front & (abs(x) < gap) & (s.arm < 0))
        return there

    paint = _fabric(wearer, tile)
    print_ = wearer.random.uniform() < 0.3 and kind in ("t-shirt", "hoodie", "long sleeves")
    badge = textures.colour(wearer.random, (0.2, 0.9), (0.3, 1.0))
    size = wearer.random.uniform(0.03, 0.08)
    buttons = kind == "shirt"

    def painted(s: Samples) -> tuple[np.ndarray, np.ndarray]:
        colour, gloss = paint(s)
        x, y, z = s.canonical.T
        if print_:
            inside = (abs(x) < size * 1.2) & (abs(z - 0.34) < size) & (y < 0) & (s.arm < 0)
            colour[inside & (np.hypot(x, z - 0.34) > 0.6 * size)] = badge
        if buttons:
            colour[(abs(x - 0.012) < 0.002) & (y < 0) & (s.arm < 0)] *= 0.55
        return colour, gloss

    whole = shell(wearer, kind, out, superset, keeps, painted)
    # Apart, so that the end of a sleeve does not hide the trunk behind it.
    sleeves = (whole.arm[whole.faces] >= 0).all(1)
    return [replace(whole, faces=whole.faces[part]) for part in (~sleeves, sleeves) if part.any()]


def _skirt(
    wearer: Wearer,
    loose: float,
    kind: str,
    tile: np.ndarray,
    hem: float,
) -> Layer:
    """A cone from the waist around both legs; its cloth follows the thighs half the way."""
    flare = wearer.random.uniform(0.02, 0.12) * (0.5 + 0.5 * loose)
    rows, columns = 28, 64
    regions = wearer.regions
    c, v = wearer.shared.canonical, wearer.body.vertices
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ways = np.stack([np.sin(around), -np.cos(around)], axis=-1)
    heights = np.linspace(_WAIST, hem, rows)
    trunk = regions.arm < -0.5
    rest = np.empty((rows, columns, 3))
    canonical = np.empty((rows, columns, 3))
    widest = np.zeros(columns)
    folds = wearer.random.uniform(0.3, 1.0) * 0.012 * loose
    count = int(wearer.random.integers(5, 12))
    for i, z in enumerate(heights):
        near = trunk & (abs(c[:, 2] - z) < 0.03)
        centre = v[near].mean(0)
        centre[0] = 0
        reach = ((v[near, :2] - centre[:2]) @ ways.T).max(0)
        t = i / (rows - 1)
        # It hangs from the widest place above.
        widest = np.maximum(reach, widest * 0.995)
        radius = widest + 0.008 + flare * t + folds * t * (1 + np.sin(count * around))
        rest[i, :, :2] = centre[:2] + radius[:, None] * ways
        rest[i, :, 2] = v[near, 2].mean()
        canonical[i, :, 0], canonical[i, :, 1] = 0.2 * np.sin(around), -0.16 * np.cos(around)
        canonical[i, :, 2] = z
    left = np.tile(0.5 + 0.5 * np.sin(around) * 0.8, rows)
    thigh = 0.85 * np.repeat(np.clip((_WAIST - 0.1 - heights) / 0.22, 0, 1), columns)
    weights = np.stack([1 - thigh, thigh * left, thigh * (1 - left)], -1)
    bones = ("root", "upperleg01.L", "upperleg01.R")
    return sheet(wearer, kind, rest, canonical, weights, bones, _fabric(wearer, tile))
