"""Whatever img2dataset writes is read, and lists of files; addresses alone are not."""

import io
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.errors import ClipError, InputError
from preprocess.sources.registry import list_videos
from preprocess.sources.values import PassedOver
from tests.conftest import numbered_frame, read_number


def numbers(listing):
    return [read_number(next(video.reader.read((0,))).rgb) for video in listing.videos]


def ids(listing):
    return [video.id for video in listing.videos]


@pytest.fixture
def images(encoded):
    return [encoded(numbered_frame(i)) for i in range(5)]


def write_shard(folder, number, contents):
    """As img2dataset's webdataset output: a tar and its notes in parquet."""
    folder.mkdir(exist_ok=True)
    keys = [f"{number:05d}{i:04d}" for i in range(len(contents))]
    with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
        for key, content in zip(keys, contents, strict=True):
            for suffix, data in (("jpg", content), ("json", b"{}"), ("txt", b"a person")):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    notes = {"key": keys, "url": ["http://x"] * len(keys), "status": ["success"] * len(keys)}
    pq.write_table(pa.table(notes), folder / f"{number:05d}.parquet")
    (folder / f"{number:05d}_stats.json").write_text("{}")


def test_tars(tmp_path, images):
    write_shard(tmp_path / "out", 0, images[:2])
    write_shard(tmp_path / "out", 1, images[2:4])
    listing = list_videos("laion", tmp_path)
    assert ids(listing) == [
        "out/00000/000000000",
        "out/00000/000000001",
        "out/00001/000010000",
        "out/00001/000010001",
    ]
    assert numbers(listing) == [0, 1, 2, 3]
    assert {(v.frames, v.split) for v in listing.videos} == {(1, None)}
    assert listing.unreadable == ()


def test_a_damaged_tar_is_told_and_the_rest_used(tmp_path, images):
    write_shard(tmp_path, 0, images[:2])
    write_shard(tmp_path, 1, images[2:4])
    (tmp_path / "00000.tar").write_bytes(b"x" * 2000)
    listing = list_videos("laion", tmp_path)
    assert numbers(listing) == [2, 3]
    assert [u.id for u in listing.unreadable] == ["00000.tar"]


def test_folders(tmp_path, images):
    """img2dataset's `files` output, and the layout of LAION-Human."""
    for i, name in enumerate(["images/00000/000000003.jpg", "images/00001/000010001.jpg"]):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(images[i])
    notes = pa.table({"key": ["000000003"], "url": ["http://x"]})
    pq.write_table(notes, tmp_path / "images" / "00000.parquet")
    listing = list_videos("laion", tmp_path)
    assert ids(listing) == ["images/00000/000000003", "images/00001/000010001"]
    assert numbers(listing) == [0, 1]


@pytest.mark.parametrize("form", ["img2dataset", "hugging face", "plain"])
def test_parquet_with_images(tmp_path, images, form):
    contents = [*images[:3], None, images[4]]
    columns = {
        "img2dataset": {
            "key": [f"00000000{i}" for i in range(5)],
            "status": ["success"] * 3 + ["failed_to_download", "success"],
            "jpg": contents,
        },
        "hugging face": {"image": [c and {"bytes": c, "path": "a.png"} for c in contents]},
        "plain": {"image_bytes": contents, "text": ["a person"] * 5},
    }
    pq.write_table(pa.table(columns[form]), tmp_path / "00000.parquet", row_group_size=2)
    listing = list_videos("laion", tmp_path)
    names = {"img2dataset": "00000000{}", "hugging face": "00000{}", "plain": "00000{}"}
    assert ids(listing) == [f"00000/{names[form].format(i)}" for i in (0, 1, 2, 4)]
    assert numbers(listing) == [0, 1, 2, 4]
    assert [u.reason for u in listing.unreadable] == ["00000.parquet has 1 rows without an image"]
    assert len({video.reader.fingerprint() for video in listing.videos}) == 4


