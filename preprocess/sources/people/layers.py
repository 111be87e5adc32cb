"""What people are dressed in, as surfaces around the body: skin, clothes, shoes and hair.

A layer is a mesh that the body's bones carry. What of it is there, and in which colour, is decided
for each sample of the picture by the place on the mean body that it shows: `canonical`, with x to
the person's left from -0.5 to 0.5, y to the back, and z from -0.82 at the soles to 0.81.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from preprocess.sources.people import textures
from preprocess.sources.people.body import Body, Template, normals
from preprocess.sources.people.rotations import unit

__all__ = ["Layer", "Samples", "make_layers"]

_HEAD = np.array([0.0, -0.05, 0.7])
_WAIST = 0.12
_CROTCH = -0.06
_ARMS = ("shoulder01", "upperarm", "lowerarm", "wrist", "finger", "metacarpal")


@dataclass(frozen=True, eq=False)
class Samples:
    """Where on the mean body samples lie: (N, 3) metres, and (N,) along the arm."""

    canonical: np.ndarray
    arm: np.ndarray  # 0 at the shoulder, 1 at the wrist, below 0 on trunk, head and legs


Paint = Callable[[Samples], tuple[np.ndarray, np.ndarray]]  # sRGB (N, 3), gloss (N,)


@dataclass(frozen=True, eq=False)
class Layer:
    """`keeps`: which samples are there; `paint`: their colour and gloss."""

    name: str
    rest: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    influences: np.ndarray
    faces: np.ndarray
    canonical: np.ndarray
    arm: np.ndarray
    keeps: Callable[[Samples], np.ndarray] | None
    paint: Paint


@dataclass(frozen=True, eq=False)
class _Regions:
    arm: np.ndarray  # (V,) as in Samples
    head: np.ndarray  # (V,) how much the head carries it
    foot: np.ndarray
    hand: np.ndarray
    eyes: np.ndarray  # (V,) bool, the front of the eyes
    inside: np.ndarray  # (F,) bool, faces nobody sees: mouth, backs of the eyes


@lru_cache(maxsize=1)
def _regions(shared: Template) -> _Regions:
    def carried(*prefixes: str) -> np.ndarray:
        bones = [i for i, name in enumerate(shared.bones) if name.startswith(prefixes)]
        return np.where(np.isin(shared.influences, bones), shared.weights, 0).sum(1)

    c = shared.canonical
    armness = carried(*_ARMS)
    path = [np.array([0.162, -0.017, 0.467]), np.array([0.329, -0.021, 0.279])]
    path.append(np.array([0.446, -0.179, 0.164]))
    p = c * [1, 1, 1]
    p[:, 0] = abs(p[:, 0])
    upper, lower = path[1] - path[0], path[2] - path[1]
    lengths = np.linalg.norm(upper), np.linalg.norm(lower)
    along = ((p - path[0]) @ upper) / lengths[0]
    beyond = ((p - path[1]) @ lower) / lengths[1]
    # The side of the chest moves with the arm, but is none.
    aside = np.linalg.norm(p - path[0] - along[:, None] * upper / lengths[0], axis=1)
    armness = np.where((along < lengths[0]) & (aside > 0.078), 0.0, armness)
    arm = np.where(along < lengths[0], along, lengths[0] + np.maximum(beyond, 0)) / sum(lengths)
    arm = np.where(armness > 0.5, np.maximum(arm, 0.0), -1.0 + armness)
    part = _parts(shared)
    eyes = np.isin(part, ("eye_front.L", "eye_front.R"))
    hidden = ("mouth_cavity", "tongue", "eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R")
    inside = np.isin(part, hidden)[shared.faces].all(1)
    return _Regions(
        arm.astype(np.float32),
        carried("head", "neck03"),
        carried("foot", "toe"),
        carried("wrist", "finger", "metacarpal"),
        eyes,
        inside,
    )


def _parts(shared: Template) -> np.ndarray:
    """(V,) names of the parts of the body, by anny's picture of them."""
    import anny
    import yaml
    from PIL import Image

    folder = anny.paths.get_anny_root_dir() / "data" / "segmentation"
    picture = np.asarray(Image.open(folder / "body_parts_segmentation.png").convert("RGB"), int)
    colours = yaml.safe_load((folder / "body_parts_segmentation.yaml").read_text())["colors"]
    side = picture.shape[0]
    x = np.clip((shared.uv[:, 0] * side).astype(int), 0, side - 1)
    y = np.clip(((1 - shared.uv[:, 1]) * side).astype(int), 0, side - 1)
    seen = picture[y, x]
    names = list(colours)
    away = abs(seen[:, None] - np.array([colours[n] for n in names])).sum(-1)
    return np.array(names)[away.argmin(1)]


