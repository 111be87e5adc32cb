"""Skin and faces: tones, eyes, brows, lips, beards, and the scalp under the hair."""

from dataclasses import replace

import numpy as np

from preprocess.sources.people import textures
from preprocess.sources.people.hair import hairy
from preprocess.sources.people.layers import Layer, Samples, Wearer, shell

__all__ = ["skin_layer"]

_SKINS = np.array(
    [[0.95, 0.8, 0.71], [0.89, 0.7, 0.58], [0.78, 0.58, 0.44], [0.62, 0.43, 0.31],
     [0.45, 0.29, 0.2], [0.3, 0.19, 0.14]]
)  # fmt: skip


def skin_layer(
    wearer: Wearer,
    skin: float,
    shade: np.ndarray,
    hair: str,
    gender: float,
    rim: float,
) -> Layer:
    regions = wearer.regions
    at = skin * (len(_SKINS) - 1)
    low = min(int(at), len(_SKINS) - 2)
    tone = _SKINS[low] * (1 - at + low) + _SKINS[low + 1] * (at - low)
    iris = textures.colour(wearer.random, (0.3, 0.7), (0.15, 0.5))
    mottle = textures.noise(wearer.random, 8, 4)
    beard = gender < 0.35 and wearer.random.uniform() < 0.35
    stubble = wearer.random.uniform(0.3, 0.9)
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
            where = face & (z < 0.66) & (z > 0.575) & ~mouth
            where &= (z < 0.622 - 0.3 * (x - 0.03)) | ((z < 0.652) & (z > 0.642) & (x < 0.028))
            colour[where] = stubble * shade + (1 - stubble) * colour[where]
        scalp = hairy(c, 0.0)
        if hair != "bald":
            colour[scalp] = shade
        gloss = np.where(scalp, 0.05, 0.12).astype(np.float32)
        return colour, gloss

    everywhere = np.ones(len(wearer.shared.canonical), bool)

    def keeps(s: Samples) -> np.ndarray:
        return s.canonical[:, 2] > rim - 0.02  # feet are in their shoes

    layer = shell(wearer, "skin", 0.0, everywhere, None, paint)
    seen = ~regions.inside & (wearer.shared.canonical[wearer.shared.faces, 2] > rim - 0.02).any(1)
    return replace(layer, faces=wearer.shared.faces[seen], keeps=keeps)
