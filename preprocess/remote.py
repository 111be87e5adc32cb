"""Sources that lie elsewhere: a folder of any fsspec URL (`s3://bucket/videos`) as a `Path`.

What is read once, or in small part (images, lines of a TSV file, members of a tar), is streamed by
ranges. What is read several times and needs a file of the system (videos: their index, their cuts,
their clips) is copied to a cache on this machine, which its workers share: `os.fspath` gives the
copy's path, so that `open(path)` and native libraries find it.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path, PosixPath
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from preprocess.errors import InputError
from preprocess.user_cache import cache_folder
from shards.errors import StorageError
from shards.files.cache import FileCache
from shards.files.digest import sha256
from shards.files.home import expanded
from shards.files.secrets import has_secret, redact
from shards.files.system_errors import explain

__all__ = [
    "Entry",
    "RemotePath",
    "entries",
    "forget_listings",
    "located",
    "read_exactly",
]

_CACHE_VARIABLE = "IDOL_SOURCE_CACHE"
_CACHE_BYTES = 20 << 30
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+")
_PART = 1 << 22  # bytes that are copied at a time
_HELD = 32  # copies that cannot make room, as somebody may be about to open them
_AT_A_TIME = 16
_LISTINGS = 4096  # folders whose listings are held
_OFTEN = 8  # files of a folder that are asked for before the folder is listed
_SECOND = 1_000_000_000  # nanoseconds
# Where stores' clients say when a file changed.
_CHANGED = ("LastModified", "mtime", "created", "last_modified", "Last-Modified")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def located(source: str | os.PathLike[str]) -> Path:
    """The path of a folder or file, here or at a URL.

    Raises InputError for a URL with a password, or of a kind that nothing here can read, and for
    a home that is not known.
    """
    if isinstance(source, Path):
        return source
    text = os.fspath(source)
    match = _URL.match(text)
    if match is None:
        try:
            return expanded(text)
        except StorageError as error:
            raise InputError(str(error)) from error
    if match[1] == "file":
        return Path("/" + text[match.end() :])
    if has_secret(text):
        raise InputError(
            f"{redact(text)}: holds a password or a signature, which would be written into "
            "messages: leave it out of the URL, and give it by the store's own settings or "
            "variables (docs/stores.md)"
        )
    path = RemotePath(text)
    _client(path)  # raises
    return path


class RemotePath(PosixPath):
    """A path at a URL, as far as sources use paths: a plain value that travels to workers.

    Raises OSError as a path of the disk does.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return _URL.sub(r"\1://", text, count=1)  # what is relative to another has no scheme

    def __fspath__(self) -> str:
        """The path of a copy on this machine. It may make room for others after many more calls.

        The cache, `~/.cache/idol/sources`, holds 20 GB, or $IDOL_SOURCE_CACHE (as in `500G`).
        Raises StorageError where the copy cannot be written: that is no fault of the file.
        """
        return str(_copy(self))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        entry = _entry(self)
        kind = stat.S_IFDIR if entry.is_folder else stat.S_IFREG
        seconds = entry.changed_ns // _SECOND
        size = entry.size or 0
        return os.stat_result(
            (kind | 0o444, 0, 0, 1, 0, 0, size, seconds, seconds, seconds),
            {"st_mtime_ns": entry.changed_ns},
        )

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        try:
            _entry(self)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        try:
            return _entry(self).is_folder
        except FileNotFoundError:
            return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self.exists() and not self.is_dir()

    def is_symlink(self) -> bool:
        return False

    def iterdir(self) -> Iterator[RemotePath]:  # type: ignore[override]
        return (self / name for name in entries(self))

    def glob(self, pattern: str) -> Iterator[RemotePath]:  # type: ignore[override]
        """Paths below by a pattern without `**`."""
        first, _, rest = pattern.partition("/")
        for name in fnmatch.filter(entries(self), first) if "*" in first else [first]:
            below = self / name
            if rest and below.is_dir():
                yield from below.glob(rest)
            elif not rest and below.exists():
                yield below

    def open(  # type: ignore[override]
        self, mode: str = "rb", buffering: int = -1, *_: Any, **__: Any
    ) -> BinaryIO:
        """The file, to be read by ranges; `rb` alone."""
        if mode != "rb":
            raise ValueError(f"a file at a URL is opened as `rb`, not {mode!r}")
        with _as_os_errors(self):
            client, path = _client(self)
            return client.open(path, "rb")

    def read_bytes(self) -> bytes:
        with _as_os_errors(self):
            client, path = _client(self)
            return client.cat_file(path)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def resolve(self, strict: bool = False) -> RemotePath:
        return self

    def absolute(self) -> RemotePath:
        return self

    def expanduser(self) -> RemotePath:
        return self


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """The next bytes of a file that is not buffered; fewer at its end alone."""
    parts = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Entry:
    """What a listing says of a file or folder: bytes, and when it changed, in nanoseconds.

    `fault` is why nothing is known of a file that is listed; None where it is.
    """

    __slots__ = ("changed_ns", "fault", "is_folder", "size", "version")

    def __init__(self, info: dict[str, Any], fault: OSError | None = None) -> None:
        self.fault = fault
        self.is_folder = info.get("type") == "directory"
        self.size: int | None = 0 if self.is_folder else info.get("size")
        changed = next((info[key] for key in _CHANGED if info.get(key)), 0)
        self.version = str(info.get("ETag") or info.get("etag") or changed)
        if isinstance(changed, str):  # over HTTP
            with suppress(ValueError):
                changed = parsedate_to_datetime(changed)
        if isinstance(changed, datetime):
            changed = changed.timestamp()
        self.changed_ns = int(changed * _SECOND) if isinstance(changed, int | float) else 0


