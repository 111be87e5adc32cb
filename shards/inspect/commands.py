"""What each command of `idol-shards` prints: tables for people, `--json` for machines."""

import json
import math
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.progress import track as rich_track
from rich.table import Table
from rich.text import Text

from shards.command import native_errors_hidden, say
from shards.errors import (
    BadSample,
    BadTar,
    DamagedSample,
    ShardsError,
    StorageError,
    UnsafeMember,
)
from shards.files.home import expanded
from shards.files.storage import Store
from shards.inspect.console import QuietConsole, human_bytes
from shards.inspect.stats import dataset_stats, scores
from shards.inspect.verify import Fault
from shards.inspect.verify import verify as find_faults
from shards.reader import Dataset, Entry, open_dataset, read_sample
from shards.sample.codec import check_member
from shards.sample.modalities import measures, split_name

__all__ = ["FAULTS", "card", "extract", "gallery", "ls", "serve", "show", "stats", "verify"]

FAULTS = 1  # exit code of a command that found something damaged
_NAME = "idol-shards"
_SHOWN = 5  # damaged samples named one by one


def ls(path: str, *, as_json: bool) -> int:
    dataset = open_dataset(path)
    if as_json:
        _print_json(
            {
                "path": dataset.url,
                "dataset": dataset.info and dataset.info.as_json(),
                "shards": [{"tar": s.name, **asdict(s.manifest)} for s in dataset.shards],
                "ignored": [str(error) for error in dataset.ignored],
            }
        )
    else:
        _print_all(_dataset_tables(dataset))
    return _told_ignored(dataset)


def show(path: str, key: str, output: Path | None, *, as_json: bool) -> int:
    from shards.inspect.sheet import contact_sheet
    from shards.sample.codec import decode_clip

    if output and output.suffix.lower() != ".png":
        raise ShardsError(f"{output}: the image is a PNG; name it {output.stem}.png")
    dataset = open_dataset(path)
    entry = dataset.find(key or next(iter(dataset.entries), ""))
    target = expanded(output or f"{entry.key}.png")
    if not target.parent.is_dir():
        raise StorageError(f"cannot write {target}: there is no folder {target.parent}; make it")
    with native_errors_hidden(), _damage_named(dataset, entry):
        clip = decode_clip(read_sample(entry))
    image = contact_sheet(clip, source=entry.shard.name)
    Store.at(target.parent).write_bytes(target.name, image)
    if as_json:
        return _print_json({"key": entry.key, "shard": entry.shard.url, "image": str(target)})
    return _print_all([f"{entry.key}: {target}"])


def gallery(path: str, output: Path, *, clips: int, max_mb: float, as_json: bool) -> int:
    from shards.inspect.gallery.file import gallery as make

    target = expanded(output)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ShardsError(f"{output}: the page is an HTML file; name it {output.stem}.html")
    if not target.parent.is_dir():
        raise StorageError(f"cannot write {target}: there is no folder {target.parent}; make it")
    if clips < 1 or not (math.isfinite(max_mb) and max_mb > 0):
        raise ShardsError("--clips and --max-mb must be numbers above 0")
    dataset = open_dataset(path)
    with native_errors_hidden():
        made = make(
            dataset,
            clips=clips,
            limit=int(max_mb * 1e6),
            track=lambda items, what: _progress(what)(items),
        )
    Store.at(target.parent).write_bytes(target.name, made.html.encode())
    report = {**made.report, "page": str(target)}
    if as_json:
        _print_json(report)
    else:
        lines = [f"{target}: {report['clips']} clips, {human_bytes(report['bytes'])}"]
        _print_all(lines + [f"left out: {line}" for line in report["left_out"]])
    return _told_ignored(dataset)


