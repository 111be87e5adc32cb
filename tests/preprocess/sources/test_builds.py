"""A build reads every layout: what is listed can be planned, sent to a worker, and decoded."""

import pickle
import tarfile

import pytest

from preprocess.errors import ClipError
from preprocess.sources.registry import list_videos
from tests.conftest import numbered_frame, read_number


def tsv(folder, image):
    import base64

    rows = [f"v_{i}.png\t{base64.b64encode(image).decode()}\n" for i in range(3)]
    for role in ("images", "masks"):
        (folder / f"train_{role}.tsv").write_text("".join(rows))


def images(folder, image):
    for name in ("no_segment/1.png", "segments/1.png", "train/image/1.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(image)


def tar(folder, image):
    (folder / "1.png").write_bytes(image)
    with tarfile.open(folder / "0.tar", "w") as opened:
        opened.add(folder / "1.png", "1.png")


def parquet(folder, image):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"jpg": [image]}), folder / "0.parquet")


@pytest.mark.parametrize(
    ("dataset", "make"),
    [
        ("disco", tsv),
        ("shhq", images),
        ("deepfashion2", images),
        ("images", images),
        ("laion", tar),
        ("laion", parquet),
    ],
)
def test_what_is_listed_reaches_a_worker_whole(tmp_path, encoded, dataset, make):
    make(tmp_path, encoded(numbered_frame(77)))
    listing = list_videos(dataset, tmp_path)
    assert pickle.loads(pickle.dumps(listing)) == listing
    for video in pickle.loads(pickle.dumps(listing)).videos:
        frames = list(video.reader.read(range(video.frames)))
        assert [f.index for f in frames] == list(range(video.frames))
        assert {read_number(f.rgb) for f in frames} == {77}
        assert len(video.reader.fingerprint()) == 64
    for path in tmp_path.rglob("*.*"):
        path.unlink()
    with pytest.raises(ClipError, match=str(tmp_path)):
        next(listing.videos[0].reader.read((0,)))
