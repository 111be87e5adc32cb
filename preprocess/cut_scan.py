"""The cuts of a video of the source, found in one pass over it and kept in the user's cache."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from preprocess.cuts import VERSION, find_breaks
from preprocess.errors import ClipError
from preprocess.frames import FrameReader, read_each
from preprocess.glance import Glance, glance_of_image
from preprocess.remote import located
from preprocess.shots import Break
from preprocess.sources.values import Video
from preprocess.user_cache import cache_folder, keep, kept
from preprocess.video import VideoFile
from shards.files.digest import canonical_json, parse_json, sha256

__all__ = ["cuts_of", "known_cuts"]

_STEP = 16  # frames from one report to the next


def cuts_of(video: Video, on_frames: Callable[[int], None] = lambda frames: None) -> list[Break]:
    """What ends shots within a video but for gaps in time; `on_frames` is told how many more
    frames have been looked at.

    Frames that cannot be read are passed over: their clips will be quarantined. Raises ClipError
    where the disk or the network failed, and not the video: a cut may lie where nobody looked.
    """
    known = known_cuts(video)
    if known is not None:
        on_frames(video.frames)
        return known
    failures: list[ClipError] = []
    found = find_breaks(_glances(video, on_frames, failures))
    for failure in failures:
        if _disk_failed(failure):
            raise failure
    keep(_kept_at(video), canonical_json([[b.before, b.after, b.why] for b in found]))
    return found


def _disk_failed(failure: ClipError) -> bool:
    """Whether the operating system could not read, and not a decoder (Pillow's errors are OSErrors
    as well, without a number)."""
    cause = failure.__cause__
    return isinstance(cause, OSError) and cause.errno is not None


def known_cuts(video: Video) -> list[Break] | None:
    """Those that an earlier pass has found and kept; None where it must be made, or made again."""
    content = kept(_kept_at(video))
    return None if content is None else [Break(*row) for row in parse_json(content)]


def _kept_at(video: Video) -> Path:
    """By the detector, the libraries that decode, and what tells the frames from others."""
    made_by = (VERSION, av.library_versions["libavcodec"], av.library_versions["libswscale"])
    said = f"{made_by} {video.frames} {video.reader.fingerprint()} {_stamps(video)}"
    return cache_folder("cuts") / f"{sha256(said.encode(errors='surrogateescape'))}.json"


def _stamps(video: Video) -> list[tuple[str, int]]:
    """Files and when they changed: fingerprints read names, sizes and ends alone."""
    reader = video.reader
    files = getattr(reader, "paths", None) or [getattr(reader, "path", None)]
    found = [located(file) for file in files if file is not None]
    named = [] if isinstance(reader, VideoFile) else [(str(f), 0) for f in found[:1]]
    return named + [("", f.stat().st_mtime_ns) for f in found]


def _glances(
    video: Video, on_frames: Callable[[int], None], failures: list[ClipError]
) -> Iterator[Glance]:
    told = 0
    for done, (_, glance) in enumerate(read_each(_Glances(video.reader), range(video.frames)), 1):
        if done % _STEP == 0 or done == video.frames:
            on_frames(done - told)
            told = done
        if isinstance(glance, ClipError):
            failures.append(glance)
        else:
            yield glance


@dataclass(frozen=True)
class _Glances:
    """A reader of glances, as `read_each` wants it."""

    reader: FrameReader

    def read(self, indices: Sequence[int]) -> Iterator[Glance]:
        if isinstance(self.reader, VideoFile):
            yield from self.reader.glances(indices)
            return
        for frame in self.reader.read(indices):
            yield glance_of_image(frame.index, frame.rgb)
