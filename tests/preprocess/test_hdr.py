"""HDR as the recommendations have it: numbers from BT.2100, BT.2390, BT.2408 and BT.2087."""

import numpy as np
import pytest

from preprocess.hdr import HLG, PQ, hlg_light, pq_code, pq_nits, rolled_off, to_bt709

BT709, BT2020 = 1, 9
FULL = 65535


def codes(*signals):
    """A picture of one row whose pixels are these signals, grey or R'G'B', in [0, 1]."""
    pixels = [np.broadcast_to(signal, 3) for signal in signals]
    return np.round(np.array([pixels]) * FULL).astype(np.uint16)


def test_pq_of_known_levels():
    """BT.2408 table 1: 58 % is the reference white of 203 nits, 75 % is 983; 1 is 10000."""
    assert pq_nits(np.array([0, 0.58, 0.75, 1.0])) == pytest.approx([0, 203, 983, 10000], rel=0.01)
    nits = np.geomspace(0.01, 10000, 50)
    assert pq_nits(pq_code(nits)) == pytest.approx(nits, rel=1e-6)


def test_hlg_of_known_levels():
    """BT.2408 table 1: at a peak of 1000 nits 75 % is 203, and 38 % grey card is 26."""
    light = hlg_light(codes(0, 0.38, 0.75, 1))[0, :, 0] * 203
    assert light == pytest.approx([0, 26, 203, 1000], rel=0.015, abs=1e-3)


def test_the_curve_keeps_dark_and_brings_the_peak_to_white():
    nits = np.array([0, 1, 20, 80, 203, 500, 1000, 4000])
    shown = rolled_off(nits)
    assert shown[:4] == pytest.approx(nits[:4], rel=1e-6)
    assert (np.diff(shown) >= 0).all()
    assert (shown[4:] <= nits[4:]).all()
    assert shown[-2:] == pytest.approx([203, 203], rel=1e-3)
    # By hand from BT.2390: 203 nits, at .7723 of the peak's code with the knee at .6585.
    assert shown[4] == pytest.approx(160, abs=2)


def display(nits):
    """Eight bits of a grey of so many nits, white being 203: sRGB's curve."""
    light = nits / 203
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("nits", [0.5, 5, 26, 80])
def test_greys_below_the_knee_are_shown_as_bright_as_they_are(nits):
    (pixel,) = to_bt709(codes(pq_code(np.float64(nits))), PQ, BT2020)[0]
    assert pixel == pytest.approx([display(nits)] * 3, abs=1.01)


def test_pq_and_hlg_of_the_same_light_look_the_same():
    hlg = codes(*np.linspace(0.05, 1, 12))
    nits = hlg_light(hlg)[0, :, 0].astype(float) * 203
    pq = codes(*pq_code(nits))
    one, other = to_bt709(hlg, HLG, BT2020), to_bt709(pq, PQ, BT2020)
    assert np.abs(one.astype(int) - other).max() <= 1


def test_colours_of_bt709_survive_bt2020():
    """A colour of BT.709, carried in BT.2020 by BT.2087's matrix, is shown as it was."""
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    light = np.array([[40, 8, 8], [8, 40, 8], [8, 8, 40], [30, 30, 5]], float)  # nits
    carried = codes(*pq_code(light @ to_2020.T))
    expected = [[display(channel) for channel in pixel] for pixel in light]
    assert np.abs(to_bt709(carried, PQ, BT2020)[0] - np.array(expected)).max() < 1.6


def test_hues_stay_where_the_curve_bends():
    """Twice as bright is less than twice as bright, in all channels alike."""
    light = np.array([[900, 450, 225]], float)
    shown = to_bt709(codes(*pq_code(light)), PQ, BT709)[0, 0] / 255.0
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    assert linear / linear[0] == pytest.approx([1, 0.5, 0.25], abs=0.01)


def test_wide_gamut_of_standard_range_changes_primaries_alone():
    grey = codes(0.2, 0.5, 0.9)
    assert to_bt709(grey, 1, BT2020)[0, :, 0] == pytest.approx([51, 127.5, 229.5], abs=1)
    red = to_bt709(codes((0.6, 0.3, 0.3)), 1, 12)[0, 0]
    assert red[0] > 0.6 * 255
    assert red[1] < 0.3 * 255
