"""Terminal tables of `idol-shards`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from shards.inspect.check_shard import Fault
from shards.inspect.console import QuietConsole, human_bytes
from shards.reader import Dataset
from shards.sample.modalities import measures

__all__ = ["dataset_tables", "fault_tables", "print_all", "stats_tables"]

# Title, factor and unit of what manifests say; the other measures are the modalities' own.
_OF_MANIFESTS = {
    "person_coverage": ("person coverage", 1.0, ""),
    "keypoint_score": ("keypoint score", 1.0, ""),
}


def print_all(parts: Iterable[Table | str]) -> int:
    """Print tables, and strings as they are (no markup: keys may hold brackets). Returns 0."""
    out = QuietConsole()
    for i, part in enumerate(parts):
        if i and isinstance(part, Table):
            out.print()
        out.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))
    return 0


def dataset_tables(dataset: Dataset) -> Iterator[Table | str]:
    """`ls`: one line on the dataset, its clips by shard, then what is quarantined or ignored."""
    manifests = [shard.manifest for shard in dataset.shards]
    info = dataset.info
    state = f"{info.status}, recipe {info.fingerprint[:12]}, " if info else ""
    clips, frames = len(dataset.entries), sum(e.sample.frames for e in dataset.entries.values())
    yield (
        f"{dataset.url}: {state}{len(manifests)} shards, {clips} clips, {frames} frames, "
        f"{human_bytes(sum(m.bytes for m in manifests))}"
    )
    if clips:
        table = _table("key", shard="left", frames=0, size=0, person=0, score=0, bytes=0)
        for key, entry in dataset.entries.items():
            sample = entry.sample
            table.add_row(
                Text(key),
                entry.shard.name.removesuffix(".tar"),
                str(sample.frames),
                f"{sample.width}x{sample.height}" if sample.width else "",
                _number(sample.person_coverage),
                _number(sample.keypoint_score),
                human_bytes(sample.length),
            )
        yield table
    quarantined = [(shard, q) for shard in dataset.shards for q in shard.manifest.quarantined]
    if quarantined:
        table = _table("quarantined", shard="left", reason="left")
        for shard, q in quarantined:
            table.add_row(Text(q.key), shard.name.removesuffix(".tar"), Text(q.reason))
        yield table
    for error in dataset.ignored:
        yield f"ignored: {error}"


def stats_tables(stats: dict[str, Any]) -> Iterator[Table | str]:
    """`stats`: counts by split, bytes by modality, quality, reasons of quarantine."""
    counts = dict(stats["counts"])
    splits = {**counts.pop("splits"), "all": counts}
    table = _table("split", **dict.fromkeys(counts, 0))
    for split, row in splits.items():
        cells = [human_bytes(n) if name == "bytes" else f"{n:,}" for name, n in row.items()]
        table.add_row(split, *cells, end_section=split == list(splits)[-2])
    yield table
    if stats["modalities"]:
        table = _table("modality", clips=0, bytes=0, share=0, **{"bytes a frame": 0})
        for name, row in stats["modalities"].items():
            share, each = f"{row['share']:.1%}", f"{row['bytes_per_frame']:,.0f}"
            table.add_row(Text(name), f"{row['clips']:,}", human_bytes(row["bytes"]), share, each)
        yield table
    if stats["quality"]:
        table = _table("quality", clips=0, mean=0, p5=0, p95=0, max=0, unit="left", worst="left")
        of_modalities = {m.name: (m.title, m.factor, m.unit) for m in measures()}
        for name, (title, factor, unit) in (_OF_MANIFESTS | of_modalities).items():
            if row := stats["quality"].get(name):
                numbers = [f"{row[n] * factor:.4g}" for n in ("mean", "p5", "p95", "max")]
                worst = Text(stats["worst"].get(name, ""))
                table.add_row(title, f"{row['clips']:,}", *numbers, unit, worst)
        yield table
    if stats["quarantined"]:
        table = _table("reason of quarantine", clips=0)
        for reason, count in stats["quarantined"].items():
            table.add_row(Text(reason), f"{count:,}")
        yield table


def fault_tables(path: str, faults: list[Fault]) -> Iterator[Table | str]:
    """`verify`: each fault with its file and key, and a verdict."""
    if faults:
        table = _table("file", key="left", fault="left")
        for fault in faults:
            table.add_row(Text(fault.file), Text(fault.key), Text(fault.what))
        yield table
    verdict = f"{len(faults)} fault{'s' * (len(faults) != 1)}" if faults else "no faults"
    yield f"{path}: {verdict}"


def _table(first: str, **others: str | int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, overflow="fold")
    for name, justify in others.items():
        table.add_column(name, justify="left" if justify else "right", overflow="fold")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
