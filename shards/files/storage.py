"""A folder on a disk or in an object store, where a file is either whole or absent."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from shards.errors import StorageError
from shards.files.atomic import TEMPORARY, publish, sync, temporary_path
from shards.files.home import expanded
from shards.files.locks import BUILDING, LOCK
from shards.files.s3 import abort_uploads, is_s3, upload
from shards.files.secrets import has_secret, redact
from shards.files.system_errors import explain

__all__ = ["WAITING", "Output", "Store"]

# A dataset's folder of clips whose shard is not complete yet (`shards.waiting`).
WAITING = ".waiting"


@dataclass(frozen=True)
class Store:
    """A folder, local or of any fsspec URL (`s3://bucket/data`). Names are relative, with `/`.

    Make one by `Store.at`. A Store is small and may be pickled to other processes.
    All methods raise StorageError, naming the file, when the system refuses.
    """

    fs: Any
    root: str

    @classmethod
    def at(cls, url: str | os.PathLike[str] | Store) -> Store:
        """The store of a path or URL; nothing is created. StorageError for an empty one."""
        if isinstance(url, Store):
            return url
        text = os.fspath(url)
        if not text:
            raise StorageError("the path is empty: give a folder or a URL (`.` is this folder)")
        if "://" not in text:  # fsspec would read meaning into `::` in a local path
            return cls(LocalFileSystem(), str(expanded(text).absolute()))
        if has_secret(text):
            raise StorageError(
                f"{redact(text)}: holds a password or a signature, which would be written into "
                "messages: leave it out of the URL, and give it by the store's own settings or "
                "variables (docs/stores.md)"
            )
        try:
            # Without listings cache: others may be writing to the folder that we look at.
            fs, root = fsspec.core.url_to_fs(text, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            hint = ": pip install s3fs" if text.startswith("s3://") else ""
            raise StorageError(redact(f"cannot open {text}: {error}{hint}")) from error
        return cls(fs, root.rstrip("/"))

    @property
    def is_local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    def url(self, name: str = "") -> str:
        """How a user would write the path of a file: a plain path, or a URL."""
        path = self._path(name)
        return path if self.is_local else str(self.fs.unstrip_protocol(path))

    def folder(self, name: str) -> Store:
        """The store of a folder in this one; itself for an empty name."""
        return Store(self.fs, self._path(name))

    def size(self, name: str = "") -> int | None:
        """Bytes in a file; None when there is no such file."""
        with self.translated("read", name):
            try:
                info = self.fs.info(self._path(name))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return None if info["type"] == "directory" else int(info["size"])

    def list(self, name: str = "") -> dict[str, bool]:
        """Entries of a folder by name, True for folders. An absent folder is an empty one.

        Temporaries that a killed writer left, locks, what says who builds, and clips that wait for
        their shard are not shown.
        """
        return {n: size is None for n, size in self.contents(name).items()}

    def contents(self, name: str = "") -> dict[str, int | None]:
        """What `list` shows, with the bytes of each file, and None for folders, in one request."""
        entries = self._entries(name)
        hidden = (BUILDING, LOCK, WAITING)
        shown = (n for n in sorted(entries) if n not in hidden and not TEMPORARY.fullmatch(n))
        return {n: entries[n] for n in shown}

    def sizes(self, name: str = "") -> dict[str, int]:
        """Bytes of each file in a folder, by name, in one request."""
        return {n: size for n, size in self._entries(name).items() if size is not None}

    def read_if_there(self, name: str) -> bytes | None:
        """A file's bytes, in one request; None when there is no such file."""
        with self.translated("read", name):
            try:
                return self.fs.cat_file(self._path(name))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def read(self, name: str = "", start: int | None = None, end: int | None = None) -> bytes:
        """A file's bytes, or those from `start` up to `end`."""
        with self.translated("read", name):
            return self.fs.cat_file(self._path(name), start=start, end=end)

    def open(self, name: str = "") -> BinaryIO:
        """A seekable file to read from."""
        with self.translated("read", name):
            return self.fs.open(self._path(name), "rb")

    @contextmanager
    def write(self, name: str, *, flushed: bool = True) -> Iterator[Output]:
        """A file to write to that takes its name, whole, when the block ends without an error.

        Locally: a temporary in the same folder, flushed to disk, renamed. In an object store: one
        upload, which such stores show only when it is complete, and which is aborted if it fails.
        What is not `flushed` survives a kill, but a power cut may lose it or leave another content.
        """
        with ExitStack() as scratch:
            if self.is_local:
                path = Path(self._path(name))
            else:
                path = Path(scratch.enter_context(tempfile.TemporaryDirectory()), "upload")
            temporary = temporary_path(path)
            with self.translated("write", name):
                path.parent.mkdir(parents=True, exist_ok=True)
                file = temporary.open("xb")
            try:
                yield Output(self, name, file)
                with self.translated("write", name):
                    file.close()
                    if flushed:
                        publish(temporary, path)
                    else:
                        temporary.replace(path)
                    if is_s3(self.fs):
                        upload(self.fs, path, self._path(name))
                    elif not self.is_local:
                        self.fs.put_file(str(path), self._path(name))
            except BaseException:
                with suppress(OSError):  # what could not be written before, and was told
                    file.close()
                temporary.unlink(missing_ok=True)
                raise

    def write_bytes(self, name: str, data: bytes, *, flushed: bool = True) -> None:
        """`write` for what is already in memory."""
        with self.write(name, flushed=flushed) as output:
            output.write(data)

    def remove(self, name: str) -> None:
        """Remove a file if it is there; once this returns it stays gone, even in a power cut."""
        path = self._path(name)
        with self.translated("remove", name):
            try:
                self.fs.rm_file(path)
            except FileNotFoundError:
                return
            if self.is_local:
                sync(Path(path).parent)

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        path = self._path(name)
        with self.translated("remove", name):
            if has_magic(path) and not self.is_local:  # which `rm` would take for a pattern
                for file in self.fs.find(path):
                    self.fs.rm_file(file)
                return
            try:
                self.fs.rm(path, recursive=True)
            except FileNotFoundError:
                return

    def check_writable(self) -> None:
        """Try to write into the folder, or where it would be made; nothing is left behind.

        Raises StorageError, saying why, for a file and wherever files cannot be written.
        """
        if self.size() is not None:
            raise StorageError(f"{self.url()}: is a file; choose a folder")
        folder = Path(self.root)
        if self.is_local:
            while not folder.is_dir():
                if folder.exists() or folder.is_symlink():
                    raise StorageError(
                        f"cannot make {self.root}: {folder} is not a folder; choose another"
                    )
                folder = folder.parent
        there = Store(self.fs, str(folder)) if self.is_local else self
        probe = temporary_path(Path("probe")).name
        try:
            there.write_bytes(probe, b"", flushed=False)
            there.remove(probe)
        except StorageError as error:
            why = str(error).rpartition(f"{probe}: ")[2]
            raise StorageError(f"cannot write into {there.url()}: {why}") from error

    def sweep(self, name: str = "", file: str = "") -> None:
        """Remove temporaries that a killed writer left in a folder, or of one `file` there.

        On S3 these are uploads that were not completed.
        """
        if is_s3(self.fs) and not file:
            abort_uploads(self.fs, self._path(name))
        for entry in self._entries(name):
            if TEMPORARY.fullmatch(entry) and entry.startswith(f".{file}"):
                self.remove(f"{name}/{entry}" if name else entry)

    def _entries(self, name: str) -> dict[str, int | None]:
        """Names in a folder, and the bytes of those that are files."""
        with self.translated("list", name):
            try:
                entries = self.fs.ls(self._path(name), detail=True)
            except FileNotFoundError:
                return {}
        found = {
            e["name"].rstrip("/").rpartition("/")[2]: (
                None if e["type"] == "directory" else int(e["size"] or 0)
            )
            for e in entries
        }
        found.pop("", None)  # some object stores list the folder itself
        return found

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    @contextmanager
    def translated(self, verb: str, name: str) -> Iterator[None]:
        """Errors of the system in here become StorageErrors: "cannot {verb} {url}: why"."""
        try:
            yield
        except Exception as error:
            # Clients of object stores raise errors of their own making for refused access.
            if self.is_local and not isinstance(error, OSError):
                raise
            why = explain(error, named=True)
            raise StorageError(redact(f"cannot {verb} {self.url(name)}: {why}")) from error


class Output:
    """A file being written: counts and hashes what goes in.

    Failures of the disk are told apart from those of whoever computes the data.
    """

    def __init__(self, store: Store, name: str, file: BinaryIO) -> None:
        self._store, self._name, self._file = store, name, file
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Checksum of what has been written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        with self._store.translated("write", self._name):
            self._file.write(data)
        self._hash.update(data)
        self.bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.bytes
