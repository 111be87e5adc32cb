"""`idol-shards`: look into a dataset, check it, take samples out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.extras import SubcommandApp

from shards.command import ALSO, run, say
from shards.errors import DamagedSample, ShardsError

__all__ = ["main"]

# Only tyro is imported here, so that --help answers at once; each command imports what it needs.

_Path = Annotated[
    Positional[str],
    arg(metavar="PATH", help="A dataset, a split's folder or one tar; local or s3://…"),
]
_Key = Annotated[
    Positional[str],
    arg(metavar="KEY", help="A sample's key, or its beginning if no other begins so."),
]
_Json = Annotated[bool, arg(help="Print JSON for machines.")]

_app = SubcommandApp()


@_app.command
def ls(path: _Path, json: _Json = False) -> int:
    """List shards and the clips in them, with those quarantined."""
    from shards.inspect import commands

    return commands.ls(path, as_json=json)


@_app.command
def show(
    path: _Path,
    key: Annotated[
        Positional[str],
        arg(metavar="[KEY]", help="Key or its beginning; without it, the first clip."),
    ] = "",
    output: Annotated[
        Path | None,
        arg(aliases=["-o"], metavar="PNG", help="Where to write it; {key}.png by default."),
    ] = None,
    json: _Json = False,
) -> int:
    """Draw a clip as a contact sheet: frames, mask, skeleton and depth over time."""
    from shards.inspect import commands

    return commands.show(path, key, output, as_json=json)


@_app.command
def stats(path: _Path, json: _Json = False) -> int:
    """Counts, bytes by modality, and how good the annotations are.

    Person coverage: fraction of a clip's frames with a person.

    Reference coverage: fraction of the foreground's square that its mask covers.

    Background shift: how far the clip's background moved since the reference frame.

    Keypoint score: mean confidence of the key points.

    Pose jitter: mean length of the joints' second difference from frame to frame (score > .3), as
    a fraction of the body's size; steady motion has none.

    Depth flicker: mean absolute change of depth from frame to frame where the person's mask holds
    in both, in units of the depth map, which spans 0 to 1.
    """
    from shards.inspect import commands

    return commands.stats(path, as_json=json)


@_app.command
def verify(path: _Path, json: _Json = False) -> int:
    """Check everything and name the shard and key of each fault; exit code 1 if there is one.

    Checksums; every member decodes; shapes and frame counts agree with the json and the manifest;
    key points are finite; hot colours lie on the hot line; foreground, background and their masks
    agree with what the json says of the reference; the index agrees with the manifests; cached
    latents are whole, finite, and of the shards as they are.
    """
    from shards.inspect import commands

    return commands.verify(path, as_json=json)


@_app.command
def extract(
    path: _Path,
    key: _Key,
    dir: Annotated[Positional[Path], arg(metavar="DIR", help="Local folder; made if absent.")],
    force: Annotated[bool, arg(help="Write over files that are there.")] = False,
    json: _Json = False,
) -> int:
    """Write a sample's members into a folder as files."""
    from shards.inspect import commands

    return commands.extract(path, key, dir, force=force, as_json=json)


@_app.command
def gallery(
    path: _Path,
    output: Annotated[Path, arg(aliases=["-o"], metavar="HTML", help="The page to write.")],
    clips: Annotated[int, arg(help="How many: half the worst by any score, half evenly.")] = 60,
    max_mb: Annotated[float, arg(help="Size of the page at most, in MB.")] = 20.0,
    json: _Json = False,
) -> int:
    """Write a page with clips in it, one HTML file that opens from disk and can be mailed.

    Frames, mask, skeleton, depths, references, scores, who made what, and the quarantined clips
    with their reasons. It asks for nothing from anywhere, and says what was left out.
    """
    from shards.inspect import commands

    return commands.gallery(path, output, clips=clips, max_mb=max_mb, as_json=json)


@_app.command
def card(
    path: _Path,
    output: Annotated[
        Path, arg(aliases=["-o"], metavar="MD", help="The card; images lie in a folder beside it.")
    ] = Path("README.md"),
    license: Annotated[
        str, arg(metavar="ID", help="Of the footage, as the hub names it, such as cc-by-4.0.")
    ] = "",
    name: Annotated[
        str, arg(help="What the dataset is called; its folder's name by default.")
    ] = "",
    json: _Json = False,
) -> int:
    """Write a dataset card as model hubs show it: counts, licences, recipe, histograms, examples.

    Scores are measured on up to 200 clips, spread evenly.
    """
    from shards.inspect import commands

    return commands.card(path, output, licence=license, name=name, as_json=json)


@_app.command
def serve(
    path: _Path,
    host: Annotated[str, arg(help="Address to listen at; other machines reach it at 0.0.0.0.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, arg(help="0 takes a free one.")] = 8640,
    name: Annotated[
        tuple[str, ...],
        arg(help="Host names by which browsers may ask, besides localhost and addresses."),
    ] = (),
) -> int:
    """Show all clips of a dataset in a browser, local or remote: the page of `gallery`, with each
    clip read when it is looked at. Nothing is unpacked.
    """
    from shards.inspect import commands

    return commands.serve(path, host=host, port=port, names=name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-shards`; the exit code: 0, 1 for faults found, or as `shards.command` says."""
    return run("idol-shards", _command, argv, errors=(ShardsError, OSError))


def _command(arguments: Sequence[str]) -> int:
    try:
        code: int = _app.cli(
            prog="idol-shards",
            description="Look into a dataset, check it, take samples out." + ALSO,
            args=arguments,
            config=(FlagCreatePairsOff,),
        )
    except DamagedSample as error:
        say("idol-shards", str(error))
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
