"""`idol-prep weights`: list, fetch and check the registry's external files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table
from tyro.extras import SubcommandApp

from preprocess import weights as registry
from preprocess.errors import InputError
from shards.console import QuietConsole, human_bytes

__all__ = ["weights_app"]

weights_app = SubcommandApp()
console = QuietConsole()

Names = Annotated[tuple[str, ...], tyro.conf.Positional]


@weights_app.command(name="list")
def list_files(weights: Path | None = None) -> int:
    """Every external file: what it is, from where, its licence, and whether it is here.

    Args:
        weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
    """
    table = Table(title=str(registry.folder(weights)), title_justify="left")
    for name in ("file", "what", "size", "licence", "from", "here"):
        table.add_column(name, no_wrap=name in ("file", "here"))
    for f in registry.files():
        state = registry.check(f, weights)
        colour = {"ok": "green", "absent": "yellow", "damaged": "red", "unrecorded": "cyan"}[state]
        size = human_bytes(f.bytes) if f.bytes else "?"
        table.add_row(f.name, f.what, size, f.licence, f.source.label, f"[{colour}]{state}")
    console.print(table)
    return 0


@weights_app.command
def fetch(names: Names = ("lite",), weights: Path | None = None) -> int:
    """Fetch files or groups of them (lite, footage); what is here already is kept.

    Args:
        names: Groups or files.
        weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
    """
    entries = registry.files(*names)
    fetched = 0
    for f in registry.fetch(entries, weights):
        fetched += 1
        console.print(f"  {f.name} ({f.licence})")
    here = len(entries) - fetched
    console.print(f"{fetched} files fetched, {here} were there: {registry.folder(weights)}")
    return 0


@weights_app.command
def check(names: Names = (), weights: Path | None = None) -> int:
    """Compare files' checksums; exits with 1 if one is damaged, or named and absent.

    Args:
        names: Groups or files; all that are here unless given.
        weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
    """
    good = True
    for f in registry.files(*names):
        state = registry.check(f, weights)
        if state == "absent" and not names:
            continue
        good &= state == "ok"
        console.print(f"{state}  {f.name}", style="none" if state == "ok" else "red")
    return 0 if good else 1


@weights_app.command
def where(
    name: Annotated[str | None, tyro.conf.Positional] = None, weights: Path | None = None
) -> int:
    """Print the folder of external files, or of one group.

    Args:
        name: A group or file.
        weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
    """
    if name is not None:
        registry.files(name)
    print(registry.folder(weights) / (name or ""))
    return 0


@weights_app.command
def convert_hdnet(
    ckpt_dir: tyro.conf.Positional[Path], output: Path | None = None, weights: Path | None = None
) -> int:
    """Turn HDNet's published TensorFlow checkpoints into one safetensors file.

    Args:
        ckpt_dir: Folder in or below which the checkpoints of both networks lie.
        output: The file to write. Default: hdnet/hdnet.safetensors in the folder of external
            files.
        weights: Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache.
    """
    try:
        from preprocess.depths.hdnet import weights_file
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise InputError(
            f"convert-hdnet needs {error.name}: install it with `make install-train`"
        ) from error

    path = output or registry.folder(weights) / weights_file.FILE_NAME
    found = weights_file.read_checkpoints(ckpt_dir)
    for kind, network in found.items():
        step = "" if network.step is None else f", step {network.step}"
        console.print(f"{kind}: {network.parameters:,} parameters in {network.prefix}{step}")
    weights_file.save_networks({kind: network.state for kind, network in found.items()}, path)
    console.print(f"written: {path} ({human_bytes(path.stat().st_size)})")
    return 0