def _shell(
    name: str,
    body: Body,
    shared: Template,
    outwards: np.ndarray | float,
    superset: np.ndarray,
    keeps: Callable[[Samples], np.ndarray] | None,
    paint: Paint,
    shift: np.ndarray | float = 0.0,
) -> Layer:
    """The body's surface within `superset` (V,) bool, moved `outwards` (V,) metres."""
    out = normals(body.vertices, shared.faces)
    rest = body.vertices + np.broadcast_to(outwards, len(out))[:, None] * out + shift
    there = superset
    if keeps is not None:
        # No more of it: what is not there must not hide what is behind it.
        arm = _regions(shared).arm
        there = superset & keeps(Samples(shared.canonical, arm))
    faces = shared.faces[superset[shared.faces].all(1) & there[shared.faces].any(1)]
    used, faces = np.unique(faces, return_inverse=True)
    return Layer(
        name,
        rest[used].astype(np.float32),
        out[used].astype(np.float32),
        shared.weights[used],
        shared.influences[used],
        faces.reshape(-1, 3).astype(np.int32),
        shared.canonical[used],
        _regions(shared).arm[used],
        keeps,
        paint,
    )


def make_layers(
    random: np.random.Generator,
    body: Body,
    shared: Template,
    *,
    skin: float,
    gender: float,
    loose: float,
    sole: float,
    top: str,
    bottom: str,
    hair: str,
) -> list[Layer]:
    """All of a person, the body first.

    skin in [0, 1] from light to dark; `loose` scales how far clothes stand off; `sole` in metres.
    `top`, `bottom` and `hair` are names of `TOPS`, `BOTTOMS` and `HAIR`.
    """
    shade = _hair_colour(random, skin)
    rim = float(random.choice([-0.765, -0.745, -0.7, -0.66], p=[0.35, 0.35, 0.2, 0.1]))
    layers = [_skin(random, body, shared, skin, shade, hair, gender, rim)]
    layers += _shoes(random, body, shared, sole, rim)
    layers += _clothes(random, body, shared, loose, top, bottom)
    layers += _hair(random, body, shared, hair, shade)
    return layers


_SKINS = np.array(
    [[0.95, 0.8, 0.71], [0.89, 0.7, 0.58], [0.78, 0.58, 0.44], [0.62, 0.43, 0.31],
     [0.45, 0.29, 0.2], [0.3, 0.19, 0.14]]
)  # fmt: skip


