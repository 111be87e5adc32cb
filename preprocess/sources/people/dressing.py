"""All that a person looks like, as layers."""

from preprocess.sources.people.clothes import clothes_layers
from preprocess.sources.people.hair import hair_colour, hair_layers
from preprocess.sources.people.layers import Layer, Wearer
from preprocess.sources.people.shoes import shoe_layers
from preprocess.sources.people.skin import skin_layer

__all__ = ["make_layers"]


def make_layers(
    wearer: Wearer,
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
    shade = hair_colour(wearer, skin)
    rim = float(wearer.random.choice([-0.765, -0.745, -0.7, -0.66], p=[0.35, 0.35, 0.2, 0.1]))
    return [
        skin_layer(wearer, skin, shade, hair, gender, rim),
        *shoe_layers(wearer, sole, rim),
        *clothes_layers(wearer, loose, top, bottom),
        *hair_layers(wearer, hair, shade),
    ]
