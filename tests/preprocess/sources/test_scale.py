"""Hundreds of thousands of images are listed without a look at them, and travel in one plan."""

import pickle

from preprocess.sources.registry import list_videos


def test_an_image_costs_few_bytes_in_a_plan_and_is_not_opened(tmp_path):
    folder = tmp_path / "a folder with a long name" / "train" / "image"
    folder.mkdir(parents=True)
    count = 2000
    for i in range(count):
        (folder / f"{i:06d}.jpg").write_bytes(b"")
        if i < 10:
            (folder / f"{i:06d}.jpg").chmod(0)
    listing = list_videos("deepfashion2", folder.parent.parent)
    assert [v.id for v in listing.videos] == [f"train/{i:06d}" for i in range(count)]
    assert len(pickle.dumps(listing)) / count < 100
    assert pickle.loads(pickle.dumps(listing)) == listing
