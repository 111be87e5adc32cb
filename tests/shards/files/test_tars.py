from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import BadTar, UnsafeMember
from shards.files.tars import TarWriter, iter_headers, read_members

NAMES = st.text("abcXYZ019_-%", min_size=1, max_size=300)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=8, unique_by=lambda m: m[0])


def _tar(members: list[tuple[str, bytes]]) -> tuple[bytes, list[int]]:
    file = io.BytesIO()
    tar = TarWriter(file)
    offsets = []
    for name, data in members:
        offsets.append(tar.offset)
        tar.add(name, data)
    offsets.append(tar.offset)
    tar.close()
    return file.getvalue(), offsets


@given(MEMBERS)
def test_each_member_is_found_by_its_offset_alone(members: list[tuple[str, bytes]]) -> None:
    blob, offsets = _tar(members)
    for member, start, end in zip(members, offsets, offsets[1:], strict=False):
        assert read_members(blob[start:end], label="t") == [member]


@given(MEMBERS)
def test_python_and_we_read_the_same(members: list[tuple[str, bytes]]) -> None:
    blob, _ = _tar(members)
    with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
        assert [(m.name, tar.extractfile(m).read()) for m in tar] == members
    assert [h.name for h in iter_headers(io.BytesIO(blob), label="t")] == [n for n, _ in members]


@given(MEMBERS | st.tuples(st.tuples(st.text("aé", min_size=95, max_size=105), st.just(b"1"))))
def test_bytes_are_those_that_tarfile_writes(members: list[tuple[str, bytes]]) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    assert file.getvalue() == _tar(members)[0]


@pytest.mark.parametrize("size", [8**11 - 1, 8**11])
@pytest.mark.parametrize("name", ["k.x", "é" * 60, "k" * 101])
def test_headers_of_members_of_eight_gigabytes_are_those_of_tarfile(name: str, size: int) -> None:
    """From there on a size has no room in a plain header."""

    class Head(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data) if len(data) < 10_000 else len(data)

    head = Head()
    tar = TarWriter(head)
    tar.add(name, np.broadcast_to(np.uint8(0), size))  # type: ignore[arg-type] # takes no memory
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    expected = info.tobuf(tarfile.PAX_FORMAT)
    assert head.getvalue() == expected + bytes(-size % 512)
    assert tar.offset == len(expected) + -(-size // 512) * 512


def test_bytes_depend_on_members_alone() -> None:
    blob, _ = _tar([("a.json", b"{}")])
    assert blob == _tar([("a.json", b"{}")])[0]
    with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
        (member,) = tar.getmembers()
    assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
    assert (member.uname, member.gname) == ("", "")


@given(MEMBERS.filter(bool), st.data())
def test_a_range_cut_anywhere_is_noticed(members: list, data: st.DataObject) -> None:
    blob, offsets = _tar(members)
    whole = blob[: offsets[-1]]
    cut = data.draw(st.integers(1, len(whole) - 1).filter(lambda n: n not in offsets))
    with pytest.raises(BadTar, match=r"^here: "):
        read_members(whole[:cut], label="here")


def test_garbage_after_a_member_is_not_taken_for_the_end() -> None:
    blob, offsets = _tar([("a.x", b"1"), ("b.x", b"2")])
    garbage = blob[: offsets[1]] + b"\x07" * 1024
    with pytest.raises(BadTar, match="here"):
        list(iter_headers(io.BytesIO(garbage), label="here"))


def test_no_tar_at_all() -> None:
    for data in (b"not a tar" * 999, b""):
        with pytest.raises(BadTar, match="here"):
            list(iter_headers(io.BytesIO(data), label="here"))


def hostile(name: str = "k.x", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return file.getvalue()


@pytest.mark.parametrize(
    "blob",
    [
        hostile("/etc/passwd"),
        hostile("../k.x"),
        hostile("a/../../k.x"),
        hostile("a/k.x"),
        hostile(".."),
        hostile(".ssh"),
        hostile("C:k.x"),
        hostile("a\\k.x"),
        hostile("k\x1b[2J.x"),
        hostile("k.x", tarfile.SYMTYPE, "/etc/passwd"),
        hostile("k.x", tarfile.LNKTYPE, "k.y"),
        hostile("k.x", tarfile.CHRTYPE),
        hostile("k.x", tarfile.BLKTYPE),
        hostile("k.x", tarfile.FIFOTYPE),
        hostile("k.x", tarfile.DIRTYPE),
    ],
)
def test_hostile_members_are_refused(blob: bytes) -> None:
    with pytest.raises(UnsafeMember, match=r"member '.*refused"):
        list(iter_headers(io.BytesIO(blob), label="t"))


def test_a_tar_that_is_packed_or_named_from_its_folder_is_told_as_such() -> None:
    blob, _ = _tar([("k.json", b"{}")])
    packed = {
        "gzip": gzip.compress(blob),
        "bzip2": bz2.compress(blob),
        "xz": lzma.compress(blob),
        "zstd": bytes.fromhex("28b52ffd") + b"\0" * 600,
    }
    for by, data in packed.items():
        with pytest.raises(BadTar, match=rf"is compressed by {by}.*unpack it first"):
            list(iter_headers(io.BytesIO(data), label="t"))
    dotted, _ = _tar([("./k.json", b"{}")])
    with pytest.raises(UnsafeMember, match=r"by their names alone: tar --sort=name -cf NEW.tar"):
        list(iter_headers(io.BytesIO(dotted), label="t"))
