from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from shards.stream.recycle import Recycler

SHAPES = {"rgb": (4, 5), "mask": (4,)}


def addresses(arrays: dict[str, np.ndarray]) -> list[int]:
    return [array.ctypes.data for array in arrays.values()]


def test_memory_that_nobody_holds_is_used_again() -> None:
    memory = Recycler()
    first = memory.take(SHAPES)
    assert {name: array.shape for name, array in first.items()} == SHAPES
    was = addresses(first)
    del first
    assert addresses(memory.take(SHAPES)) == was


@pytest.mark.parametrize("hold", [lambda a: a, lambda a: a["rgb"][1:, ::2], lambda a: a["mask"].T])
def test_memory_that_is_held_in_any_way_is_left_alone(hold: object) -> None:
    memory = Recycler(keep=1)
    held = hold(memory.take(SHAPES))  # type: ignore[operator]
    for _ in range(5):
        other = memory.take(SHAPES)
        for array in other.values():
            array[...] = 7
    kept = held.values() if isinstance(held, dict) else [held]
    assert not any(np.shares_memory(a, b) for a in kept for b in other.values())


def test_tensors_hold_it_too() -> None:
    torch = pytest.importorskip("torch")
    memory = Recycler()
    tensor = torch.from_numpy(memory.take(SHAPES)["rgb"])[0]
    assert tensor.data_ptr() not in addresses(memory.take(SHAPES))


def test_other_shapes_get_other_memory() -> None:
    memory = Recycler()
    memory.take(SHAPES)
    assert memory.take({"rgb": (2, 5), "mask": (2,)})["rgb"].shape == (2, 5)


def test_threads_never_get_the_same_memory() -> None:
    memory = Recycler(keep=8)

    def use(number: int) -> bool:
        arrays = memory.take(SHAPES)
        for array in arrays.values():
            array[...] = number
        return all((array == number).all() for array in arrays.values())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(256)))
