"""Batches: as many items as the memory holds, fewer when that was too many."""

import pytest
import torch

from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.batching import AT_MOST, ON_CPU, Batches
from preprocess.errors import ClipError, InputError

MIB = 1 << 20


class Network:
    """Doubles items; runs out of memory above `capacity` of them."""

    def __init__(self, capacity=1000):
        self.capacity = capacity
        self.batches = []

    def __call__(self, items):
        self.batches.append(len(items))
        if len(items) > self.capacity:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return [2 * item for item in items]


def on_gpu(batch="auto", free=100 * MIB):
    return Batches(
        Hardware("cuda:1", batch=batch),
        10 * MIB,
        free_memory=lambda device: {"cuda:1": free}[device],
    )


def doubled(count):
    return [2 * item for item in range(count)]


def test_a_number_is_used_as_given():
    network = Network()
    assert Batches(Hardware("cpu", batch=3), MIB).map(network, range(8)) == doubled(8)
    assert network.batches == [3, 3, 2]
    network = Network()
    on_gpu(batch=5, free=0).map(network, range(10))
    assert network.batches == [5, 5]


def test_auto_on_the_cpu_is_a_small_number():
    network = Network()
    assert Batches(Hardware("cpu"), MIB).map(network, range(ON_CPU + 1)) == doubled(ON_CPU + 1)
    assert network.batches == [ON_CPU, 1]


@pytest.mark.parametrize(
    ("free", "size"), [(100 * MIB, 7), (0, 1), (10**15, AT_MOST), (10 * MIB, 1), (29 * MIB, 2)]
)
def test_auto_on_a_gpu_fills_seven_tenths_of_the_free_memory(free, size):
    assert on_gpu(free=free).size == size


def test_free_memory_is_asked_once():
    asked = []

    def free(device):
        asked.append(device)
        return 100 * MIB

    batches = Batches(Hardware("cuda"), 10 * MIB, free_memory=free)
    assert asked == []  # other networks may still be loading
    for _ in range(2):
        batches.map(Network(), range(9))
    assert asked == ["cuda"]


def test_out_of_memory_halves_the_batch_for_good():
    network = Network(capacity=2)
    batches = on_gpu()
    assert batches.map(network, range(9)) == doubled(9)
    assert network.batches == [7, 3, 1, *[1] * 8]
    network.batches.clear()
    assert batches.map(network, range(2)) == doubled(2)
    assert network.batches == [1, 1]


def test_out_of_memory_later_on_repeats_only_that_batch():
    network = Network(capacity=4)
    batches = on_gpu(free=60 * MIB)  # 4 at once
    batches.map(network, range(4))
    network.capacity = 2
    network.batches.clear()
    assert batches.map(network, range(6)) == doubled(6)
    assert network.batches == [4, 2, 2, 2]


def test_too_little_memory_says_what_to_do():
    with pytest.raises(InputError, match=r"1 at once is too much .* cuda:1: use --device cpu"):
        on_gpu().map(Network(capacity=0), range(9))
    with pytest.raises(InputError, match=r"5 at once is too much .*: use --batch auto"):
        on_gpu(batch=5).map(Network(capacity=4), range(9))


def test_one_item_too_many_fails_its_clip_alone_where_others_had_room():
    network, batches = Network(capacity=1), on_gpu()
    batches.map(network, range(2))
    network.capacity = 0
    with pytest.raises(ClipError, match=r"1 at once is too much .* cuda:1"):
        batches.map(network, range(2))
    network, batches = Network(), on_gpu(batch=5)
    batches.map(network, range(5))
    network.capacity = 4
    with pytest.raises(InputError, match=r"5 at once is too much .*: use --batch auto"):
        batches.map(network, range(5))


def test_other_errors_are_not_touched():
    def broken(items):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        on_gpu().map(broken, range(3))


def test_nothing_to_do_and_nothing_wanted():
    assert on_gpu().map(Network(), []) == []
    with pytest.raises(InputError, match="a batch of 0"):
        Batches(Hardware("cpu", batch=0), MIB)


@pytest.mark.gpu
def test_on_a_real_gpu_every_item_comes_through():
    """Items that take twice what they say: whatever happens, all results are there."""
    free, _ = torch.cuda.mem_get_info("cuda")
    size = free // 12

    def forward(items):
        held = torch.zeros(2 * size * len(items), dtype=torch.uint8, device="cuda")
        return [item + int(held[0]) for item in items]

    assert Batches(Hardware("cuda"), size).map(forward, range(20)) == list(range(20))
