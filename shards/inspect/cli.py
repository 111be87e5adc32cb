"""`idol-shards`: look into a dataset, check it, take samples out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

__all__ = ["main"]

# Only tyro is imported here, so that --help answers at once; each command imports what it needs.

_Path = Annotated[
    str, arg(metavar="PATH", help="A dataset, a split's folder or one tar; local or s3://…")
]
_Key = Annotated[
    str, arg(metavar="KEY", help="A sample's key, or its beginning if no other begins so.")
]
_Json = Annotated[bool, arg(help="Print JSON for machines.")]


@dataclass(frozen=True)
class Ls:
    """List shards and the clips in them, with those quarantined."""

    path: Positional[_Path]
    json: _Json = False


@dataclass(frozen=True)
class Show:
    """Draw a clip as a contact sheet: frames, mask, skeleton and depth over time."""

    path: Positional[_Path]
    key: Annotated[
        Positional[str],
        arg(metavar="[KEY]", help="Key or its beginning; without it, the first clip."),
    ] = ""
    output: Annotated[
        Path | None,
        arg(aliases=["-o"], metavar="PNG", help="Where to write it; {key}.png by default."),
    ] = None
    json: _Json = False


@dataclass(frozen=True)
class Stats:
    """Counts, bytes by modality, and how good the annotations are.

    Person coverage: share of a clip's frames with a person.

    Keypoint score: mean confidence of the key points.

    Pose jitter: mean length of the joints' second difference from frame to frame (score > .3), as
    a share of the body's size; steady motion has none.

    Depth flicker: mean absolute change of depth from frame to frame where the person's mask holds
    in both, in units of the depth map, which spans 0 to 1.
    """

    path: Positional[_Path]
    json: _Json = False


@dataclass(frozen=True)
class Verify:
    """Check everything and name the shard and key of each fault; exit code 1 if there is one.

    Checksums; every member decodes; shapes and frame counts agree with the json and the manifest;
    key points are finite; hot colours lie on the hot line; the index agrees with the manifests;
    cached latents are whole, finite, and of the shards as they are.
    """

    path: Positional[_Path]
    json: _Json = False


@dataclass(frozen=True)
class Extract:
    """Write a sample's members into a folder as files."""

    path: Positional[_Path]
    key: Positional[_Key]
    dir: Annotated[Positional[Path], arg(metavar="DIR", help="Local folder; made if absent.")]
    force: Annotated[bool, arg(help="Write over files that are there.")] = False
    json: _Json = False


_Command = (
    Annotated[Ls, subcommand("ls")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Stats, subcommand("stats")]
    | Annotated[Verify, subcommand("verify")]
    | Annotated[Extract, subcommand("extract")]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-shards`; the exit code: 0, 1 for faults found, 2 for errors, 130 interrupted."""
    try:
        try:
            command: Ls | Show | Stats | Verify | Extract = tyro.cli(
                _Command,
                config=(FlagCreatePairsOff,),
                prog="idol-shards",
                description="Look into a dataset, check it, take samples out.",
                args=argv,
            )
        except SystemExit as stop:  # after --help, or a wrong argument
            return int(stop.code or 0)
        code = _run(command)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us has gone: leave, and let Python's own flush at exit find nothing wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(command: Ls | Show | Stats | Verify | Extract) -> int:
    from shards.errors import ShardsError
    from shards.inspect import commands

    try:
        match command:
            case Ls():
                return commands.ls(command.path, as_json=command.json)
            case Show():
                return commands.show(
                    command.path, command.key, command.output, as_json=command.json
                )
            case Stats():
                return commands.stats(command.path, as_json=command.json)
            case Verify():
                return commands.verify(command.path, as_json=command.json)
            case Extract():
                return commands.extract(
                    command.path,
                    command.key,
                    command.dir,
                    force=command.force,
                    as_json=command.json,
                )
    except (ShardsError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"idol-shards: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
