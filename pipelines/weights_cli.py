"""`idol-prep weights`: list, fetch and check the registry's external files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.extras import SubcommandApp

from preprocess import weights as registry
from preprocess.annotators.hdnet.spec import WEIGHTS
from preprocess.errors import InputError
from preprocess.external_file import ExternalFile

if TYPE_CHECKING:
    from rich.table import Table

    from shards.inspect.console import QuietConsole

__all__ = ["table", "weights_app"]

weights_app = SubcommandApp()

Names = Annotated[tuple[str, ...], tyro.conf.Positional]
Folder = Annotated[
    Path | None,
    tyro.conf.arg(help="Folder of external files. Default: $IDOL_WEIGHTS, else the user's cache."),
]

_COLOURS: dict[registry.State, str] = {
    "ok": "green",
    "absent": "yellow",
    "damaged": "red",
    "unrecorded": "cyan",
}
# Narrower than this, the licence and the source go above the files that share them.
_WIDE = 120


@weights_app.command(name="list")
def list_files(weights: Folder = None) -> int:
    """Every external file: size, licence, source, and whether it is here (see docs/weights.md)."""
    console = _console()
    states = {f: registry.state(f, weights) for f in registry.files()}
    console.print(table(str(registry.folder(weights)), states, console.width))
    return 0


@weights_app.command
def fetch(names: Names = ("lite",), weights: Folder = None) -> int:
    """Fetch files or groups of them; what is here already is kept, what was cut off is resumed.

    Args:
        names: Groups or files, as `list` shows them.
    """
    from shards.inspect.console import human_bytes

    console = _console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)  # errors are others' words

    entries = registry.files(*names)
    fetched = 0
    for f in registry.fetch(entries, weights, say):
        fetched += 1
        size = (registry.folder(weights) / f.name).stat().st_size
        console.print(f"  {f.name} ({human_bytes(size)}, {f.licence})")
    here = len(entries) - fetched
    console.print(f"{fetched} files fetched, {here} were there: {registry.folder(weights)}")
    return 0


@weights_app.command
def check(names: Names = (), weights: Folder = None) -> int:
    """Compare files' checksums; exits with 1 if one is damaged, or named and absent.

    Args:
        names: Groups or files; all that are here unless given.
    """
    console = _console()
    good = True
    for f in registry.files(*names):
        state = registry.check(f, weights)
        if state == "absent" and not names:
            continue
        right = state in ("ok", "unrecorded")
        good &= right
        console.print(f"{state}  {f.name}", style="none" if right else "red")
    return 0 if good else 1


@weights_app.command
def accept(names: Names, weights: Folder = None) -> int:
    """Take files as they are now for the right ones, where they changed since their first use.

    Args:
        names: Groups or files.
    """
    console = _console()
    if not names:
        raise InputError("accept needs the names of files or groups")
    for f in registry.files(*names):
        there = registry.accept(f, weights)
        console.print(f"{'recorded' if there else 'forgotten; it is not here'}  {f.name}")
    return 0


@weights_app.command
def where(name: Annotated[str | None, tyro.conf.Positional] = None, weights: Folder = None) -> int:
    """Print the folder of external files, or of one group.

    Args:
        name: A group or file.
    """
    if name is not None:
        registry.files(name)
    print(registry.folder(weights) / (name or ""))
    return 0


@weights_app.command
def convert_hdnet(
    ckpt_dir: tyro.conf.Positional[Path], output: Path | None = None, weights: Folder = None
) -> int:
    """Turn HDNet's published TensorFlow checkpoints into one safetensors file.

    Args:
        ckpt_dir: Folder in or below which the checkpoints of both networks lie.
        output: The file to write. Default: hdnet/hdnet.safetensors in the folder of external
            files.
    """
    from shards.inspect.console import human_bytes

    console = _console()
    try:
        from preprocess.annotators.hdnet import weights_file
    except ModuleNotFoundError as error:
        raise _needs_training(error, "convert-hdnet") from error

    path = output or registry.folder(weights) / WEIGHTS.name
    found = weights_file.read_checkpoints(ckpt_dir)
    for kind, network in found.items():
        step = "" if network.step is None else f", step {network.step}"
        console.print(f"{kind}: {network.parameters:,} parameters in {network.prefix}{step}")
    weights_file.save_networks({kind: network.state for kind, network in found.items()}, path)
    if output is None:
        registry.accept(WEIGHTS, weights)
    console.print(f"written: {path} ({human_bytes(path.stat().st_size)})")
    return 0


@weights_app.command
def to_safetensors(
    file: tyro.conf.Positional[Path], nested: str | None = None, output: Path | None = None
) -> int:
    """Write the tensors of a file of torch.save as safetensors; no code in it is run.

    Args:
        file: The file to read.
        nested: The entry that holds the tensors, where they are not at the top.
        output: The file to write. Default: the same name with .safetensors.
    """
    from shards.inspect.console import human_bytes

    console = _console()
    try:
        from preprocess.annotators.torch.loading import load_state, save_state
    except ModuleNotFoundError as error:
        raise _needs_training(error, "to-safetensors") from error

    path = output or file.parent / f"{file.stem}.safetensors"
    if path.exists():
        raise InputError(f"{path} exists already: remove it, or name another by --output")
    state = load_state(file, nested)
    save_state(state, path)
    console.print(f"written: {path} ({len(state)} tensors, {human_bytes(path.stat().st_size)})")
    return 0


def _console() -> QuietConsole:
    from shards.inspect.console import QuietConsole  # and rich, which --help does not need

    return QuietConsole()


def _needs_training(error: ModuleNotFoundError, command: str) -> Exception:
    """The same error, or in words where training's packages are not installed."""
    if error.name not in ("torch", "safetensors"):
        return error
    return InputError(f"{command} needs {error.name}: install it with `make install-train`")


def table(title: str, states: dict[ExternalFile, registry.State], width: int) -> Table:
    """The registry's files by group, readable from 80 columns on."""
    from rich.table import Table

    from shards.inspect.console import human_bytes

    wide = width >= _WIDE
    shown = Table(title=title, title_justify="left", show_edge=False, pad_edge=False, box=None)
    shown.add_column("file", overflow="fold")
    shown.add_column("size", no_wrap=True, justify="right")
    if wide:
        shown.add_column("licence", overflow="fold")
        shown.add_column("from", overflow="fold")
    shown.add_column("here", no_wrap=True)
    above = None
    for entry, state in states.items():
        size = human_bytes(entry.bytes) if entry.bytes else "?"
        here = f"[{_COLOURS[state]}]{state}[/]"
        if wide:
            shown.add_row(entry.name, size, entry.licence, entry.source.label, here)
            continue
        origin = f"[dim]{entry.licence}; {entry.source.label}[/]"
        if origin != above:
            shown.add_row(origin)
            above = origin
        shown.add_row(entry.name, size, here)
    return shown