def test_parquet_that_is_damaged_costs_what_it_held(tmp_path, images):
    pq.write_table(pa.table({"jpg": images}), tmp_path / "a.parquet", compression="snappy")
    pq.write_table(pa.table({"jpg": images[:1]}), tmp_path / "b.parquet")
    listing = list_videos("laion", tmp_path)
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:100] + bytes(1000) + whole[1100:])
    with pytest.raises(ClipError, match=r"a\.parquet: row 3 of row group 0"):
        next(listing.videos[3].reader.read((0,)))
    (tmp_path / "a.parquet").write_bytes(whole[:200])
    again = list_videos("laion", tmp_path)
    assert ids(again) == ["b/000000"]
    assert [u.id for u in again.unreadable] == ["a.parquet"]


def test_two_columns_of_one_name_are_no_column_of_images(tmp_path, images):
    twice = pa.Table.from_arrays([pa.array(images[:1])] * 2, names=["jpg", "jpg"])
    pq.write_table(twice, tmp_path / "a.parquet")
    pq.write_table(pa.table({"jpg": images[:1]}), tmp_path / "b.parquet")
    listing = list_videos("laion", tmp_path)
    assert ids(listing) == ["b/000000"]
    what = ".parquet without a column of images or paths"
    assert listing.passed_over == (PassedOver(what, 1, "a.parquet"),)


def test_row_groups_too_large_to_hold_are_told(tmp_path, images, monkeypatch):
    pq.write_table(pa.table({"jpg": images}), tmp_path / "a.parquet")
    monkeypatch.setattr("preprocess.sources.laion._LARGEST_GROUP", 100)
    with pytest.raises(InputError, match="write it again in smaller ones"):
        list_videos("laion", tmp_path)


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_lists_of_paths(tmp_path, images, kind):
    for i in range(3):
        path = tmp_path / "data" / "images" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images[i])
    (tmp_path / "data" / "unlisted.png").write_bytes(images[3])
    (tmp_path / "outside.png").write_bytes(images[4])
    paths = [
        "images/2.png",
        "images/0.png",
        "images/gone.png",
        "../outside.png",
        "",
        "images/0.png",
    ]
    captions = ["a, b", "c", "d", "e", "f", "g"]
    path = tmp_path / "data" / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"caption": captions, "Image_Path": paths}), path)
    else:
        mark = "," if kind == "csv" else "\t"
        lines = [f'"{c}"{mark}{p}' for c, p in zip(captions, paths, strict=True)]
        path.write_text("\ufeff" + "\r\n".join([f"caption{mark}Image_Path", *lines]) + "\r\n")
    listing = list_videos("laion", tmp_path / "data")
    assert ids(listing) == ["images/2", "images/0"]
    assert numbers(listing) == [2, 0]
    assert [u.reason for u in listing.unreadable] == [
        f"list.{kind} names missing 1 images, the first is 'images/gone.png'",
        f"list.{kind} has no path in the source for 2 images, the first is '../outside.png'",
        f"list.{kind} names twice 1 images, the first is 'images/0.png'",
    ]


def test_what_is_listed_and_is_no_file_is_missing(tmp_path, images):
    (tmp_path / "0.png").write_bytes(images[0])
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to("/dev/zero")
    (tmp_path / "list.csv").write_text("path\n0.png\n1.png\n2.png\nfolder\n")
    listing = list_videos("laion", tmp_path)
    assert ids(listing) == ["0"]
    reasons = [u.reason for u in listing.unreadable]
    assert reasons == ["list.csv names missing 3 images, the first is '1.png'"]


def test_a_caption_that_begins_with_a_quote_swallows_no_lines(tmp_path, images):
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(images[i])
    captions = ["one", '"unbalanced', "three", 'and "four"']
    lines = ["caption\tpath", *(f"{c}\t{i}.png" for i, c in enumerate(captions))]
    (tmp_path / "list.tsv").write_text("\n".join(lines) + "\n")
    listing = list_videos("laion", tmp_path)
    assert (ids(listing), listing.unreadable) == (["0", "1", "2", "3"], ())


