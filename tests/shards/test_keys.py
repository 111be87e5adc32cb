from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.keys import check_key, make_key, parse_key

TEXT = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too: they are file names
KEY_CHARACTERS = set(string.ascii_letters + string.digits + "_%~-")


@given(TEXT, TEXT, st.integers(0, 10**9))
def test_any_ids_make_a_safe_key_that_gives_them_back(dataset: str, video: str, first: int) -> None:
    key = make_key(dataset, video, first)
    assert set(key) <= KEY_CHARACTERS  # no dots, slashes, spaces: one plain name
    assert parse_key(key) == (dataset, video, first)


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