def _skin(
    random: np.random.Generator,
    body: Body,
    shared: Template,
    skin: float,
    shade: np.ndarray,
    hair: str,
    gender: float,
    rim: float,
) -> Layer:
    regions = _regions(shared)
    at = skin * (len(_SKINS) - 1)
    low = min(int(at), len(_SKINS) - 2)
    tone = _SKINS[low] * (1 - at + low) + _SKINS[low + 1] * (at - low)
    iris = textures.colour(random, (0.3, 0.7), (0.15, 0.5))
    mottle = textures.noise(random, 8, 4)
    beard = gender < 0.35 and random.uniform() < 0.35
    stubble = random.uniform(0.3, 0.9)
    lips = np.clip(tone * [0.86, 0.6, 0.6], 0, 1)

    def paint(s: Samples) -> tuple[np.ndarray, np.ndarray]:
        c = s.canonical
        n = len(c)
        colour = np.broadcast_to(tone, (n, 3)).astype(np.float32).copy()
        colour *= (0.95 + 0.1 * textures.sample(mottle, 4 * c[:, 0] + c[:, 1], 4 * c[:, 2]))[
            :, None
        ]
        x, y, z = abs(c[:, 0]), c[:, 1], c[:, 2]
        face = (z > 0.6) & (y < -0.06)
        cheek = np.exp(-((x - 0.045) ** 2 + (z - 0.665) ** 2) / 0.0006) * face
        colour *= 1 - cheek[:, None] * [0.0, 0.08, 0.07]
        mouth = (
            face & (x < 0.026) & (abs(z - 0.6305 - 0.6 * x * x) < 0.0085 * (1 - (x / 0.028) ** 2))
        )
        colour[mouth & (y < -0.13)] = lips
        brow = face & (abs(z - 0.7175 - 0.006 * np.sin(x / 0.05 * np.pi)) < 0.0038)
        brow &= (x > 0.012) & (x < 0.05) & (y < -0.09)
        colour[brow] = 0.6 * shade + 0.25 * tone
        eye = (np.hypot(x - 0.0295, z - 0.698) < 0.0165) & (y < -0.1) & face
        lid = eye & (abs(z - 0.698) > 0.0075)
        white = eye & ~lid
        colour[white] = [0.9, 0.88, 0.86]
        from_iris = np.hypot(x - 0.0295, z - 0.698)
        colour[white & (from_iris < 0.0068)] = iris
        colour[white & (from_iris < 0.003)] = 0.03
        if beard:
            where = face & (z < 0.66) & (z > 0.575) & ~mouth & (x > -1)
            where &= (z < 0.622 - 0.3 * (x - 0.03)) | ((z < 0.652) & (z > 0.642) & (x < 0.028))
            colour[where] = stubble * shade + (1 - stubble) * colour[where]
        scalp = _hairy(c, 0.0)
        if hair != "bald":
            colour[scalp] = shade
        gloss = np.where(scalp, 0.05, 0.12).astype(np.float32)
        return colour, gloss

    everywhere = np.ones(len(shared.canonical), bool)

    def keeps(s: Samples) -> np.ndarray:
        return s.canonical[:, 2] > rim - 0.02  # feet are in their shoes

    layer = _shell("skin", body, shared, 0.0, everywhere, None, paint)
    seen = ~regions.inside & (shared.canonical[shared.faces, 2] > rim - 0.02).any(1)
    return replace(layer, faces=shared.faces[seen], keeps=keeps)


def _hairy(canonical: np.ndarray, lower: float) -> np.ndarray:
    """Where hair grows; `lower` metres further down at the sides and the nape."""
    x, y, z = abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    # From the forehead over the temples behind the ears to the nape.
    line = np.interp(y, [-0.16, -0.12, -0.085, -0.055, -0.02, 0.06],
                     [0.768, 0.765, 0.735, 0.69 - lower, 0.66 - lower, 0.625 - lower])  # fmt: skip
    line = line - 0.012 * np.clip(x / 0.05, 0, 1) * (y < -0.11)
    return (z > line) & (z > 0.55)


def _shoes(
    random: np.random.Generator, body: Body, shared: Template, sole: float, rim: float
) -> list[Layer]:
    upper = textures.colour(random, (0.0, 0.6), (0.05, 0.95))
    edge = np.full(3, random.choice([0.92, 0.15, 0.5]))
    accent = edge if random.uniform() < 0.7 else textures.colour(random, (0.2, 0.9), (0.2, 0.9))
    c = shared.canonical

    def paint(s: Samples) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = s.canonical.T
        colour = np.where((z < -0.806)[:, None], edge, upper).astype(np.float32)
        lace = (abs(y + 0.085) < 0.04) & (z > -0.79) & ((y * 90 % 1) < 0.35)
        colour[lace & (abs(abs(x) - 0.175) < 0.02)] = accent
        return colour, np.full(len(z), 0.15, np.float32)

    def keeps(s: Samples) -> np.ndarray:
        return s.canonical[:, 2] < rim

    superset = (c[:, 2] < rim + 0.03) & (c[:, 2] > -0.79)
    superset &= (_regions(shared).arm < 0) & (c[:, 1] > -0.09)
    shaft = _shell("shafts", body, shared, 0.008, superset, keeps, paint)
    return [_last(body, shared, side, sole, paint) for side in ("L", "R")] + [shaft]


