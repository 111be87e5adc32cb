"""Datasets of images in folders: each image is a video of one frame."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from preprocess.errors import InputError
from preprocess.frames import ImageFile
from preprocess.sources.files import IMAGE_SUFFIXES, Leftovers, find_images, stem, unique_names
from preprocess.sources.values import Listing, Split, Video

__all__ = ["deepfashion2", "images", "shhq"]

_DEEPFASHION2_SPLITS: dict[str, Split] = {"train": "train", "validation": "val"}


def images(source: Path, on_file: Callable[[], None]) -> Listing:
    """A folder of images, at any depth: one video of one frame a file; its id is its path.

    Files are not opened here: a broken one is quarantined when its clip is made. Raises InputError
    when there is none.
    """
    left = Leftovers(source)
    found = find_images(source, left)
    if not found:
        raise InputError(f"{source} holds no image ({', '.join(IMAGE_SUFFIXES)}){left.in_words()}")
    videos = []
    for video_id, (_, image) in zip(unique_names([p for p, _ in found]), found, strict=True):
        videos.append(Video(video_id, 1, 1.0, image, video_id))
        on_file()
    return left.beside(Listing(tuple(videos)))


def shhq(source: Path, on_file: Callable[[], None]) -> Listing:
    """SHHQ-1.0: `SHHQ-1.0/no_segment/1.png` and its mask `SHHQ-1.0/segments/1.png`, 512x1024.

    One video of one frame an image; no split is published. `source` is `SHHQ-1.0` or the folder
    that holds it. Raises InputError when there is no `no_segment` folder with images.
    """
    inner = sorted(source.glob("[!.]*/no_segment"))
    root = next((path.parent for path in (source / "no_segment", *inner) if path.is_dir()), source)
    left = Leftovers(source)
    found = find_images(root / "no_segment", left) if (root / "no_segment").is_dir() else []
    if not found:
        raise InputError(
            f"{source} is not in SHHQ's layout: expected SHHQ-1.0/no_segment/*.png (the images) "
            "and SHHQ-1.0/segments/*.png (their masks)"
        )
    masks = None
    if (root / "segments").is_dir():
        masks = {
            stem(path): replace(mask, data=True)
            for path, mask in find_images(root / "segments", left)
        }
    videos = []
    for video_id, (path, image) in zip(unique_names([p for p, _ in found]), found, strict=True):
        mask = None
        if masks is not None:
            # A mask that is missing is found out when it is read.
            absent = ImageFile(str(root / "segments"), path, 0)
            mask = masks.get(stem(path), absent)
        videos.append(Video(video_id, 1, 1.0, image, video_id, masks=mask))
        on_file()
    return left.beside(Listing(tuple(videos)))


def deepfashion2(source: Path, on_file: Callable[[], None]) -> Listing:
    """DeepFashion2: `train/image/000001.jpg`, `validation/image/000001.jpg`, `annos` beside them.

    One video of one frame an image, split by folder; `test`, without annotations, is left out. The
    annotations outline clothes, not people, so there are no masks; they are not read. Raises
    InputError when neither folder has images.
    """
    left = Leftovers(source)
    videos = []
    for folder, split in _DEEPFASHION2_SPLITS.items():
        root = source / folder / "image"
        found = find_images(root, left) if root.is_dir() else []
        for name, (_, image) in zip(unique_names([p for p, _ in found]), found, strict=True):
            video_id = f"{folder}/{name}"
            videos.append(Video(video_id, 1, 1.0, image, video_id, split))
            on_file()
    if not videos:
        raise InputError(
            f"{source} is not in DeepFashion2's layout: expected train/image/000001.jpg and "
            "validation/image/000001.jpg"
        )
    return left.beside(Listing(tuple(videos)))
