from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.sample.keys import check_key, make_key, parse_key

TEXT = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too: they are file names
KEY_CHARACTERS = set(string.ascii_letters + string.digits + "_%~-")


@given(TEXT, TEXT, st.integers(0, 10**9))
def test_any_ids_make_a_safe_key_that_gives_them_back(dataset: str, video: str, first: int) -> None:
    key = make_key(dataset, video, first)
    assert set(key) <= KEY_CHARACTERS  # no dots, slashes, spaces: one plain name
    assert len(key) <= 150
    if "~" not in key:
        assert parse_key(key) == (dataset, video, first)
    assert parse_key(key)[2] == first


LONG = st.text(st.sampled_from("a-~%.舞"), max_size=60)


@given(*[st.tuples(LONG, LONG, st.integers(0, 20))] * 2)
def test_distinct_ids_have_distinct_keys(one: tuple, two: tuple) -> None:
    assert (make_key(*one) == make_key(*two)) == (one == two)


def test_an_id_too_long_for_a_file_name_is_cut_and_ends_in_its_checksum() -> None:
    key = make_key("videos", "舞" * 80, 16)
    digest = hashlib.sha256(b"%E8%88%9E" * 80).hexdigest()[:12]
    assert key == f"videos-{'%E8%88%9E' * 9}%E8%88~{digest}-16"
    assert parse_key(key) == ("videos", f"{'%E8%88%9E' * 9}%E8%88~{digest}", 16)
    assert make_key("videos", "a" * 100, 0) == f"videos-{'a' * 100}-0"  # just short enough
    assert "~" not in make_key("videos", f"a~{'0' * 12}", 0)  # an id cannot pass for a cut one


def test_plain_ids_stay_readable() -> None:
    assert make_key("tiktok", "00337", 48) == "tiktok-00337-48"
    assert make_key("videos", "my clip.v2/a", 0) == "videos-my%20clip%2Ev2%2Fa-0"


def test_dashes_do_not_make_keys_collide() -> None:
    assert make_key("a-b", "c", 0) != make_key("a", "b-c", 0)
    assert make_key("a", "b-1", 2) != make_key("a", "b", 12)


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "..", "a b", "é", "a\n"])
def test_unsafe_keys_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        check_key(key)