def entries(folder: Path) -> dict[str, Entry]:
    """What lies in a remote folder, by name; listed once, until `forget_listings`.

    Raises OSError.
    """
    at = RemotePath(folder)
    with _looking:
        if at in _listings:
            _listings.move_to_end(at)
            return _listings[at]
    found = _list(at)
    with _looking:
        _listings[at] = found
        while len(_listings) > _LISTINGS:
            _listings.popitem(last=False)
    return found


def forget_listings() -> None:
    """List folders anew from here on."""
    with _looking:
        _listings.clear()
        _asked.clear()


def _list(at: RemotePath) -> dict[str, Entry]:
    with _as_os_errors(at):
        client, path = _client(at)
        infos = client.ls(path, detail=True)
        unknown = [i for i in infos if i.get("size") is None and i.get("type") != "directory"]
    faults = _ask_of_each(client, unknown)
    found = {}
    for info in infos:
        if info["name"].strip("/") == path.strip("/"):
            continue  # some stores list the folder itself
        name = info["name"].rstrip("/").rpartition("/")[2]
        found[unquote(name) if _quoted(at) else name] = Entry(info, faults.get(info["name"]))
    # Stores have names that no path can have.
    return {name: found[name] for name in sorted(found) if name not in ("", ".", "..")}


def _ask_of_each(client: Any, infos: list[dict[str, Any]]) -> dict[str, OSError]:
    """Complete what a listing tells of files, over HTTP names alone; why of some it cannot be told.

    Raises OSError where nothing is told of any.
    """

    def ask(info: dict[str, Any]) -> OSError | None:
        name = info["name"]
        try:
            with _as_os_errors(name):
                try:
                    info.update({**client.info(name), "name": name})
                except FileNotFoundError as error:  # so fsspec calls all that a server answers
                    answer = getattr(error.__cause__, "status", None)
                    if answer is None:
                        raise
                    raise OSError(errno.EIO, f"the server answers {answer}", name) from error
        except OSError as error:
            return error
        return None

    if not infos:
        return {}
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        told = [*pool.map(ask, infos)]
    faults = {info["name"]: error for info, error in zip(infos, told, strict=True) if error}
    if len(faults) == len(infos):
        raise next(iter(faults.values()))
    return faults


