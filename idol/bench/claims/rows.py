"""Which rows are compared with which, and what the paper says of each pair."""

from __future__ import annotations

import dataclasses

__all__ = ["CODEC", "DETAILS", "GUIDANCE", "HEADLINE", "SYSTEMS", "Pair", "rows_of", "variant_of"]

GUIDANCE = 1.5
"""Of all rows: that of the paper's model (docs/method.md), not preset tiny's own."""

CODEC = "@autoencoder"
"""After a row's name: on the latents of a small KL autoencoder, in place of patches."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two rows of a table: `other` is `first` and one thing more.

    Attributes:
        table: of the paper.
        first, other: names of variants, with `CODEC` after them where it is meant.
        depth: the paper's depth L2 of both, on TikTok; None where it has none.
        judged: whether a sign is claimed; numbers alone otherwise.
    """

    table: str
    first: str
    other: str
    depth: tuple[float, float] | None
    judged: bool = True


# Five rows, each with what the one before has.
HEADLINE = (
    Pair("Tab. 4", "separate-unets", "shared-unet", (0.0822, 0.0369)),
    Pair("Tab. 4", "shared-unet", "cross-modal-attention", (0.0369, 0.0360)),
    Pair("Tab. 5", "cross-modal-attention", "cross-attention-loss", (0.0360, 0.0351)),
    Pair("Tab. 5", "cross-attention-loss", "idol", (0.0351, 0.0336)),
)

DETAILS = (
    Pair("Tab. 6", "no-pretraining", "hap", (0.0363, 0.0336), judged=False),
    Pair("Tab. 6", "hap", "idol", (0.0336, 0.0336), judged=False),
    Pair("Tab. 8", "average-maps", "cross-attention-loss", (0.0706, 0.0351), judged=False),
    Pair("Tab. 8", "video-maps", "cross-attention-loss", (0.0718, 0.0351), judged=False),
)

# A system of one stream whose latents hold depth needs an autoencoder: so all have its like, and
# with them the parts that the paper's model is shown to work with.
SYSTEMS = tuple(
    Pair("Tab. 1", system + CODEC, "idol" + CODEC, (depth, 0.0336), judged=False)
    for system, depth in (("disco", 0.0975), ("ldm3d", 0.0637), ("mm-diffusion", 0.0367))
) + tuple(
    Pair("Tab. 3", first + CODEC, other + CODEC, depth, judged=False)
    for first, other, depth in (
        ("idol", "animatediff", (0.0336, 0.0350)),
        ("animatediff", "dwpose-animatediff", (0.0350, 0.0245)),
        ("dwpose-animatediff", "dwpose-animatediff-t2i", (0.0245, 0.0195)),
    )
)


def variant_of(row: str) -> str:
    """The variant that a row trains."""
    return row.removesuffix(CODEC)


def rows_of(pairs: tuple[Pair, ...]) -> list[str]:
    """The rows in some pairs, in their order."""
    return list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.other)))
