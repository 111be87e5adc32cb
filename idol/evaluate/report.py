"""What `idol-eval` prints: tables for people, JSON for machines."""

from __future__ import annotations

import dataclasses
import json

from rich.console import Console
from rich.table import Table

from idol.evaluate.protocols import NAMES, protocol
from shards.inspect.console import QuietConsole

__all__ = ["print_protocols"]


def print_protocols(name: str, *, as_json: bool, console: Console | None = None) -> None:
    """Print the list of protocols, or all that one of them says.

    Raises ConfigError for an unknown name.
    """
    console = console or QuietConsole()
    if as_json or name:
        chosen = [name] if name else NAMES
        values = {each: dataclasses.asdict(protocol(each)) for each in chosen}
        console.print_json(json.dumps(values[name] if name else values))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("protocol", "hash", "frames", "images", "container", ""):
        table.add_column(column)
    for each in map(protocol, NAMES):
        container = each.snippets.container
        table.add_row(
            each.name,
            each.hash[:12],
            str(each.snippets.frames),
            each.images.frames,
            container if isinstance(container, str) else f"{container.codec} {container.crf}",
            each.title,
        )
    console.print(table)
