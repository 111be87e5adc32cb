"""The patches that preset tiny takes for latents: their sizes, and what is known of their values.

Numbers of `idol.encoders.PatchCodec`, which configurations need and which are known without it.
"""

import math

from idol.config.checks import ConfigError

__all__ = ["PATCH", "PATCHES", "channels_of", "far_of", "patch_of", "spread_of"]

PATCH = 4
"""Pixels of the side of a patch unless told otherwise."""
PATCHES = (4, 8)
"""Those that there are."""

# In each channel (16 of lightness, 16 and 16 of two differences of colours) the root mean square of
# frames minus background and depth minus white, over the demo's training clips at 64x64 pixels.
_COARSE = (
    *(1.99, 0.738, 0.347, 0.175, 0.463, 0.308, 0.198, 0.122),
    *(0.216, 0.16, 0.122, 0.0892, 0.103, 0.0871, 0.0732, 0.0622),
    *(0.782, 0.32, 0.155, 0.0776, 0.184, 0.129, 0.0853, 0.0558),
    *(0.0883, 0.0666, 0.0506, 0.0394, 0.0405, 0.0356, 0.0305, 0.0262),
    *(0.395, 0.156, 0.0751, 0.0377, 0.091, 0.0625, 0.0407, 0.0267),
    *(0.0421, 0.0323, 0.0248, 0.0192, 0.0199, 0.0176, 0.0152, 0.0132),
)
# The 144 more of patches of 8x8, over 64 rendered people at 128x128 pixels.
_FINE = (
    *(0.151, 0.106, 0.0876, 0.076, 0.1, 0.0744, 0.0642, 0.0564),
    *(0.0744, 0.0591, 0.0524, 0.0493, 0.0573, 0.0481, 0.0439, 0.0418),
    *(0.0919, 0.0744, 0.0642, 0.0556, 0.0527, 0.0451, 0.0423, 0.0395),
    *(0.069, 0.0547, 0.0481, 0.0428, 0.042, 0.0357, 0.0337, 0.0331),
    *(0.0596, 0.0482, 0.0417, 0.0378, 0.0369, 0.0327, 0.0315, 0.0302),
    *(0.0526, 0.0435, 0.0384, 0.0346, 0.0343, 0.0309, 0.0299, 0.029),
    *(0.0834, 0.0566, 0.0479, 0.0421, 0.0568, 0.042, 0.0371, 0.0339),
    *(0.0427, 0.0332, 0.0306, 0.0297, 0.0324, 0.0271, 0.0255, 0.0249),
    *(0.0439, 0.0388, 0.035, 0.0313, 0.0308, 0.0263, 0.0247, 0.0241),
    *(0.0318, 0.0273, 0.0255, 0.0234, 0.024, 0.0206, 0.0197, 0.0197),
    *(0.028, 0.0241, 0.022, 0.0211, 0.0214, 0.0186, 0.0181, 0.018),
    *(0.0251, 0.0218, 0.0205, 0.0193, 0.0196, 0.0178, 0.0175, 0.0173),
    *(0.0388, 0.0267, 0.0224, 0.0189, 0.0264, 0.0195, 0.0166, 0.0148),
    *(0.0193, 0.0154, 0.0136, 0.0126, 0.0148, 0.0125, 0.0114, 0.0107),
    *(0.0228, 0.0192, 0.0166, 0.0145, 0.0141, 0.0118, 0.011, 0.0102),
    *(0.0167, 0.0138, 0.0123, 0.0111, 0.011, 0.00935, 0.00884, 0.00869),
    *(0.0148, 0.0124, 0.0109, 0.00984, 0.0096, 0.00846, 0.00807, 0.00782),
    *(0.014, 0.0111, 0.00979, 0.00893, 0.00879, 0.00794, 0.00777, 0.00749),
)


def channels_of(patch: int) -> int:
    """Channels of a latent: the values of a patch."""
    return 3 * patch**2


def patch_of(channels: int) -> int:
    """Pixels of a patch's side, by the channels of a latent.

    Raises:
        ConfigError: there is no such patch.
    """
    patch = math.isqrt(channels // 3)
    if patch not in PATCHES or channels_of(patch) != channels:
        there = " or ".join(f"{channels_of(p)} channels ({p}x{p} pixels)" for p in PATCHES)
        raise ConfigError(f"latents of {channels} channels are no patches of preset tiny: {there}")
    return patch


def spread_of(patch: int) -> tuple[float, ...]:
    """`DualModalUNetConfig.change_spread` of patches of that size."""
    return (*_COARSE, *_FINE)[: channels_of(patch)]


def far_of(patch: int) -> tuple[float, ...]:
    """`DualModalUNetConfig.far_latent`, which is white."""
    return (channels_of(PATCH) ** 0.5, *[0.0] * (channels_of(patch) - 1))
