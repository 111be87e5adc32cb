"""One file from the model hub, by one process at a time, resumed where an earlier try ended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from preprocess.errors import InputError
from preprocess.external_file import ExternalFile, Hub
from preprocess.weights.advice import offline
from shards.files.digest import sha256
from shards.files.locks import NoLocks, Taken, exclusive

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

__all__ = ["Download", "Say", "alone_with", "download"]

Say = Callable[[str], None]
_SHA256_DIGITS = 64


@dataclass(frozen=True, eq=False)
class Download:
    """A file that came whole: not yet compared with anything but its size.

    Attributes:
        part: where it is, beside the place it belongs to.
        sha256: what the hub says it should be, for its large files.
        revision: the commit that served it.
        resumed: whether bytes of an earlier run are in it.
    """

    part: Path
    sha256: str | None
    revision: str
    resumed: bool


def download(entry: ExternalFile, source: Hub, root: Path, say: Say) -> Download:
    """Fetch what is missing; connections that fail are tried again.

    By the library's parts and not by its `hf_hub_download`, which after a kill starts from zero.

    Raises InputError when the hub cannot be reached, does not serve the file, keeps failing,
    or the disk is too small. What is here is kept.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    known = _metadata(entry, source, root)
    etag, revision = known.etag or "", known.commit_hash or ""
    # Named by its content, so that the part of another file is never continued.
    target = root / entry.name
    part = target.with_name(f"{target.name}.{sha256(etag.encode())[:12]}.part")
    for other in target.parent.glob(f"{target.name}.*.part"):
        if other != part:
            other.unlink()
    here = part.stat().st_size if part.exists() else 0
    if known.size is not None and here > known.size:
        part.unlink()
        here = 0
    _check_room(entry, root, known.size, here)
    say(_begun(entry, known.size, here))
    # The hub's token is for the hub; what it redirects to is signed.
    is_hub = urlsplit(known.location)[:2] == urlsplit(source.url)[:2]
    headers = build_hf_headers(token=None if is_hub else False)
    headers["Accept-Encoding"] = "identity"  # compressed, it could not be resumed
    try:
        with part.open("ab", buffering=0) as file:
            http_get(
                known.location,
                file,
                resume_size=here,
                headers=headers,
                expected_size=known.size,
                displayed_filename=entry.name,
            )
    except Exception as error:  # the library's, its HTTP client's, or the system's
        if not part.stat().st_size:
            part.unlink()
        raise _refused(error, entry, source) or InputError(
            f"{entry.name}: the connection failed ({_line(error)}). What is here is kept: "
            "run the same command to resume."
        ) from error
    served = etag if len(etag) == _SHA256_DIGITS else None
    return Download(part, served, revision, resumed=here > 0)


@contextmanager
def alone_with(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Keep other processes from fetching the file `path`; `wait` is called if one is doing so.

    Raises InputError on a file system without locks.
    """
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(lock, wait=False))
        except Taken:
            wait()
            stack.enter_context(exclusive(lock))
        except NoLocks as error:
            raise InputError(
                f"{path.parent} lies on a file system without locks, where two downloads at once "
                "would spoil each other: fetch into another folder, by --weights or IDOL_WEIGHTS, "
                "and copy it there."
            ) from error
        yield


def _metadata(entry: ExternalFile, source: Hub, root: Path) -> HfFileMetadata:
    """What the hub says of a file. Raises InputError."""
    from huggingface_hub import get_hf_file_metadata

    try:
        try:
            found = get_hf_file_metadata(source.url)
        except Exception as error:
            if (_status(error) or 0) not in (408, 429, 500, 502, 503, 504):
                raise
            found = get_hf_file_metadata(source.url, retry_on_errors=True)
    except Exception as error:
        raise _refused(error, entry, source) or InputError(
            f"{entry.name} ({entry.what}) cannot be fetched, because {source.url} cannot be "
            f"reached: {_line(error)}. {offline(entry, root)}"
        ) from error
    if not found.commit_hash or not found.etag:
        raise InputError(
            f"{entry.name}: {source.url} does not answer as a model hub does: is it a web page "
            "(does this network ask you to log in?), or HF_ENDPOINT wrong?"
        )
    if found.size is not None and entry.bytes not in (None, found.size):
        raise InputError(
            f"{source.url} is another file now: it has {found.size} bytes, and {entry.name} "
            f"{entry.bytes}. Nothing of it was used."
        )
    return found


def _refused(error: Exception, entry: ExternalFile, source: Hub) -> InputError | None:
    """The error in words where a server answered; None where none did."""
    status = _status(error)
    if status is None:
        return None
    if status in (401, 403):
        return InputError(
            f"{entry.name}: {source.url} does not let you in ({status}). Agree to the terms on its "
            "page if it has some, and set HF_TOKEN to a token of yours."
        )
    meaning = " (there is no such file)" if status in (404, 410) else ""
    return InputError(f"{entry.name}: {source.url} answers {status}{meaning}.")


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _begun(entry: ExternalFile, size: int | None, here: int) -> str:
    total = "of unknown size" if size is None else _amount(size)
    resumed = f", resuming from {_amount(here)}" if here else ""
    return f"fetching {entry.name} ({total}) from {entry.source.label}{resumed}"


def _amount(size: int) -> str:
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def _check_room(entry: ExternalFile, root: Path, size: int | None, here: int) -> None:
    free = shutil.disk_usage((root / entry.name).parent).free
    if size is not None and size - here > free:
        raise InputError(
            f"{entry.name} needs {size - here} bytes more, and the disk of {root} has {free} "
            "free. Make room, or choose another folder by --weights or IDOL_WEIGHTS."
        )
