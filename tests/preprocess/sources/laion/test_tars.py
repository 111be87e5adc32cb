"""Images in tars are found by a pass over the headers, in any dialect of tar."""

import io
import tarfile

import numpy as np
import pytest

from preprocess.errors import ClipError
from preprocess.sources.laion import scan_tar
from tests.conftest import numbered_frame, read_number

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def write_tar(path, members, kind="pax"):
    with tarfile.open(path, "w", format=FORMATS[kind]) as tar:
        for name, content in members:
            if content is None:
                info = tarfile.TarInfo(name)
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def samples(encoded):
    members = []
    for i in range(3):
        key = f"{i:09d}"
        members += [
            (f"{key}.jpg", encoded(numbered_frame(i), ".jpg")),
            (f"{key}.json", b'{"url": "..."}'),
            (f"{key}.txt", b"a person"),
        ]
    return members


@pytest.mark.parametrize("kind", FORMATS)
def test_images_of_a_webdataset(tmp_path, samples, kind):
    images, fault = scan_tar(write_tar(tmp_path / "00000.tar", samples, kind))
    assert fault is None
    assert [p.name for p in images] == ["000000000.jpg", "000000001.jpg", "000000002.jpg"]
    assert [read_number(next(p.read((0,))).rgb) for p in images] == [0, 1, 2]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_member_is_where_tarfile_says(tmp_path, encoded, kind):
    image = encoded(numbered_frame(5))
    folder = "f" * 90 if kind == "ustar" else "f" * 300
    members = [
        ("./a/b.PNG", image),
        ("a", None),
        (f"{folder}/{'n' * 60}.png", image),
        ("a/image of é.jpeg", image),
        ("a/b.mask.png", image),
        ("a/.hidden.png", image),
        ("a/empty.png", b""),
        ("a/png", image),
    ]
    path = write_tar(tmp_path / "a.tar", members, kind)
    images, fault = scan_tar(path)
    with tarfile.open(path) as tar:
        expected = [(m.name, m.offset_data, m.size) for m in tar if m.isfile()]
    wanted = [e for e in expected if e[0] in {members[i][0] for i in (0, 2, 3, 6)}]
    assert fault is None
    assert [(p.name, p.offset, p.size) for p in images] == wanted
    assert len(wanted) == 4


def test_a_tar_that_is_cut_off_gives_what_it_has(tmp_path, samples):
    path = write_tar(tmp_path / "a.tar", samples)
    whole = path.read_bytes()
    last = scan_tar(path)[0][2]
    for end, reason in (
        (last.offset + 10, "is cut off in 000000002.jpg"),
        (last.offset - 200, "is cut off at byte"),
    ):
        path.write_bytes(whole[:end])
        images, fault = scan_tar(path)
        assert [p.name for p in images] == ["000000000.jpg", "000000001.jpg"]
        assert reason in fault
        assert fault.endswith("2 images before that are used")


def test_what_is_no_tar_is_told(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"<html>not found</html>" * 100)
    images, fault = scan_tar(path)
    assert not images
    assert f"{path} is no tar file, or damaged, at byte 0" in fault


def test_a_tar_that_is_gone_costs_the_image(tmp_path, samples):
    path = write_tar(tmp_path / "a.tar", samples)
    images, _ = scan_tar(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ClipError, match=r"a\.tar: 000000001\.jpg is empty"):
        next(images[1].read((0,)))
    path.unlink()
    with pytest.raises(ClipError, match="No such file"):
        next(images[1].read((0,)))


def test_numbers_survive_a_size_in_binary(tmp_path, encoded):
    content = encoded(np.zeros((8, 8, 3), np.uint8))
    path = write_tar(tmp_path / "a.tar", [("a.png", content)], "gnu")
    block = bytearray(path.read_bytes())
    block[124:136] = b"\x80" + len(content).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    path.write_bytes(block)
    ((image,), fault) = scan_tar(path)
    assert (image.size, fault) == (len(content), None)


@pytest.mark.parametrize("said", [b"abc path\n", b"0 path=a\n", b"18 size=one\n"])
def test_a_damaged_pax_header_is_told(tmp_path, said):
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, len(said)
    (tmp_path / "a.tar").write_bytes(info.tobuf() + said.ljust(512, b"\0"))
    images, fault = scan_tar(tmp_path / "a.tar")
    assert images == []
    assert "a.tar has a damaged pax header at byte 0; 0 images before that are used" in fault
