"""SHHQ-1.0: `SHHQ-1.0/no_segment/1.png` and its mask `SHHQ-1.0/segments/1.png`, 512x1024."""

from collections.abc import Callable
from pathlib import Path

from preprocess.errors import InputError
from preprocess.frames import PictureFile
from preprocess.sources.files import find_pictures, stem, unique_names
from preprocess.sources.values import Listing, Video


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """One video of one frame a picture; no split is published. `source` is `SHHQ-1.0` or the
    folder that holds it. Raises InputError when there is no `no_segment` folder with pictures.
    """
    root = next((path.parent for path in (source / "no_segment", *source.glob("*/no_segment"))
                 if path.is_dir()), source)  # fmt: skip
    found = find_pictures(root / "no_segment") if (root / "no_segment").is_dir() else []
    if not found:
        raise InputError(
            f"{source} is not in SHHQ's layout: expected SHHQ-1.0/no_segment/*.png (the pictures) "
            "and SHHQ-1.0/segments/*.png (their masks)"
        )
    masks = None
    if (root / "segments").is_dir():
        masks = {stem(path): mask for path, mask in find_pictures(root / "segments")}
    videos = []
    for video_id, (path, picture) in zip(unique_names([p for p, _ in found]), found, strict=True):
        mask = None
        if masks is not None:
            # A mask that is missing is found out when it is read.
            absent = PictureFile(str(root / "segments"), path, 0)
            mask = masks.get(stem(path), absent)
        videos.append(Video(video_id, 1, 1.0, picture, video_id, masks=mask))
        on_file()
    return Listing(tuple(videos))