def card(path: str, output: Path, *, licence: str, name: str, as_json: bool) -> int:
    from shards.inspect.card import card as make
    from shards.inspect.card import is_card

    target = expanded(output)
    if target.suffix.lower() != ".md":
        raise ShardsError(f"{output}: the card is Markdown; name it {output.stem}.md")
    if not target.parent.is_dir():
        raise StorageError(f"cannot write {target}: there is no folder {target.parent}; make it")
    if target.exists() and not is_card(target):
        raise StorageError(f"{target}: is there already, and no card of a dataset; name another")
    dataset = open_dataset(path)
    folder = f"{target.stem}-images"
    with native_errors_hidden():
        made = make(
            dataset, folder=folder, licence=licence, name=name, track=_progress("reading clips")
        )
    store = Store.at(target.parent)
    images = [f"{folder}/{file}" for file in made.images]
    for file, data in zip(images, made.images.values(), strict=True):
        store.write_bytes(file, data)
    store.write_bytes(target.name, made.text.encode())
    if as_json:
        _print_json({"card": str(target), "images": [str(target.parent / i) for i in images]})
    else:
        _print_all([f"{target}, with {len(images)} images in {target.parent / folder}"])
    return _told_ignored(dataset)


def serve(path: str, *, host: str, port: int, names: Sequence[str]) -> int:
    from shards.inspect.gallery.serve import serve as answer

    dataset = open_dataset(path)

    def started(url: str) -> None:
        _print_all([f"{dataset.url}: {url} (Ctrl-C stops it)"])
        sys.stdout.flush()

    with native_errors_hidden():
        answer(dataset, host, port, names, started)
    return 0


def stats(path: str, *, as_json: bool) -> int:
    dataset = open_dataset(path)
    with native_errors_hidden():
        numbers = dataset_stats(dataset, track=_progress("reading clips"))
    if as_json:
        _print_json(numbers)
    else:
        _print_all(_stats_tables(numbers))
    damaged = numbers["damaged"]
    for line in damaged[:_SHOWN]:
        say(_NAME, f"damaged, and left out of quality: {line}")
    if damaged:
        more = f"{len(damaged) - _SHOWN} more; " if len(damaged) > _SHOWN else ""
        say(_NAME, f"{more}{_all_faults(dataset)}")
    return _told_ignored(dataset) or (FAULTS if damaged else 0)


def verify(path: str, *, as_json: bool) -> int:
    with native_errors_hidden():
        faults = list(find_faults(path, track=_progress("checking shards")))
    if as_json:
        _print_json({"path": Store.at(path).url(), "faults": [asdict(fault) for fault in faults]})
    else:
        _print_all(_fault_tables(Store.at(path).url(), faults))
    return FAULTS if faults else 0


def extract(path: str, key: str, folder: Path, *, force: bool, as_json: bool) -> int:
    dataset = open_dataset(path)
    entry = dataset.find(key)
    with native_errors_hidden(), _damage_named(dataset, entry):
        paths = _extract_sample(entry, folder, force=force)
    if as_json:
        return _print_json({"key": entry.key, "files": [str(path) for path in paths]})
    return _print_all([f"{entry.key}: {len(paths)} files in {folder}"])


def _told_ignored(dataset: Dataset) -> int:
    """The exit code, after a word on shards that could not be used."""
    # While it is built, shards that are not there yet are no fault.
    building = dataset.info is not None and dataset.info.status != "complete"
    if not dataset.ignored or building:
        return 0
    say(_NAME, f"{len(dataset.ignored)} shards were ignored: {_all_faults(dataset)}")
    return FAULTS


@contextmanager
def _damage_named(dataset: Dataset, entry: Entry) -> Iterator[None]:
    """Damage found in here is reported with the sample's shard and key, and where to read more."""
    try:
        yield
    except UnsafeMember:
        raise
    except (BadSample, BadTar) as error:
        where = f"{entry.shard.url}: sample {entry.key}"
        what = str(error).removeprefix(f"{where}: ")
        raise DamagedSample(f"{where}: {what}; {_all_faults(dataset)}") from error


def _all_faults(dataset: Dataset) -> str:
    return f"`idol-shards verify {shlex.quote(dataset.url)}` names every fault"


def _progress(what: str) -> Callable[[list[Any]], Iterable[Any]]:
    console = QuietConsole(stderr=True)
    return lambda items: rich_track(
        items, what, console=console, transient=True, disable=not console.is_terminal
    )


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2))
    return 0


_SPREAD = ("mean", "min", "p5", "p95", "max")


def _print_all(parts: Iterable[Table | str]) -> int:
    """Print tables, and strings as they are (no markup: keys may hold brackets). Returns 0."""
    out = QuietConsole()
    for i, part in enumerate(parts):
        if i and isinstance(part, Table):
            out.print()
        out.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))
    return 0


