from __future__ import annotations

import numpy as np

from shards.sample.colormap import depth_to_hot, hot_to_depth
from shards.sample.encodings import HOT_DEPTH, is_hot


def test_the_table_and_the_colour_map_agree() -> None:
    depth = np.linspace(0, 1, 300 * 300, dtype=np.float32).reshape(1, 300, 300)
    hot = HOT_DEPTH.to_stored(depth)
    np.testing.assert_array_equal(hot, depth_to_hot(depth))
    np.testing.assert_array_equal(HOT_DEPTH.from_stored(hot), hot_to_depth(hot)[0])
    np.testing.assert_allclose(HOT_DEPTH.from_stored(hot), depth, rtol=0, atol=7.5e-4)


def test_colours_of_the_map_are_told_from_others() -> None:
    assert is_hot(depth_to_hot(np.linspace(0, 1, 10**5, dtype=np.float32))).all()
    strangers = [(0, 0, 0), (9, 0, 0), (100, 1, 0), (254, 9, 0), (255, 254, 1), (0, 0, 255)]
    assert not is_hot(np.array(strangers, np.uint8)).any()
