"""DeepFashion2: `train/image/000001.jpg`, `validation/image/000001.jpg`, `annos` beside them.

The annotations outline clothes, not people, so there are no masks; they are not read.
"""

from collections.abc import Callable
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.files import find_pictures, stem
from preprocess.sources.values import Listing, Split, Video

_SPLITS: dict[str, Split] = {"train": "train", "validation": "val"}


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video of one frame a picture, split by folder; `test`, without annotations, is left out.

    Raises InputError when neither folder has pictures.
    """
    videos = []
    for folder, split in _SPLITS.items():
        root = source / folder / "image"
        for path, picture in find_pictures(root) if root.is_dir() else ():
            video_id = f"{folder}/{stem(path)}"
            videos.append(Video(video_id, 1, 1.0, picture, video_id, split))
            on_file()
    if not videos:
        raise InputError(
            f"{source} is not in DeepFashion2's layout: expected train/image/000001.jpg and "
            "validation/image/000001.jpg"
        )
    return Listing(tuple(videos))
