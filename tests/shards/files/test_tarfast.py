from __future__ import annotations

import io
import tarfile

import pytest

from shards.errors import BadTar, UnsafeMember
from shards.files import tars as tarfast
from shards.files.tars import TarWriter, members_of


def ours(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    writer = TarWriter(file)
    for name, data in members:
        writer.add(name, data)
    return file.getvalue()


def theirs(name: str, data: bytes, kind: bytes = tarfile.REGTYPE, **options: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.type = len(data), kind
        tar.addfile(info, io.BytesIO(data))
        return file.getvalue()


def test_members_are_read_without_tarfile(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ours(("k.json", b"{}"), ("k.rgb.000.jpg", b"x" * 512), ("k.empty", b""))
    monkeypatch.delattr(tarfast, "read_members")
    found = members_of(data, label="t")
    assert {name: bytes(body) for name, body in found.items()} == {
        "k.json": b"{}",
        "k.rgb.000.jpg": b"x" * 512,
        "k.empty": b"",
    }


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("name", ["k.txt", "n" * 150 + ".txt", "k\u00e9.txt"])
def test_tars_of_others_are_read_carefully(name: str, kind: int) -> None:
    assert bytes(members_of(theirs(name, b"hello", format=kind), label="t")[name]) == b"hello"


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_are_read_without_tarfile(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "n" * 150 + ".rgb.000.jpg"
    data = theirs(name, b"x" * 600, format=kind)
    data = data[: data.rstrip(b"\0").rfind(b"x") // 512 * 512 + 512]  # without the end marker
    monkeypatch.delattr(tarfast, "read_members")
    found = members_of(data + ours(("k.json", b"{}")), label="t")
    assert {n: bytes(body) for n, body in found.items()} == {name: b"x" * 600, "k.json": b"{}"}


@pytest.mark.parametrize("name", ["../" + "k" * 120, "/" + "k" * 120, "k" * 120 + ":", "." * 120])
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_hostile_names_are_refused(name: str, kind: int) -> None:
    with pytest.raises(UnsafeMember):
        members_of(theirs(name, b"", format=kind), label="t")


@pytest.mark.parametrize("at", range(0, 512, 37))
def test_a_header_that_does_not_add_up_is_refused(at: int) -> None:
    data = bytearray(ours(("k.json", b"{}" * 600)))
    data[at] ^= 4
    with pytest.raises(BadTar):
        members_of(bytes(data), label="t")


def test_hostile_and_damaged_ranges_are_refused() -> None:
    with pytest.raises(UnsafeMember, match=r"t: member '\.\./k'"):
        members_of(theirs("../k", b""), label="t")
    with pytest.raises(UnsafeMember, match="a link"):
        members_of(theirs("k", b"", tarfile.SYMTYPE), label="t")
    with pytest.raises(BadTar, match="duplicate member name"):
        members_of(ours(("k", b"1"), ("k", b"2")), label="t")
    whole = ours(("k.json", b"{}" * 600), ("k.txt", b"abc"))
    for cut in (whole[:700], whole[:-100], whole[512:], b"x" * 1024):
        with pytest.raises(BadTar, match=r"^t: "):
            members_of(cut, label="t")
    flipped = bytearray(whole)
    flipped[130] ^= 1  # in the first member's size
    with pytest.raises(BadTar, match=r"^t: "):
        members_of(bytes(flipped), label="t")
