"""A block is lent until nobody holds any of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shards.stream.ring import Block, block_size

SHAPES = {"rgb": (3, 5), "mask": (7,), "empty": (0,)}


def test_arrays_lie_apart_and_in_the_block() -> None:
    block = Block(block_size(SHAPES))
    arrays = block.arrays(SHAPES)
    for value, array in enumerate(arrays.values()):
        array[...] = value + 1
    assert {name: array.shape for name, array in arrays.items()} == SHAPES
    assert [set(array.ravel().tolist()) for array in arrays.values()] == [{1}, {2}, set()]
    assert all(array.ctypes.data % 64 == 0 for array in arrays.values())


def test_what_a_forked_process_writes_is_seen() -> None:
    block = Block(block_size(SHAPES))
    pid = os.fork()
    if pid == 0:
        block.arrays(SHAPES)["mask"][...] = 9
        os._exit(0)
    os.waitpid(pid, 0)
    assert block.lend(SHAPES, id)["mask"].tolist() == [9] * 7


@pytest.mark.parametrize(
    "hold",
    [
        lambda arrays: arrays,
        lambda arrays: arrays["mask"],
        lambda arrays: arrays["rgb"][1:, ::2].T[..., None],
        lambda arrays: memoryview(arrays["rgb"]),
        lambda arrays: np.broadcast_to(arrays["mask"], (4, 7)),
        lambda arrays: iter(arrays["rgb"]),
    ],
)
def test_it_is_released_once_when_the_last_view_goes(hold: Callable[[Any], Any]) -> None:
    block, released = Block(block_size(SHAPES)), []
    for turn in (1, 2):
        held = hold(block.lend(SHAPES, released.append))
        assert len(released) == turn - 1
        del held
        assert len(released) == turn


@pytest.mark.parametrize(
    "hold",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[1:],
        lambda tensor: tensor.detach(),
        lambda tensor: tensor.untyped_storage(),
        lambda tensor: tensor.T.numpy(),
    ],
)
def test_tensors_hold_it_too(hold: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    block, released = Block(block_size(SHAPES)), []
    held = hold(torch.from_numpy(block.lend(SHAPES, released.append)["rgb"]))
    assert not released
    del held
    assert len(released) == 1
