"""Lines are found by their offsets, whatever wrote the file, and read one at a time."""

import base64
import tracemalloc

import numpy as np
import pytest

from preprocess.errors import ClipError
from preprocess.frames import read_each
from preprocess.sources.disco import TsvImages, image_of_line, index_tsv
from tests.conftest import numbered_frame, read_number


def images(index, keys=None):
    keys = tuple(keys or index.rows)
    rows = [index.rows[key] for key in keys]
    offsets, lengths = ([at[row] for row in rows] for at in (index.offsets, index.lengths))
    return TsvImages(index.path, keys, tuple(offsets), tuple(lengths), 30.0)


def numbers(reader):
    return [read_number(frame.rgb) for frame in reader.read(range(len(reader.keys)))]


@pytest.fixture
def rows(encoded):
    return [(f"v_{i:04d}.png", encoded(numbered_frame(i))) for i in range(5)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t\n"])
@pytest.mark.parametrize("lineidx", [True, False])
def test_every_line_is_found(tmp_path, write_tsv, rows, end, lineidx):
    index = index_tsv(write_tsv(tmp_path / "a.tsv", rows, end=end, lineidx=lineidx))
    assert (list(index.rows), len(index), index.faults) == ([k for k, _ in rows], 5, ())
    assert numbers(images(index)) == [0, 1, 2, 3, 4]
    assert numbers(images(index, ["v_0003.png", "v_0000.png"])) == [3, 0]


def test_lineidx_and_a_pass_over_the_file_say_the_same(tmp_path, write_tsv, rows):
    path = write_tsv(tmp_path / "a.tsv", rows)
    by_text = index_tsv(path)
    path.with_suffix(".lineidx").unlink()
    by_pass = index_tsv(path)
    assert by_text.keys == by_pass.keys
    assert (by_text.offsets, by_text.lengths) == (by_pass.offsets, by_pass.lengths)


def test_lineidx_that_does_not_fit_is_not_believed(tmp_path, write_tsv, rows):
    path = write_tsv(tmp_path / "a.tsv", rows)
    good = path.with_suffix(".lineidx").read_text()
    first, second, *rest = good.split()
    for bad in (
        "\n".join([first, str(int(second) + 1), *rest]),  # not where a line starts
        "\n".join([first, second]),  # lines were added since
        "\n".join([second, *rest]),
        "not numbers",
        "",
        good + "99999999\n",
    ):
        path.with_suffix(".lineidx").write_text(bad)
        assert numbers(images(index_tsv(path))) == [0, 1, 2, 3, 4]


def test_lines_that_lineidx_leaves_out_are_nobodys_image(tmp_path, write_tsv, encoded):
    large = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    contents = [encoded(numbered_frame(0)), encoded(large), encoded(numbered_frame(2))]
    path = write_tsv(tmp_path / "a.tsv", [(f"v_{i}.png", c) for i, c in enumerate(contents)])
    first, _, third = path.with_suffix(".lineidx").read_text().split()
    path.with_suffix(".lineidx").write_text(f"{first}\n{third}\n")
    assert numbers(images(index_tsv(path))) == [0, 2]


def test_the_last_line_needs_no_end(tmp_path, write_tsv, rows):
    path = write_tsv(tmp_path / "a.tsv", rows, lineidx=False)
    path.write_bytes(path.read_bytes()[:-1])
    assert numbers(images(index_tsv(path))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("lineidx", [True, False])
def test_lines_of_no_use_are_told_and_keep_their_place(tmp_path, write_tsv, rows, lineidx):
    rows = [("image_key", "image"), rows[0], ("no tab at all",), rows[1], rows[0], ("",), rows[2]]
    index = index_tsv(write_tsv(tmp_path / "a.tsv", rows, lineidx=lineidx))
    assert index.rows == {"v_0000.png": 1, "v_0001.png": 3, "v_0002.png": 6}
    assert [fault.removeprefix(f"{index.path} has ") for fault in index.faults] == [
        "1 lines without an image, the first is line 1",
        "1 lines without a key and a tab, the first is line 3",
        "1 lines whose key an earlier line has, the first is line 5",
    ]


def test_the_key_and_the_line_may_lie_across_chunks(tmp_path, write_tsv, rows, monkeypatch):
    path = write_tsv(tmp_path / "a.tsv", rows, lineidx=False)
    expected = index_tsv(path)
    for chunk in (1, 7, 100, 10_000):
        monkeypatch.setattr("preprocess.sources.disco._CHUNK", chunk)
        index = index_tsv(path)
        assert (index.keys, index.offsets) == (expected.keys, expected.offsets)
        assert index.lengths == expected.lengths


def test_a_large_file_is_never_in_memory(tmp_path):
    path = tmp_path / "a.tsv"
    with open(path, "wb") as opened:
        for i in range(100):
            opened.write(b"key_%d\t" % i + b"A" * 1_000_000 + b"\n")
    tracemalloc.start()
    try:
        index = index_tsv(path)
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
    finally:
        tracemalloc.stop()
    assert len(index.rows) == 100


@pytest.mark.parametrize("end", [b"\n", b"\tTrue\n", b" \r\n"])
def test_the_image_is_the_base64_of_its_line(end):
    content = bytes(range(256)) + b"x"
    assert image_of_line(b"key\t" + base64.b64encode(content) + end, "it") == content


def test_a_line_marked_as_not_valid_has_no_image():
    with pytest.raises(ClipError, match="marked as not valid"):
        image_of_line(b"key\t" + base64.b64encode(bytes(100)) + b"\tFalse\n", "it")


def test_damage_costs_the_frame_and_says_which(tmp_path, write_tsv, rows):
    text = [base64.b64encode(content).decode() for _, content in rows]
    text[1] = text[1][: len(text[1]) // 2]  # cut off
    text[2] = "*" + text[2][1:]  # not base64
    text[3] = base64.b64encode(bytes(200)).decode()  # not an image
    lines = [(key, t) for (key, _), t in zip(rows, text, strict=True)]
    results = dict(read_each(images(index_tsv(write_tsv(tmp_path / "a.tsv", lines))), range(5)))
    assert [read_number(results[i].rgb) for i in (0, 4)] == [0, 4]
    reasons = [str(results[i]).removeprefix(f"{tmp_path}/a.tsv: ") for i in (1, 2, 3)]
    assert reasons[0].startswith("v_0001.png is not base64")
    assert reasons[1].startswith("v_0002.png is not base64")
    assert reasons[2] == "v_0003.png is not an image that can be decoded"


def test_a_file_that_changed_since_it_was_listed_gives_no_wrong_frames(tmp_path, write_tsv, rows):
    reader = images(index_tsv(write_tsv(tmp_path / "a.tsv", rows)))
    write_tsv(tmp_path / "a.tsv", rows[1:])
    with pytest.raises(ClipError, match=r"v_0000\.png is not where it was listed"):
        next(reader.read((0,)))
    (tmp_path / "a.tsv").unlink()
    with pytest.raises(ClipError, match="No such file"):
        next(reader.read((0,)))


def test_the_fingerprint_follows_the_images(tmp_path, write_tsv, rows, encoded):
    reader = images(index_tsv(write_tsv(tmp_path / "a.tsv", rows)))
    moved = images(index_tsv(write_tsv(tmp_path / "b.tsv", rows[::-1])), reader.keys)
    assert moved.fingerprint() == reader.fingerprint()
    rows[2] = (rows[2][0], encoded(np.zeros((64, 96, 3), np.uint8)))
    other = images(index_tsv(write_tsv(tmp_path / "c.tsv", rows)))
    assert other.fingerprint() != reader.fingerprint()