def _last(body: Body, shared: Template, side: str, sole: float, paint: Paint) -> Layer:
    """A shoe: rings around the foot from heel to toe, each the hull of what it goes around."""
    rows, columns = 30, 28
    c, v = shared.canonical, body.vertices
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
    flat = rest.reshape(-1, 3)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1], np.roll(index[:-1], -1, 1)
    d, e = index[1:], np.roll(index[1:], -1, 1)
    faces = np.concatenate([np.stack([a, d, b], -1), np.stack([b, d, e], -1)]).reshape(-1, 3)
    bones = np.array([shared.bone(f"foot.{side}"), shared.bone(f"toe2-1.{side}")], np.int32)
    toes = np.repeat(np.clip((np.linspace(0, 1, rows) - 0.62) / 0.2, 0, 1), columns)
    return Layer(
        f"shoe.{side}",
        flat.astype(np.float32),
        normals(flat, faces).astype(np.float32),
        np.stack([1 - toes, toes], -1).astype(np.float32),
        np.tile(bones, (len(flat), 1)),
        faces.astype(np.int32),
        canonical.reshape(-1, 3).astype(np.float32),
        np.full(len(flat), -1, np.float32),
        None,
        paint,
    )


TOPS = ("t-shirt", "long sleeves", "tank top", "hoodie", "jacket", "shirt", "dress")
BOTTOMS = ("trousers", "wide trousers", "shorts", "skirt", "long skirt")
HAIR = ("bald", "buzz", "short", "medium", "long", "bun", "ponytail")


def _clothes(
    random: np.random.Generator, body: Body, shared: Template, loose: float, top: str, bottom: str
) -> list[Layer]:
    layers = []
    tile = textures.cloth(random)
    if top == "dress" and not bottom.endswith("skirt"):
        bottom = str(random.choice(["skirt", "long skirt"]))
    if bottom.endswith("skirt"):
        hem = random.uniform(-0.32, -0.18) if bottom == "skirt" else random.uniform(-0.62, -0.42)
        cloth = tile if top == "dress" else textures.cloth(random)
        # Thighs that rise further than the cone follows look as if its cloth lay on them.
        layers.append(_trousers(random, body, shared, 0.15 * loose, "shorts", cloth, hem=hem))
        layers.append(_skirt(random, body, shared, loose, bottom, cloth, hem))
    else:
        kind = random.choice(["denim", "plain", "plain", "checks"])
        layers.append(_trousers(random, body, shared, loose, bottom, textures.cloth(random, kind)))
    layers += _top(random, body, shared, loose, top, tile)
    if top == "jacket":
        layers += _top(random, body, shared, loose, "open", textures.cloth(random, "plain"))
    return layers


def _folds(random: np.random.Generator, canonical: np.ndarray, amount: float) -> np.ndarray:
    """(V,) metres by which cloth stands off more here and less there, in long soft folds."""
    tile = textures.noise(random, 4, 3)
    c = canonical
    return amount * textures.sample(tile, 2.2 * c[:, 0] + 1.3 * c[:, 1], 0.9 * c[:, 2])


