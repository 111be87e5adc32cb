"""The work of `idol-render`: read, make the relief, write what is asked for, report."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from idol import __version__
from idol.config.render import RenderConfig
from idol.mp4 import check_codec
from idol.render.errors import RenderError
from idol.render.files import write_exr, write_rgbd
from idol.render.footage import Footage
from idol.render.meshes import write_glb, write_ply
from idol.render.page import write_page
from idol.render.read import read_footage
from idol.render.relief import Relief, Shape, relief_of
from idol.render.turntable import write_turntable
from shards.files.atomic import (
    UNFINISHED,
    file_in_the_way,
    filled_folder,
    lies_at,
    occupied,
    remove,
)
from shards.files.digest import canonical_json, parse_json, sha256_file
from shards.files.locks import LOCK, Taken, alone_in
from shards.inspect.console import QuietConsole

__all__ = ["REPORT", "render"]

REPORT = "render.json"
# What an output needs besides the core.
_LIBRARIES = {
    "turntable": "warp", "ply": "plyfile", "glb": "trimesh", "exr": "OpenEXR",
}  # fmt: skip
# What there may be in --out. A report that a stranger made may name anything.
_WRITTEN = {"relief.html", "turntable.mp4", "rgbd.mp4", "ply", "relief.glb", "exr"}
_ASIDE = ("out", "overwrite", "video", "depth", "mask", "background")
_SHAPE = tuple(field.name for field in dataclasses.fields(Shape))


def render(config: RenderConfig) -> list[Path]:
    """Write what is asked for into a folder, whole or not at all; the paths of what was written.

    The same settings and input give the same bytes on the same machine, and what is there already
    is not made again.

    Raises:
        RenderError: what is given cannot be rendered, or the folder holds something else.
        ShardsError: a clip cannot be read.
        OSError: the folder cannot be written to.
    """
    _check(config)
    _check_folder(config)
    footage = read_footage(config)
    settings = _settings(config, footage)
    if (made := _made_already(config, settings)) is not None:
        return made
    frame = len(footage.frames) // 2 if config.mesh_frame is None else config.mesh_frame
    if frame >= len(footage.frames):
        raise RenderError(
            f"--mesh-frame {frame} is beyond the {len(footage.frames)} frames that are taken"
        )
    shape = _shape(config)
    if footage.unit == "metres" and shape.thickness != Shape.thickness:
        raise RenderError("--thickness is of relative depth, and this is in metres: leave it out")
    relief = relief_of(footage, shape)
    with _alone_in(config.out):
        if (made := _made_already(config, settings)) is not None:  # by another, meanwhile
            return made
        return _filled(config, settings, relief, frame)


def _filled(
    config: RenderConfig, settings: dict[str, Any], relief: Relief, frame: int
) -> list[Path]:
    """Write all into the folder; the paths."""
    old = _entries(config.out)
    with filled_folder(config.out, REPORT) as folder, _bars() as bar:
        written = _write(folder, relief, config, frame, bar)
        files = {
            str(path.relative_to(folder)): {
                "bytes": path.stat().st_size,
                "sha256": sha256_file(path),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        report = {**settings, **relief.told, "unit": relief.unit, "written": written}
        (folder / REPORT).write_bytes(canonical_json({**report, "files": files}, indent=1))
        new = {entry.name for entry in folder.iterdir()}
    for name in old - new:  # what an earlier run wrote, and this one does not
        remove(config.out / name)
    return [config.out / name for name in sorted(new - {REPORT})]


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(alone_in(out))
        except Taken as error:
            raise RenderError(
                f"{out} is in use by another idol-render: wait for it, stop it, or give another "
                "--out"
            ) from error
        yield


def _check(config: RenderConfig) -> None:
    """What can be told before anything is read."""
    if (file := file_in_the_way(config.out)) is not None:
        raise RenderError(f"{file} is a file: give a folder as --out")
    absent = [what for what in config.write if what in _LIBRARIES and not _there(_LIBRARIES[what])]
    if absent:
        raise RenderError(
            f"--write {' '.join(absent)} needs more: `pip install 'idol-video[render]'` installs it"
        )
    if {"turntable", "rgbd"} & set(config.write):
        check_codec()


def _check_folder(config: RenderConfig) -> None:
    """Raise RenderError where something would be replaced that is given, or that nothing says is
    ours; and, but for --overwrite, where something else is there."""
    out = config.out
    for path in (Path(config.video), config.depth, config.mask, config.background):
        if path is not None and (name := lies_at(path, out, _WRITTEN | {REPORT})) is not None:
            raise RenderError(
                f"{path} is given, and {out / name} would be written over it: give another --out"
            )
    # What a killed one of this command was putting in place is not somebody's own.
    killed = (out / f"{UNFINISHED}outputs").is_dir()
    if not out.is_dir() or _report(out) is not None or killed:
        return
    if (found := occupied(out, _WRITTEN | {REPORT})) is not None:
        raise RenderError(
            f"{found} is there, and no {REPORT} beside it says that idol-render wrote it: "
            "move it, or give another --out"
        )
    left = sorted(entry.name for entry in out.iterdir() if entry.name != LOCK)
    if left and not config.overwrite:
        raise RenderError(
            f"{out} is not empty (it holds {left[0]}), and no {REPORT} in it says that idol-render "
            "wrote there: give another --out"
        )


def _report(out: Path) -> dict[str, Any] | None:
    """What the report says; None where there is none of this program's."""
    try:
        there = parse_json((out / REPORT).read_bytes())
    except (OSError, ValueError):
        return None
    ours = isinstance(there, dict) and isinstance(there.get("files"), dict)
    return there if ours and "input_sha256" in there else None


