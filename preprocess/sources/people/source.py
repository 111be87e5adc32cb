"""Rendered people as a source: a file that says whom, in place of a folder of footage."""

import logging
from collections.abc import Callable
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.files import find_files
from preprocess.sources.people.cached import data_folder
from preprocess.sources.people.reader import RenderedVideo
from preprocess.sources.people.spec import PeopleSpec, load_spec
from preprocess.sources.values import Listing, Video
from shards.files.digest import canonical_json, sha256

__all__ = ["listing", "listing_of"]

_log = logging.getLogger(__name__)

_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def listing(source: Path, on_file: Callable[[], None]) -> Listing:
    """Raises InputError for a spec with mistakes, or whose folder of pictures has none."""
    spec = load_spec(source)
    on_file()
    return listing_of(spec, source)


def listing_of(spec: PeopleSpec, source: Path) -> Listing:
    """What `spec` asks for; the folder of pictures that it names lies beside the file `source`.

    Raises InputError where that folder has no pictures.
    """
    pictures: tuple[Path, ...] = ()
    contents = ""
    if spec.pictures is not None:
        folder = source.parent / spec.pictures
        if not folder.is_dir():
            raise InputError(f"{source}: pictures: {folder} is no folder")
        pictures = tuple(find_files(folder, _IMAGES))
        if not pictures:
            raise InputError(f"{source}: pictures: {folder} holds no image ({', '.join(_IMAGES)})")
        names = [[str(p.relative_to(folder)), p.stat().st_size] for p in pictures]
        contents = sha256(canonical_json(names))
    elif set(spec.stages) == {"picture"}:
        raise InputError(f"{source}: stages are pictures alone, but `pictures` names no folder")
    if (data := data_folder()) is not None and not data.is_dir():
        _log.warning("bodies are made ready, once on this machine: some minutes to the first clip")
    width = max(5, len(str(spec.videos - 1)))
    return Listing(
        tuple(
            Video(
                id=(name := f"{number:0{width}d}"),
                frames=spec.frames,
                fps=spec.fps,
                reader=(reader := RenderedVideo(spec, number, pictures, contents)),
                group=name,
                truth=reader,
            )
            for number in range(spec.videos)
        )
    )
