"""A home that nobody has is refused in one line."""

from pathlib import Path

import pytest

from shards.errors import StorageError
from shards.files.home import expanded
from shards.files.storage import Store
from shards.inspect.cli import main


def test_homes_take_the_place_of_tildes(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert expanded("~/data") == expanded(Path("~/data")) == Path("/home/ann/data")
    assert expanded("data/~") == Path("data/~")


def test_a_folder_may_be_named_as_a_home_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert expanded("./~") == Path("~")
    assert Store.at("./~").root == str(tmp_path / "~")
    assert Store.at("./~no-such-user/x").root == str(tmp_path / "~no-such-user/x")


def test_unknown_homes_are_refused(capsys):
    for read in (expanded, Store.at):
        with pytest.raises(StorageError, match="no home is known for ~no-such-user: give the path"):
            read("~no-such-user/x")
    assert main(["stats", "~no-such-user/x"]) == 2
    assert "no home is known" in capsys.readouterr().err