def _there(module: str) -> bool:
    return find_spec(module) is not None


def _shape(config: RenderConfig) -> Shape:
    given = {name: getattr(config, name) for name in _SHAPE if hasattr(config, name)}
    return Shape(**{name: value for name, value in given.items() if value is not None})


def _settings(config: RenderConfig, footage: Footage) -> dict[str, Any]:
    chosen = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _ASIDE
    }
    return {
        "name": footage.name,
        "generated": footage.generated,
        "input_sha256": _digest(footage),
        # What the arrays' numbers mean: the same ones look otherwise by another camera.
        "input": {"unit": footage.unit, "focal": footage.focal, "centre": footage.centre},
        "frames": len(footage.frames),
        "fps": footage.fps,
        "settings": chosen,
        "software": {"idol-video": __version__},
    }


def _digest(footage: Footage) -> str:
    """Of all arrays that are rendered."""
    total = hashlib.sha256()
    for field in dataclasses.fields(footage):
        value = getattr(footage, field.name)
        if isinstance(value, np.ndarray):
            total.update(f"{field.name}{value.shape}{value.dtype}".encode())
            total.update(np.ascontiguousarray(value).data)
    return total.hexdigest()


def _made_already(config: RenderConfig, settings: dict[str, Any]) -> list[Path] | None:
    """The paths, where these very renderings are there, whole. Raises RenderError where others
    are."""
    if config.overwrite or (there := _report(config.out)) is None:
        return None
    here = parse_json(canonical_json(settings))
    if all(there.get(name) == here[name] for name in here):
        files = there["files"]
        whole = all(
            (config.out / name).is_file() and (config.out / name).stat().st_size == said["bytes"]
            for name, said in files.items()
        )
        names = sorted({name.split("/")[0] for name in files})
        return [config.out / name for name in names] if whole else None
    raise RenderError(
        f"{config.out} holds renderings of another input or with other settings "
        f"({_difference(there, here)}): choose another --out, or give --overwrite"
    )


def _difference(there: dict[str, Any], here: dict[str, Any]) -> str:
    """In what the report that is there differs, in a few words."""
    other = [name for name in here if name in there and there[name] != here[name]]
    if other:
        return f"{', '.join(other)} in its {REPORT}"
    missing = ", ".join(name for name in here if name not in there)
    return f"its {REPORT} is of an earlier version, and does not say {missing}"


def _entries(out: Path) -> set[str]:
    """What an earlier run of this command wrote there."""
    report = _report(out)
    return set() if report is None else _WRITTEN & {name.split("/")[0] for name in report["files"]}


_Bar = Callable[[str, int, int], None]


def _write(
    folder: Path, relief: Relief, config: RenderConfig, frame: int, bar: _Bar
) -> dict[str, Any]:
    written: dict[str, Any] = {}
    total = len(relief.frames)
    for what in dict.fromkeys(config.write):
        if what == "page":
            write_page(folder / "relief.html", relief, quality=config.quality)
            written[what] = {"frames": total}
        elif what == "turntable":
            written[what] = write_turntable(
                folder / "turntable.mp4", relief, swing=config.swing, seconds=config.seconds,
                size=config.size, samples=config.samples, depth_scale=config.depth_scale,
                on_frame=lambda done, of: bar("turntable", done, of),
            )  # fmt: skip
        elif what == "rgbd":
            written[what] = write_rgbd(folder / "rgbd.mp4", relief, config.rgbd_style)
        elif what == "glb":
            path = folder / "relief.glb"
            triangles = write_glb(path, relief, frame, depth_scale=config.depth_scale)
            written[what] = {"frame": frame, "triangles": triangles}
        else:
            part = folder / what
            part.mkdir()
            for t in range(total):
                if what == "ply":
                    scale = config.depth_scale
                    write_ply(part / f"{t:05d}.ply", relief, t, depth_scale=scale)
                else:
                    write_exr(part / f"{t:05d}.exr", relief, t)
                bar(what, t + 1, total)
            written[what] = {"files": total}
    return written


@contextmanager
def _bars() -> Iterator[_Bar]:
    """Bars on stderr, where somebody watches."""
    console = QuietConsole(stderr=True)
    progress = Progress(
        TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    tasks: dict[str, Any] = {}

    def bar(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=total)
        progress.update(tasks[name], completed=done)

    with progress:
        yield bar
