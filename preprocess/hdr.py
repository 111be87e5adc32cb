"""HDR and wide-gamut pictures as a display of standard range shows them.

Light of BT.2100 (PQ or HLG) becomes nits, BT.2390's curve brings what is brighter than the
reference white down to it, and BT.2087's matrix the colours from BT.2020's primaries to BT.709's.
All numbers are fixed: what a picture becomes depends on the picture alone, and a video does not
flicker.
"""

from functools import lru_cache

import cv2
import numpy as np

__all__ = [
    "HLG",
    "PQ",
    "hlg_light",
    "needs_conversion",
    "pq_code",
    "pq_nits",
    "rolled_off",
    "to_bt709",
]

# Transfer functions and primaries as ITU-T H.273 numbers them.
PQ, HLG = 16, 18
_BT709, _BT2020, _P3_DCI, _P3_D65 = 1, 9, 11, 12

# What phones grade for; brighter PQ is shown as bright as this.
_PEAK = 1000.0
# BT.2408's reference white, here the white of the display.
_WHITE = 203.0
_HLG_GAMMA = 1.2  # BT.2100's for a peak of 1000 nits
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)

_CHROMATICITIES = {
    _BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    _BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    _P3_DCI: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    _P3_D65: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)

_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * np.log(4 * _A)


def to_bt709(codes: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """(H, W, 3) uint8 for a display of BT.709 of (H, W, 3) uint16 R'G'B', 65535 the highest code.

    `transfer` and `primaries` are H.273's numbers. Transfers other than PQ and HLG are taken to be
    of standard range; primaries that are not known, to be BT.2020's for PQ and HLG, else BT.709's.
    """
    if transfer == PQ:
        light = _pq_table()[codes]
        light *= _roll_off(light)[..., None]
    elif transfer == HLG:
        light = hlg_light(codes)
        light *= _roll_off(light)[..., None]
    else:
        light = _standard_table()[codes]
    known = primaries if primaries in _CHROMATICITIES else None
    if known is None:
        known = _BT2020 if transfer in (PQ, HLG) else _BT709
    if known != _BT709:
        light = cv2.transform(light, _to_bt709(known))
    # The root spreads the steps of the table as the eye does.
    steps = np.sqrt(np.clip(light, 0, 1)) * _STEPS + 0.5
    return _display_table()[steps.astype(np.uint16)]


def needs_conversion(transfer: int, primaries: int) -> bool:
    """Whether a display of BT.709 would show the picture's numbers wrongly."""
    return transfer in (PQ, HLG) or primaries in (_BT2020, _P3_DCI, _P3_D65)


def pq_nits(signal: np.ndarray) -> np.ndarray:
    """BT.2100 table 4, the EOTF of PQ: nits in [0, 10000] of a signal in [0, 1]."""
    power = np.maximum(signal, 0) ** (1 / _M2)
    return 10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def pq_code(nits: np.ndarray) -> np.ndarray:
    """The inverse of `pq_nits`."""
    power = (np.maximum(nits, 0) / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def hlg_light(codes: np.ndarray) -> np.ndarray:
    """BT.2100 table 5, the EOTF of HLG at a peak of 1000 nits: of white 1, as the others here.

    `codes` is (H, W, 3) uint16.
    """
    scene = _hlg_table()[codes]
    luminance = np.maximum(cv2.transform(scene, _LUMINANCE[None]), 1e-9)
    gain = luminance.reshape(scene.shape[:2]) ** np.float32(_HLG_GAMMA - 1)
    return scene * (gain * np.float32(_PEAK / _WHITE))[..., None]


def rolled_off(nits: np.ndarray) -> np.ndarray:
    """BT.2390's EETF from a peak of 1000 nits to one of 203: nits of nits, black at 0."""
    peak = float(pq_code(np.array(_PEAK)))
    most = float(pq_code(np.array(_WHITE))) / peak
    knee = 1.5 * most - 0.5
    signal = np.minimum(pq_code(nits) / peak, 1)
    t = (signal - knee) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_nits(np.where(signal < knee, signal, spline) * peak)


_STEPS = 4095


def _roll_off(light: np.ndarray) -> np.ndarray:
    """What each pixel of (H, W, 3) light is multiplied by, white being 1: hues stay."""
    brightest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
    places = np.sqrt(brightest) * (_STEPS / _MOST_ROOT) + 0.5
    return np.take(_gains(), places.astype(np.uint16))


# The root of the brightest light there is, 10000 nits.
_MOST_ROOT = (10000 / _WHITE) ** 0.5


@lru_cache(maxsize=1)
def _gains() -> np.ndarray:
    """By the root of the brightest channel."""
    nits = np.linspace(1e-3, _MOST_ROOT, _STEPS + 1) ** 2 * _WHITE
    return (rolled_off(nits) / nits).astype(np.float32)


@lru_cache(maxsize=1)
def _pq_table() -> np.ndarray:
    return (pq_nits(np.linspace(0, 1, 65536)) / _WHITE).astype(np.float32)


@lru_cache(maxsize=1)
def _hlg_table() -> np.ndarray:
    """Scene light in [0, 1], by the inverse of BT.2100's OETF."""
    signal = np.linspace(0, 1, 65536)
    bright = (np.exp((np.maximum(signal, 0.5) - _C) / _A) + _B) / 12
    return np.where(signal <= 0.5, signal**2 / 3, bright).astype(np.float32)


@lru_cache(maxsize=1)
def _standard_table() -> np.ndarray:
    signal = np.linspace(0, 1, 65536)
    light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _display_table() -> np.ndarray:
    """Eight bits of sRGB, by the root of the light."""
    light = np.linspace(0, 1, _STEPS + 1) ** 2
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * signal).astype(np.uint8)


@lru_cache(maxsize=4)
def _to_bt709(primaries: int) -> np.ndarray:
    matrix = np.linalg.inv(_xyz(_BT709)) @ _xyz(primaries)
    return matrix.astype(np.float32)


def _xyz(primaries: int) -> np.ndarray:
    """The 3 x 3 matrix from linear RGB to XYZ, white of D65 being (1, 1, 1)."""
    x, y = np.array(_CHROMATICITIES[primaries]).T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    white = np.array([_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]])
    return columns * np.linalg.solve(columns, white)
