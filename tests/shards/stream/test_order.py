from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.stream.order import BLOCK, Order, SourceOrder, samples_in_block
from shards.stream.random import Draws, permutation

counts_of_shards = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)


@given(counts_of_shards, st.integers(0, 2**40), st.integers(0, 5), st.integers(1, 5))
def test_an_epoch_holds_every_clip_once(
    counts: list[int], seed: int, epoch: int, window: int
) -> None:
    order = SourceOrder(tuple(counts), seed, window=window)
    places = [order.at(epoch, index) for index in range(order.size)]
    clips = sorted((place.shard, place.clip) for place in places)
    assert clips == [(shard, clip) for shard, n in enumerate(counts) for clip in range(n)]


@given(counts_of_shards, st.integers(0, 9), st.integers(0, 10**6))
def test_a_place_does_not_depend_on_what_was_asked_before(
    counts: list[int], seed: int, turn: int
) -> None:
    used = SourceOrder(tuple(counts), seed)
    for other in range(20):
        used.place(other)
    assert used.place(turn) == SourceOrder(tuple(counts), seed).place(turn)


@given(counts_of_shards, st.integers(1, 4))
def test_reads_stay_within_a_window_of_shards(counts: list[int], window: int) -> None:
    order = SourceOrder(tuple(counts), 3, window=window)
    seen: list[int] = []  # shards in the order of their first use
    last_use: dict[int, int] = {}
    for index in range(order.size):
        shard = order.at(0, index).shard
        seen += [shard] if shard not in seen else []
        last_use[shard] = index
    first_use = {s: next(i for i in range(order.size) if order.at(0, i).shard == s) for s in seen}
    for index in range(order.size):
        in_use = sum(first_use[s] <= index <= last_use[s] for s in seen)
        assert in_use <= window


def test_epochs_and_seeds_differ_and_shards_are_mixed() -> None:
    order = SourceOrder((10,) * 8, 0, window=4)
    epochs = [[order.at(e, i) for i in range(80)] for e in range(2)]
    shuffled = [[(p.shard, p.clip) for p in places] for places in epochs]
    other = SourceOrder((10,) * 8, 1, window=4)
    assert shuffled[0] != shuffled[1] != [(other.at(0, i).shard, 0) for i in range(80)]
    assert len({p.shard for p in epochs[0][:12]}) > 2


def test_an_epoch_as_stored() -> None:
    order = SourceOrder((2, 0, 3), 0, shuffled=False)
    places = [order.place(i) for i in range(7)]
    assert [(p.shard, p.clip) for p in places[:5]] == [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]
    assert [(p.epoch, p.index) for p in places[4:]] == [(0, 4), (1, 0), (1, 1)]


def test_sources_are_mixed_by_weight_each_without_gap_or_repeat() -> None:
    sources = (SourceOrder((7, 6), 0, 0), SourceOrder((100, 23), 0, 1), SourceOrder((1,), 0, 2))
    order = Order(sources, 0, samples_in_block((0.5, 0.3, 0.2)))
    places = [order.place(position) for position in range(2 * BLOCK)]
    assert Counter(p.source for p in places) == {0: BLOCK, 1: 0.6 * BLOCK, 2: 0.4 * BLOCK}
    for number, source in enumerate(sources):
        turns = [p.epoch * source.size + p.index for p in places if p.source == number]
        assert turns == list(range(len(turns)))
    # Close to the weights all along, not only in the end.
    assert Counter(p.source for p in places[:1000])[0] == pytest.approx(500, abs=60)
    assert order.place(BLOCK + 17) == places[BLOCK + 17]


def test_shares_sum_to_the_block_and_are_checked() -> None:
    assert samples_in_block((1, 1, 1), block=10) == (4, 3, 3)
    assert samples_in_block((3, 1), block=100) == (75, 25)
    for weights in ((1, 0), (1, -1), (1, float("nan"))):
        with pytest.raises(ValueError, match="positive"):
            samples_in_block(weights)
    with pytest.raises(ValueError, match="less than one"):
        samples_in_block((1, 1e-9))


def test_a_stand_in_is_the_next_of_the_epoch_and_after_the_last_comes_the_first() -> None:
    source = SourceOrder((3, 2), 0)
    order = Order((source,), 0)
    assert order.stand_in(order.place(2), 1) == source.at(0, 3)
    assert order.stand_in(order.place(4), 1) == source.at(0, 0)


def test_deep_into_ten_thousand_shards_every_place_in_a_shard_is_drawn() -> None:
    order = SourceOrder((64,) * 10_000, 0)
    places = [order.place(turn).clip for turn in range(10**9, 10**9 + 1000)]
    assert len(set(places)) == 64


def test_draws_are_known_numbers() -> None:
    # Were these to change, runs that are resumed would no longer repeat themselves.
    draws = Draws(1, "window", 0, 2, 3)
    assert [draws.integer(0, 999) for _ in range(4)] == [208, 58, 458, 318]
    assert permutation(8, 1, "clips", 0).tolist() == [4, 2, 0, 7, 5, 1, 6, 3]


def test_draws_are_uniform() -> None:
    values = np.array([Draws("u", i).uniform() for i in range(4000)])
    assert np.histogram(values, 4, (0, 1))[0] == pytest.approx(1000, abs=120)
    firsts = Counter(int(permutation(4, i)[0]) for i in range(4000))
    assert list(firsts.values()) == pytest.approx([1000] * 4, abs=120)