def test_captions_may_be_long_and_a_list_that_is_none_is_named(tmp_path, images, monkeypatch):
    (tmp_path / "0.png").write_bytes(images[0])
    (tmp_path / "list.csv").write_text(f"caption,path\n{'x' * 140_000},0.png\n")
    assert ids(list_videos("laion", tmp_path)) == ["0"]
    monkeypatch.setattr("preprocess.sources.laion._LONGEST_FIELD", 1000)
    (fault,) = list_videos("laion", tmp_path).unreadable
    assert fault.reason == "list.csv: line 2: field larger than field limit (1000)"


def test_the_source_may_be_where_one_is(tmp_path, images, monkeypatch):
    (tmp_path / "0.png").write_bytes(images[0])
    (tmp_path / "1.png").write_bytes(images[1])
    (tmp_path / "list.csv").write_text("path\n1.png\n")
    monkeypatch.chdir(tmp_path)
    listing = list_videos("laion", Path("."))
    assert (ids(listing), numbers(listing), listing.unreadable) == (["1"], [1], ())


def test_a_list_in_a_folder_may_count_from_there(tmp_path, images):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "1.png").write_bytes(images[1])
    (tmp_path / "part" / "list.csv").write_text("path\n1.png\n")
    assert ids(list_videos("laion", tmp_path)) == ["part/1"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_addresses_alone_are_refused_with_the_way_out(tmp_path, kind):
    path = tmp_path / f"laion.{kind}"
    if kind == "csv":
        path.write_text("URL,TEXT\nhttp://x/1.jpg,a person\n")
    else:
        pq.write_table(pa.table({"URL": ["http://x/1.jpg"], "TEXT": ["a person"]}), path)
    with pytest.raises(InputError) as caught:
        list_videos("laion", tmp_path)
    assert "download them with img2dataset first" in str(caught.value)
    assert f"--url_list laion.{kind} --input_format {kind}" in str(caught.value)


def test_one_name_is_one_video(tmp_path, images):
    (tmp_path / "1.png").write_bytes(images[1])
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("path\n1.png\n")
    listing = list_videos("laion", tmp_path)
    assert ids(listing) == ["1"]
    assert [u.reason for u in listing.unreadable] == ["1 is there twice; the first is used"]


def test_lists_and_notes_that_are_not_read_are_named(tmp_path, images):
    write_shard(tmp_path, 0, images[:2])
    (tmp_path / "0.png").write_bytes(images[2])
    (tmp_path / "authors.csv").write_text("name,year\nsomebody,2020\n")
    (tmp_path / "more.tsv").write_text("url\ttext\nhttp://x/1.jpg\ta person\n")
    (tmp_path / "LIST.CSV").write_text("path\n0.png\n")
    listing = list_videos("laion", tmp_path)
    assert sorted(numbers(listing)) == [0, 1, 2]
    assert [kind for kind in listing.passed_over if kind.kind[:4] in (".csv", ".tsv", ".par")] == [
        PassedOver(".csv without a column of images or paths", 1, "authors.csv"),
        PassedOver(".parquet of notes on the tar or folder of its name", 1, "00000.parquet"),
        PassedOver(".tsv of addresses", 1, "more.tsv"),
    ]


def test_suffixes_in_capitals_are_the_same_suffixes(tmp_path, images):
    write_shard(tmp_path, 0, images[:2])
    (tmp_path / "00000.parquet").unlink()
    (tmp_path / "00000.tar").rename(tmp_path / "00000.TAR")
    pq.write_table(pa.table({"jpg": images[2:4]}), tmp_path / "b.PARQUET")
    (tmp_path / "0.png").write_bytes(images[4])
    (tmp_path / "C.TSV").write_text("text\tpath\na person\t0.png\n")
    assert sorted(numbers(list_videos("laion", tmp_path))) == [0, 1, 2, 3, 4]
