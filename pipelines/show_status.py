"""The tables of `idol-prep status`."""

from rich.markup import escape
from rich.table import Table

from pipelines.status import Builder, Status
from shards.inspect.console import QuietConsole, human_bytes, human_duration

__all__ = ["show_status"]

_SHOWN = 8  # reasons named one by one


def show_status(status: Status) -> None:
    """Print it."""
    console = QuietConsole()
    table = Table(
        title=f"{escape(status.out)}: {_STATES[status.state]}",
        title_justify="left",
        show_header=False,
    )
    unknown = "unknown"
    shards = unknown if status.shards_planned is None else status.shards_planned
    table.add_row(
        "planned",
        unknown if status.planned is None else f"{status.planned} clips in {shards} shards",
    )
    table.add_row(
        "committed",
        f"{status.committed} clips in {status.shards} shards, {human_bytes(status.bytes)}",
    )
    kinds = ", ".join(f"{count} {kind}" for kind, count in status.kinds.items())
    table.add_row("quarantined", f"{status.quarantined}" + (f" ({kinds})" if kinds else ""))
    waiting = f" ({status.made} of them made, waiting for their shard)" if status.made else ""
    table.add_row(
        "remaining", unknown if status.remaining is None else f"{status.remaining}{waiting}"
    )
    if status.clips_per_second:
        rate = f"{status.clips_per_second:.2f} clips/s, {status.frames_per_second:.1f} frames/s"
        left = status.seconds_left
        table.add_row("rate", rate + (f", about {human_duration(left)} left" if left else ""))
    if status.builder is not None:
        table.add_row("who builds" if status.builder.alive else "who built", _who(status.builder))
    if status.builder is not None and status.builder.why:
        table.add_row("ended", escape(status.builder.why))
    console.print(table)
    if status.reasons:
        reasons = Table(title="quarantined", title_justify="left")
        reasons.add_column("clips", justify="right")
        reasons.add_column("why", overflow="fold")
        for reason, count in list(status.reasons.items())[:_SHOWN]:
            reasons.add_row(str(count), escape(reason))
        if rest := list(status.reasons.values())[_SHOWN:]:
            reasons.add_row(str(sum(rest)), f"{len(rest)} more: --json has them")
        console.print(reasons)
    if not status.adds_up:
        console.print(
            f"[red]planned {status.planned}, but committed and quarantined are "
            f"{status.committed + status.quarantined}[/]: run the build's command again"
        )
    for problem in status.problems[:_SHOWN]:
        console.print(f"[red]{escape(problem)}[/]")


_STATES = {
    "building": "building",
    "complete": "complete",
    "stopped": "stopped; the build's command resumes",
    "failed": "failed; the build's command resumes",
    "died": "[red]its build died[/]; the build's command resumes",
}


def _who(builder: Builder) -> str:
    on = f", {builder.workers} Ray workers" if builder.workers else ""
    return (
        f"{escape(builder.user)}@{escape(builder.host)}, process {builder.pid}{on}; began "
        f"{human_duration(builder.began)} ago, heard of {human_duration(builder.seen)} ago"
    )