def _fabric(
    random: np.random.Generator, tile: np.ndarray, scale: float = 2.5, gloss: float = 0.03
) -> Paint:
    crease = textures.noise(random, 6, 4)

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
    random: np.random.Generator,
    body: Body,
    shared: Template,
    loose: float,
    kind: str,
    tile: np.ndarray,
    hem: float | None = None,
) -> Layer:
    regions = _regions(shared)
    c = shared.canonical
    if hem is None:
        hem = random.uniform(-0.36, -0.16) if kind == "shorts" else random.uniform(-0.76, -0.7)
    flare = {"wide trousers": random.uniform(0.025, 0.05)}.get(
        kind, random.uniform(0.0, 0.012)
    ) * loose
    down = np.clip((0.02 - c[:, 2]) / (0.02 - hem), 0, 1)
    out = 0.007 + (0.006 + flare * down) * loose + _folds(random, c, 0.008 * loose) * down
    # Between the thighs there is no room.
    inner = np.clip(1 - abs(c[:, 0]) / 0.05, 0, 1) * (c[:, 2] > -0.3)
    out = out * (1 - 0.85 * inner)
    superset = (c[:, 2] < _WAIST + 0.03) & (c[:, 2] > hem - 0.03) & (regions.arm < -0.5)

    def keeps(s: Samples) -> np.ndarray:
        return (s.canonical[:, 2] < _WAIST - 0.02) & (s.canonical[:, 2] > hem)

    return _shell(kind, body, shared, out, superset, keeps, _fabric(random, tile))


def _top(
    random: np.random.Generator,
    body: Body,
    shared: Template,
    loose: float,
    kind: str,
    tile: np.ndarray,
) -> list[Layer]:
    regions = _regions(shared)
    c = shared.canonical
    sleeve = {
        "t-shirt": random.uniform(0.18, 0.45),
        "tank top": -0.2,
        "dress": random.choice([-0.2, 0.3, 0.9]),
    }.get(kind, random.uniform(0.86, 0.96))
    hem = {"dress": 0.0, "tank top": -0.02, "jacket": 0.0}.get(kind, random.uniform(-0.1, 0.02))
    if kind == "open":
        hem = random.uniform(-0.16, 0.0)
    stand = {"hoodie": 0.022, "open": 0.026, "shirt": 0.013}.get(kind, 0.011)
    vee = random.choice([0.0, 0.0, 0.1]) if kind != "hoodie" else 0.0
    neck = 0.575 if kind in ("hoodie", "open", "shirt") else random.uniform(0.525, 0.56)
    strap = random.uniform(0.09, 0.125)
    gap = random.uniform(0.03, 0.09)
    low = np.clip((0.3 - c[:, 2]) / 0.35, 0, 1)
    out: np.ndarray = stand * (0.55 + 0.45 * loose) + (0.012 * low * loose)
    out = out + _folds(random, c, 0.012 * loose)
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

    paint = _fabric(random, tile)
    print_ = random.uniform() < 0.3 and kind in ("t-shirt", "hoodie", "long sleeves")
    badge = textures.colour(random, (0.2, 0.9), (0.3, 1.0))
    size = random.uniform(0.03, 0.08)
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

    whole = _shell(kind, body, shared, out, superset, keeps, painted)
    # Apart, so that the end of a sleeve does not hide the trunk behind it.
    sleeves = (whole.arm[whole.faces] >= 0).all(1)
    return [replace(whole, faces=whole.faces[part]) for part in (~sleeves, sleeves) if part.any()]