def _dataset_tables(dataset: Dataset) -> Iterator[Table | str]:
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
        numbers = dict.fromkeys(("frames", "size", "person", "score", "reference"), 0)
        table = _table("key", shard="left", **numbers, subject="left", bytes=0)
        for key, entry in dataset.entries.items():
            sample = entry.sample
            table.add_row(
                Text(key),
                entry.shard.name.removesuffix(".tar"),
                str(sample.frames),
                f"{sample.width}x{sample.height}" if sample.width else "",
                _number(sample.person_coverage),
                _number(sample.keypoint_score),
                _number(sample.reference_coverage),
                Text(sample.subject or ""),
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


def _stats_tables(stats: dict[str, Any]) -> Iterator[Table | str]:
    """`stats`: counts by split, bytes by modality, quality, reasons of quarantine."""
    counts = {name: n for name, n in stats["counts"].items() if name not in ("kinds", "reasons")}
    splits = {**counts.pop("splits"), "all": counts}
    table = _table("split", **dict.fromkeys(counts, 0))
    for split, row in splits.items():
        cells = [human_bytes(n) if name == "bytes" else f"{n:,}" for name, n in row.items()]
        table.add_row(split, *cells, end_section=len(splits) > 1 and split == list(splits)[-2])
    yield table
    if stats["modalities"]:
        table = _table("modality", clips=0, bytes=0, fraction=0, **{"bytes a frame": 0})
        for name, row in stats["modalities"].items():
            fraction, each = f"{row['fraction']:.1%}", f"{row['bytes_per_frame']:,.0f}"
            table.add_row(
                Text(name), f"{row['clips']:,}", human_bytes(row["bytes"]), fraction, each
            )
        yield table
    if stats["quality"]:
        columns = dict.fromkeys(_SPREAD, 0)
        table = _table("quality", clips=0, **columns, unit="left", worst="left")
        for name, score in scores().items():
            if row := stats["quality"].get(name):
                numbers = [f"{row[n] * score.factor:.4g}" for n in _SPREAD]
                worst = Text(stats["worst"].get(name, ""))
                table.add_row(score.title, f"{row['clips']:,}", *numbers, score.unit, worst)
        yield table
    if stats["counted"]:
        table = _table("counted", total=0, clips=0, fraction=0, worst="left")
        for measure in measures():
            if row := stats["counted"].get(measure.name):
                affected = f"{row['affected']} of {row['clips']}"
                fraction = f"{row['affected'] / row['clips']:.1%}"
                worst = Text(stats["worst"].get(measure.name, ""))
                table.add_row(measure.title, f"{row['total']:,}", affected, fraction, worst)
        yield table
    if stats["quarantined"]:
        table = _table("reason of quarantine", clips=0)
        for reason, count in stats["quarantined"].items():
            table.add_row(Text(reason), f"{count:,}")
        yield table


def _fault_tables(path: str, faults: list[Fault]) -> Iterator[Table | str]:
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


def _extract_sample(entry: Entry, folder: str | Path, *, force: bool = False) -> list[Path]:
    """Write a sample's members into a local folder, made if absent; their paths are returned.

    Nothing is written unless all may be: UnsafeMember for a member that is not a plain file of
    this sample, BadSample for one that is damaged, StorageError for one that is there already,
    unless `force`.
    """
    if "://" in str(folder):
        raise StorageError(f"{folder}: is no local folder; samples are extracted to a disk")
    target = expanded(folder)
    if target.is_file():
        raise StorageError(f"{folder}: is a file; choose a folder")
    members = read_sample(entry)
    for name, data in members:
        if split_name(name)[0] != entry.key:
            raise UnsafeMember(
                f"{entry.shard.url}: member {name!r} is not of sample {entry.key}; refused"
            )
        check_member(name, data)
    paths = [target / name for name, _ in members]
    taken = [path for path in paths if path.is_symlink() or path.exists()]
    if taken and not force:
        raise StorageError(f"{taken[0]}: is there already; --force writes over it")
    store = Store.at(target)
    for name, data in members:
        # Written aside and renamed, so that a link in the folder is replaced and not followed.
        store.write_bytes(name, data)
    return paths
