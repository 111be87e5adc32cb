"""NTU RGB+D 120: `S001C001P001R001A001_rgb.avi`, 1920x1080, in any folder structure."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from preprocess.errors import InputError
from preprocess.sources.files import Leftovers, find_files
from preprocess.sources.values import Listing, Spread
from preprocess.sources.videos import in_threads, probe_videos
from preprocess.sources.where import parse_where

__all__ = ["NtuName", "listing", "parse_name"]

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})_rgb", re.IGNORECASE)


@dataclass(frozen=True)
class NtuName:
    """What an NTU file name says."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int


def parse_name(stem: str) -> NtuName | None:
    """The fields of `S001C001P001R001A001_rgb`, or None for another name."""
    match = _NAME.fullmatch(stem)
    return NtuName(*map(int, match.groups())) if match else None


def listing(
    source: Path,
    on_file: Callable[[], None],
    where: str | None = None,
    spread: Spread = in_threads,
) -> Listing:
    """One video a file; with `where`, those whose names satisfy it, and no other is opened.

    The group is the performer, the background the setup: the paper's list, by both, is not public.

    Raises InputError when no file has an NTU name, two files have the same one, or `where` is
    wrong or leaves nothing.
    """
    wanted = parse_where(where, [f.name for f in fields(NtuName)]) if where is not None else None
    named: dict[str, tuple[Path, NtuName]] = {}
    left = Leftovers(source)
    for path in find_files(source, (".avi", ".mp4"), left):
        name = parse_name(path.stem)
        if name is None:
            left.pass_over("video without an NTU name", str(path))
            continue
        if path.stem in named:
            raise InputError(f"{path} and {named[path.stem][0]} have the same NTU name")
        named[path.stem] = (path, name)
    if not named:
        raise InputError(f"{source} holds no NTU video (S001C001P001R001A001_rgb.avi)")
    ids = sorted(i for i in named if wanted is None or wanted(asdict(named[i][1])))
    if not ids:
        raise InputError(f"none of the {len(named)} NTU videos in {source} satisfies {where!r}")
    paths = [named[i][0] for i in ids]
    performers = [f"P{named[i][1].performer:03d}" for i in ids]
    probed = probe_videos(paths, ids, performers, on_file, spread)
    videos = tuple(replace(v, background=f"S{named[v.id][1].setup:03d}") for v in probed.videos)
    return left.beside(replace(probed, videos=videos))