def _skirt(
    random: np.random.Generator,
    body: Body,
    shared: Template,
    loose: float,
    kind: str,
    tile: np.ndarray,
    hem: float,
) -> Layer:
    """A cone from the waist around both legs; its cloth follows the thighs half the way."""
    flare = random.uniform(0.02, 0.12) * (0.5 + 0.5 * loose)
    rows, columns = 28, 64
    regions = _regions(shared)
    c, v = shared.canonical, body.vertices
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    ways = np.stack([np.sin(around), -np.cos(around)], axis=-1)
    heights = np.linspace(_WAIST, hem, rows)
    trunk = regions.arm < -0.5
    rest = np.empty((rows, columns, 3))
    canonical = np.empty((rows, columns, 3))
    widest = np.zeros(columns)
    folds = random.uniform(0.3, 1.0) * 0.012 * loose
    count = int(random.integers(5, 12))
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
    flat = rest.reshape(-1, 3)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1], np.roll(index[:-1], -1, 1)
    d, e = index[1:], np.roll(index[1:], -1, 1)
    faces = np.concatenate([np.stack([a, b, d], -1), np.stack([b, e, d], -1)]).reshape(-1, 3)
    left = np.tile(0.5 + 0.5 * np.sin(around) * 0.8, rows)
    thigh = 0.85 * np.repeat(np.clip((_WAIST - 0.1 - heights) / 0.22, 0, 1), columns)
    bones = [shared.bone(n) for n in ("root", "upperleg01.L", "upperleg01.R")]
    weights = np.stack([1 - thigh, thigh * left, thigh * (1 - left)], -1).astype(np.float32)
    influences = np.tile(np.array(bones, np.int32), (len(flat), 1))
    return Layer(
        kind,
        flat.astype(np.float32),
        normals(flat, faces).astype(np.float32),
        weights,
        influences,
        faces.astype(np.int32),
        canonical.reshape(-1, 3).astype(np.float32),
        np.full(len(flat), -1, np.float32),
        None,
        _fabric(random, tile),
    )


def _hair_colour(random: np.random.Generator, skin: float) -> np.ndarray:
    colours = np.array(
        [[0.07, 0.05, 0.04], [0.16, 0.1, 0.06], [0.3, 0.19, 0.1], [0.55, 0.4, 0.2],
         [0.75, 0.6, 0.36], [0.45, 0.2, 0.1], [0.6, 0.6, 0.6]]
    )  # fmt: skip
    likely = (
        np.array([3, 3, 2, 1, 1, 0.5, 0.8]) if skin < 0.45 else np.array([5, 2, 0.5, 0, 0, 0, 0.6])
    )
    return colours[random.choice(len(colours), p=likely / likely.sum())] * random.uniform(
        0.85, 1.15
    )


def _strands(random: np.random.Generator, shade: np.ndarray) -> Paint:
    streak = textures.noise(random, 32, 2)

    def paint(s: Samples) -> tuple[np.ndarray, np.ndarray]:
        d = unit(s.canonical - _HEAD)
        turn = np.arctan2(d[:, 0], d[:, 1])
        light = 0.65 + 0.7 * textures.sample(streak, turn / np.pi * 1.5, 0.08 * d[:, 2])
        return shade * light[:, None], np.full(len(d), 0.1, np.float32)

    return paint


def _hair(
    random: np.random.Generator, body: Body, shared: Template, kind: str, shade: np.ndarray
) -> list[Layer]:
    if kind in ("bald", "buzz"):
        return []
    c = shared.canonical
    thick = {"short": (0.008, 0.02), "medium": (0.018, 0.032), "long": (0.012, 0.024)}.get(
        kind, (0.006, 0.012)
    )
    lower = {"medium": random.uniform(0.03, 0.07), "long": 0.05}.get(kind, 0.0)
    depth = random.uniform(*thick)
    d = unit(c - _HEAD)
    top = np.clip(0.55 + 0.6 * d[:, 2], 0.35, 1.0)
    ragged = textures.sample(textures.noise(random, 8, 3), d[:, 0], d[:, 1])
    out = depth * top * (0.75 + 0.5 * ragged) + 0.003
    superset = _hairy(c, lower + 0.03) | (_hairy(c + [0, 0, 0.02], lower) & (c[:, 2] > 0.58))
    fringe = random.uniform(0.0, 0.022) if random.uniform() < 0.5 else 0.0
    paint = _strands(random, shade)

    def keeps(s: Samples) -> np.ndarray:
        raised = s.canonical + np.where(s.canonical[:, 1:2] < -0.1, [0, 0, fringe], [0.0, 0, 0])
        return _hairy(raised, lower)

    layers = [_shell(f"{kind} hair", body, shared, out, superset, keeps, paint)]
    if kind == "long":
        layers.append(_curtain(random, body, shared, paint))
    elif kind == "bun":
        at = np.array([0.0, 0.055, random.uniform(0.72, 0.8)])
        layers.append(_ball(body, shared, at, np.array([0.04, 0.035, 0.04]), paint))
    elif kind == "ponytail":
        at = np.array([0.0, 0.075, random.uniform(0.6, 0.66)])
        layers.append(
            _ball(body, shared, at, np.array([0.028, 0.03, random.uniform(0.09, 0.15)]), paint)
        )
    return layers