def _entry(path: RemotePath) -> Entry:
    folder = RemotePath(path.parent)
    with _looking:
        listed = _listings.get(folder)
        _asked[folder] += 1
        often = _asked[folder] > _OFTEN
    if listed is None and often and len(path.parts) > 2:
        with suppress(OSError):
            listed = entries(folder)
    if listed is not None and path.name in listed and not listed[path.name].fault:
        return listed[path.name]
    with _as_os_errors(path):
        client, inside = _client(path)
        try:
            info = client.info(inside)
        except FileNotFoundError:
            # Where folders are but parts of names.
            if not client.ls(inside, detail=False):
                raise
            info = {"type": "directory"}
        if _quoted(path) and info.get("mimetype", "").startswith("text/html"):
            info["type"] = "directory"
        return Entry(info)


def _quoted(path: Path) -> bool:
    return path.parts[0] in ("http:", "https:")


def _client(path: RemotePath) -> tuple[Any, str]:
    """The thread's fsspec client, and how it calls the path."""
    scheme, *parts = path.parts
    text = "/".join(parts)
    if _quoted(path):
        text = quote(text, safe="/:@!$&'()*+,;=~")
    client = _client_of(f"{scheme}//{parts[0] if parts else ''}", threading.get_ident())
    return client, client._strip_protocol(f"{scheme}//{text}")


@lru_cache(maxsize=256)
def _client_of(url: str, thread: int) -> Any:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url, use_listings_cache=False)[0]
    except (ImportError, ValueError, OSError) as error:
        hint = ": pip install s3fs" if url.startswith("s3:") else ""
        raise InputError(redact(f"cannot open {url}: {error}{hint}")) from error


@contextmanager
def _as_os_errors(path: Path | str) -> Iterator[None]:
    """Clients of stores raise errors of their own making: these become OSError, with the path."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except Exception as error:
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, redact(explain(error, named=True)), str(path)) from error


_looking = threading.Lock()
_listings: OrderedDict[RemotePath, dict[str, Entry]] = OrderedDict()
_asked: Counter[RemotePath] = Counter()

_holding = threading.Lock()
_held: OrderedDict[Path, int] = OrderedDict()  # handles


def _copy(path: RemotePath) -> Path:
    entry = _entry(path)
    if entry.is_folder:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    cache = FileCache(cache_folder("sources"), _limit())
    # The suffix tells some decoders what a raw stream is.
    name = sha256(f"{path} {entry.size} {entry.version}".encode()) + path.suffix.lower()
    place = cache.path(name)
    with _holding:
        if place in _held and place.exists():
            _held.move_to_end(place)
            return place

    def fill(file: BinaryIO) -> None:
        with _as_os_errors(path):
            client, inside = _client(path)
            far = client.open(inside, "rb")
        with far:
            while part := _part(far, path):
                file.write(part)
        file.flush()
        if entry.size is not None and file.tell() != entry.size:
            raise OSError(errno.EIO, f"received {file.tell()} of {entry.size} bytes", str(path))

    try:
        held = cache.hold(name, entry.size or 0, fill)
    except OSError as error:
        if error.filename == str(path):
            raise  # of the store
        raise StorageError(
            f"{path} cannot be copied to {cache.folder}: {explain(error, named=True)} "
            "(XDG_CACHE_HOME names another folder for caches)"
        ) from error
    with held as file, _holding:
        if place in _held:
            os.close(_held.pop(place))
        _held[place] = os.dup(file.fileno())
        while len(_held) > _HELD:
            os.close(_held.popitem(last=False)[1])
    return place


def _part(far: BinaryIO, path: RemotePath) -> bytes:
    """The next bytes of a file at a URL; b"" at its end."""
    with _as_os_errors(path):
        return far.read(_PART)


def _limit() -> int:
    text = os.environ.get(_CACHE_VARIABLE, "").strip().upper()
    if not text:
        return _CACHE_BYTES
    match = re.fullmatch(r"([0-9]+)([KMGT]?)I?B?", text)
    if match is None or not int(match[1]):
        raise InputError(f"{_CACHE_VARIABLE}={text}: give bytes, as in 500G")
    return int(match[1]) * _UNITS[match[2]]
