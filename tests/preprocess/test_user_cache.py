"""Where the user's cache is, and that of a user without a home."""

import pytest

from preprocess.user_cache import cache_folder
from shards.errors import StorageError


def test_it_is_below_what_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("cuts") == tmp_path / "idol" / "cuts"


def test_a_home_that_nobody_has_is_one_clear_error(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "~nosuchuser/cache")
    with pytest.raises(StorageError, match="no home is known for ~nosuchuser"):
        cache_folder("cuts")