def _to_body(points: np.ndarray, body: Body, shared: Template, carrier: np.ndarray) -> np.ndarray:
    """Places around the mean body's head (N, 3), around this body's."""
    heads = carrier > 0.5
    mean, mine = shared.canonical[heads], body.vertices[heads]
    scale = np.ptp(mine, axis=0) / np.ptp(mean, axis=0)
    return mine.mean(0) + (points - mean.mean(0)) * scale


def _curtain(random: np.random.Generator, body: Body, shared: Template, paint: Paint) -> Layer:
    """Hair that hangs from the back and the sides of the head."""
    rows, columns = 26, 40
    end = random.uniform(0.33, 0.52)
    wide = random.uniform(1.9, 2.3)
    turn = np.linspace(-wide, wide, columns)
    z = np.linspace(0.76, end, rows)
    out = np.interp(-z, [-0.76, -0.7, -0.62, -0.5, -0.3], [0.075, 0.1, 0.1, 0.11, 0.13])
    back = np.interp(-z, [-0.76, -0.7, -0.62, -0.52, -0.3], [0.1, 0.112, 0.1, 0.135, 0.15])
    wave = 0.006 * np.sin(7 * turn + random.uniform(0, 6))
    x = (out[:, None] + wave) * np.sin(turn)
    y = -0.05 + (back[:, None] + wave) * np.cos(turn)
    grid = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], -1).reshape(-1, 3)
    rest = _to_body(grid, body, shared, _regions(shared).head)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, d, e = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.concatenate([np.stack([a, b, d], -1), np.stack([b, e, d], -1)]).reshape(-1, 3)
    on_head = np.clip((grid[:, 2] - 0.5) / 0.14, 0, 1)
    bones = np.array([shared.bone("head"), shared.bone("neck02"), shared.bone("spine01")], np.int32)
    neck = 0.6 * (1 - abs(2 * on_head - 1))
    weights = np.stack([on_head * (1 - neck), neck, (1 - on_head) * (1 - neck)], -1)
    return Layer(
        "long hair, hanging",
        rest.astype(np.float32),
        normals(rest, faces).astype(np.float32),
        weights.astype(np.float32),
        np.tile(bones, (len(grid), 1)),
        faces.astype(np.int32),
        grid.astype(np.float32),
        np.full(len(grid), -1, np.float32),
        None,
        paint,
    )


def _ball(body: Body, shared: Template, at: np.ndarray, radii: np.ndarray, paint: Paint) -> Layer:
    rows, columns = 12, 20
    up = np.linspace(0, np.pi, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    unit_ = np.stack(
        [np.sin(up) * np.cos(turn), np.sin(up) * np.sin(turn), np.cos(up) + 0 * turn], -1
    ).reshape(-1, 3)
    grid = at + unit_ * radii
    rest = _to_body(grid, body, shared, _regions(shared).head)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1], np.roll(index[:-1], -1, 1)
    d, e = index[1:], np.roll(index[1:], -1, 1)
    faces = np.concatenate([np.stack([a, d, b], -1), np.stack([b, d, e], -1)]).reshape(-1, 3)
    return Layer(
        "tied hair",
        rest.astype(np.float32),
        unit_.astype(np.float32),
        np.ones((len(grid), 1), np.float32),
        np.full((len(grid), 1), shared.bone("head"), np.int32),
        faces.astype(np.int32),
        grid.astype(np.float32),
        np.full(len(grid), -1, np.float32),
        None,
        paint,
    )
