"""Clips that wait for their shard: found by name, given whole or not at all."""

import pytest

from shards.files.storage import Store
from shards.waiting import ClipsLost, WaitingClips

KEYS = [f"k-a-{i}" for i in range(12)]


def members(place):
    return [(f"{KEYS[place]}.json", b"{}"), (f"{KEYS[place]}.rgb.000.jpg", b"%d" % place * 99)]


def keep(waiting, *places, shard=0):
    waiting.keep("train", shard, {place: members(place) for place in places})


@pytest.fixture(params=["local", "memory"])
def waiting(request, tmp_path, memory_url):
    return WaitingClips(Store.at(tmp_path if request.param == "local" else memory_url), "f" * 64)


def test_places_are_found_without_reading(waiting):
    keep(waiting, 5)
    keep(waiting, 0, 1, 2, 7)
    keep(waiting, 3, shard=1)
    assert waiting.find_all() == {("train", 0): {0, 1, 2, 5, 7}, ("train", 1): {3}}
    assert waiting.find("train", 2) == frozenset()


def test_clips_come_in_order_whatever_they_were_kept_with(waiting):
    keep(waiting, 5, 6)
    keep(waiting, 0, 7, 2)
    keep(waiting, 2, 5, 1)
    places = {0, 1, 2, 5, 7}
    assert list(waiting.read("train", 0, KEYS, places)) == [
        (KEYS[place], members(place)) for place in sorted(places)
    ]


def test_what_is_damaged_is_forgotten_and_the_rest_kept(waiting):
    keep(waiting, 0, 1)
    keep(waiting, 2)
    keep(waiting, 3, 4)
    folder = f".waiting/{'f' * 64}/train-shard-00000"
    first, second, _ = waiting.dataset.list(folder)
    waiting.dataset.write_bytes(f"{folder}/{first}", b"")
    waiting.dataset.write_bytes(
        f"{folder}/{second}", waiting.dataset.read(f"{folder}/{second}")[:-512]
    )
    with pytest.raises(ClipsLost, match="train/shard-00000"):
        list(waiting.read("train", 0, KEYS, {0, 1, 2, 3, 4}))
    assert waiting.find("train", 0) == {3, 4}
    assert [key for key, _ in waiting.read("train", 0, KEYS, {3, 4})] == KEYS[3:5]


def test_a_file_of_other_clips_than_its_name_says_is_forgotten(waiting):
    waiting.keep("train", 0, {0: members(1)})
    with pytest.raises(ClipsLost):
        list(waiting.read("train", 0, KEYS, {0}))
    assert waiting.find("train", 0) == frozenset()


@pytest.mark.parametrize("name", ["x", "0-x", "9999999999", "0-99999999999", "-1", "0_", "²"])
def test_names_of_others_are_no_clips(waiting, name):
    waiting.dataset.write_bytes(f".waiting/{'f' * 64}/train-shard-00000/{name}.{'0' * 64}.tar", b"")
    assert all(place >= 0 for place in waiting.find("train", 0))
    with pytest.raises(ClipsLost):
        list(waiting.read("train", 0, KEYS, {0}))


def test_dropped_clips_are_gone(waiting):
    keep(waiting, 0)
    keep(waiting, 1, shard=1)
    waiting.drop("train", 0)
    assert waiting.find_all() == {("train", 1): {1}}
    waiting.drop_all()
    assert waiting.find_all() == {}
