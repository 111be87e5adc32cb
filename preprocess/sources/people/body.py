"""A person's body: `anny`'s shape at rest, and where it goes when its bones are turned.

Axes are the model's: x to the person's left, y to the back, z up, in metres; a body faces -y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from preprocess.errors import InputError
from preprocess.sources.people.cached import anny_model
from preprocess.sources.people.rotations import unit

__all__ = ["PHENOTYPES", "Body", "Template", "bone_transforms", "make_body", "normals", "template"]

PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")


@dataclass(frozen=True, eq=False)
class Template:
    """What all bodies share.

    `faces`     (F, 3) int32.
    `uv`        (V, 2) float32, of a vertex's first face; v points up.
    `canonical` (V, 3) float32, the vertices of the mean body at rest: names a place on any body.
    `bones`     names, a parent before its children; `parents` their parents, -1 for the root.
    `weights`, `influences`   (V, K): how much which bones move a vertex.
    `joints`    COCO's body and foot key points by name, as (vertices, weights).
    """

    faces: np.ndarray
    uv: np.ndarray
    canonical: np.ndarray
    bones: tuple[str, ...]
    parents: np.ndarray
    weights: np.ndarray
    influences: np.ndarray
    joints: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def bone(self, name: str) -> int:
        return self.bones.index(name)


@dataclass(frozen=True, eq=False)
class Body:
    """One person's shape at rest: `vertices` (V, 3), `heads` (B, 3) of its bones."""

    vertices: np.ndarray
    heads: np.ndarray

    @property
    def height(self) -> float:
        """Metres, standing without shoes."""
        return float(np.ptp(self.vertices[:, 2]))


@lru_cache(maxsize=1)
def _model() -> tuple[Any, Any]:
    try:
        import preprocess.sources.people.launch  # noqa: F401 - warp begins in silence

        import anny  # isort: skip
        import torch
    except ImportError as error:
        raise InputError(
            f"rendering people needs the extra `people` ({error}): pip install 'idol-video[people]'"
        ) from error
    model = anny_model().to(dtype=torch.float32)
    return model, anny.KeypointsRegressor.coco(model)


def make_body(phenotype: Mapping[str, float]) -> Body:
    """The shape of a person by its phenotype, each of PHENOTYPES in [0, 1].

    Raises InputError where the extra is not installed.
    """
    import torch

    model, _ = _model()
    rest = torch.eye(4)[None, None].repeat(1, len(model.bone_labels), 1, 1)
    with torch.no_grad():
        made = model(pose_parameters=rest, phenotype_kwargs=dict(phenotype))
    return Body(
        made["rest_vertices"][0].numpy().astype(np.float64),
        made["rest_bone_heads"][0].numpy().astype(np.float64),
    )


@lru_cache(maxsize=1)
def template() -> Template:
    """Raises InputError where the extra is not installed."""
    model, regressor = _model()
    faces = model.faces.numpy().astype(np.int32)
    corners = model.face_texture_coordinate_indices.numpy()
    coordinates = model.texture_coordinates.numpy()
    uv = np.zeros((len(model.template_vertices), 2), np.float32)
    uv[faces.ravel()[::-1]] = coordinates[corners.ravel()[::-1]]
    canonical = make_body(dict.fromkeys(PHENOTYPES, 0.5)).vertices.astype(np.float32)
    joints = {}
    for name, row in zip(regressor.labels, regressor.regression_weights.numpy(), strict=True):
        of = np.flatnonzero(np.abs(row) > 1e-6)
        joints[name] = of, row[of].astype(np.float64) / row[of].sum()
    return Template(
        faces,
        uv,
        canonical,
        tuple(model.bone_labels),
        np.array(model.bone_parents),
        model.vertex_bone_weights.numpy().astype(np.float32),
        model.vertex_bone_indices.numpy().astype(np.int32),
        joints,
    )


def bone_transforms(
    heads: np.ndarray, parents: np.ndarray, turns: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where bones go: heads (T, B, 3) in the world, and (T, B, 3, 4) from rest to the world.

    heads: (B, 3) at rest; turns: (T, B, 3, 3), each bone's rotation from rest in the world's axes;
    root: (T, 3), where the root's head goes.
    """
    placed = np.empty((*turns.shape[:2], 3))
    placed[:, 0] = root
    for bone in range(1, len(parents)):
        parent = parents[bone]
        offset = heads[bone] - heads[parent]
        placed[:, bone] = placed[:, parent] + turns[:, parent] @ offset
    moved = placed - np.einsum("tbij,bj->tbi", turns, heads)
    return placed, np.concatenate([turns, moved[..., None]], axis=-1)


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, outwards, of a mesh at rest."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    each = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(total, faces[:, i], each)
    return unit(total)
