"""What `idol-prep build` shows: the plan and its cost, progress, the summary."""

from __future__ import annotations

import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import rich.progress
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from pipelines.build import BuildSummary, estimate
from pipelines.compute import Compute
from pipelines.notices import notices
from pipelines.plan import Plan
from pipelines.reporter import Reporter, Standing
from preprocess.errors import InputError
from preprocess.shots import in_words
from preprocess.sources.values import Split
from shards.command import as_typed
from shards.inspect.console import QuietConsole, human_bytes, human_duration
from shards.manifest import Manifest, Quarantined

__all__ = [
    "Listing",
    "Progress",
    "cost",
    "heading",
    "mixed",
    "plan",
    "summary",
    "too_many",
]

console = QuietConsole()

# Most reasons of one kind that are shown one by one.
REASONS = 8
# Columns of a heading that goes into a file.
HEADING = 80
# Seconds between the lines of a build that nobody watches: at first, and after some minutes.
FIRST_LINES, LAST_LINES = 5.0, 60.0


class Listing:
    """Counts files while the source is read, and frames while their cuts are looked for."""

    def __init__(self) -> None:
        self._files = self._frames = 0
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("")
        self._lines = _NowAndThen(self._say)

    def __enter__(self) -> Listing:
        self._bar.start()
        if not console.is_terminal:
            self._lines.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.stop()
        self._bar.stop()

    def file(self) -> None:
        """One more file has been read."""
        self._files += 1
        self._bar.update(self._task, description=self._say())

    def frames(self, count: int) -> None:
        """So many more frames have been looked at."""
        self._frames += count
        self._bar.update(self._task, description=self._say())

    def _say(self) -> str:
        if self._frames:
            return f"looking for cuts: {self._frames} frames"
        return f"reading the source: {self._files} files"


def plan(plan: Plan) -> None:
    """What will be made of the source."""
    table = Table(title="plan", title_justify="left", show_header=False)
    recipe = plan.recipe
    counts = Counter(plan.splits)
    by_split = ", ".join(f"{n} {split or 'left out'}" for split, n in _in_order(counts))
    table.add_row("videos", f"{len(plan.videos)} ({by_split})")
    step = f", every {recipe.frame_step}. frame" if recipe.frame_step > 1 else ""
    table.add_row("clips", f"{plan.clips} of {recipe.frames} frames{step}, {recipe.size} px")
    table.add_row("shards", str(len(plan.shards)))
    if len(plan.generations) > 1:
        before = plan.generations[-2].videos
        added = f"{len(plan.videos) - before} videos were new in the last"
        table.add_row("generations", f"{len(plan.generations)}; {added}")
    made_by = [f"{m}: {c.title}" for m, c in recipe.chosen.items() if m != "person"]
    table.add_row("annotations", ", ".join(made_by) or "none")
    if plan.shots.breaks:
        table.add_row("shots", shots(plan))
    console.print(table)
    _show_left_out(plan, ())
    for notice in notices(plan):
        console.print(f"[yellow]note[/] {escape(notice)}")
    if plan.recipe.group_by is not None or None in counts:
        for rule in plan.split_rules:
            console.print(f"split: {escape(rule)}")


def _in_order(counts: Counter[Split | None]) -> list[tuple[Split | None, int]]:
    return sorted(counts.items(), key=lambda item: (item[0] is None, item[0] or ""))


def shots(plan: Plan) -> str:
    """How many shots there are, what ends them, and what of them is too short for a clip."""
    found = plan.shots
    ends = [in_words(why, count) for why, count in sorted(found.breaks.items())]
    text = f"{found.shots} in {found.videos} videos, by {' and '.join(ends)}"
    if found.short:
        text += f"; {found.short} under {plan.recipe.span} frames ({found.short_frames} frames)"
    return text


def cost(plan: Plan, compute: Compute, weights: Path | None) -> None:
    """What the plan will cost in time and space."""
    try:
        e = estimate(plan, compute, weights)
    except InputError as error:
        console.print(f"no cost estimate: {escape(str(error))}")
        return
    frames = plan.recipe.frames
    ray = e.workers > 0
    table = Table(
        title=f"cost, measured on {e.clips_tried} clips", title_justify="left", show_header=False
    )
    table.add_row(
        "a clip", f"{e.clip_seconds:.2f} s, {e.clip_seconds / frames * 1e3:.0f} ms a frame"
    )
    table.add_row("a shot", f"{e.survey_seconds:.2f} s for its survey")
    table.add_row(
        "starting", f"{human_duration(e.start_seconds)}" + (", most of it for Ray" if ray else "")
    )
    where = f"on {e.workers} workers of Ray" if ray else "in this process, without Ray"
    table.add_row("time", f"{_about(e.total_seconds)} {where}")
    table.add_row("space", f"{human_bytes(e.total_bytes)} ({human_bytes(e.clip_bytes)} a clip)")
    console.print(table)


class Progress(Reporter):
    """A bar with clips, frames per second, time left and failures; plain lines off a terminal."""

    def __init__(self) -> None:
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.completed}/{task.total} clips"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.fields[rate]}"),
            rich.progress.TextColumn("{task.fields[left]}"),
            rich.progress.TextColumn("{task.fields[failures]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._lines = _NowAndThen(self._say)
        self._frames_in_clip = 0
        self._total = 0
        self._kept = 0
        self._failed = 0
        self._made = 0
        self._counted = 0
        self._since: float | None = None
        self._state = "loading annotators, surveying the first video"
        self._task: rich.progress.TaskID | None = None

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.stop()
        self._bar.stop()

    def planned(self, plan: Plan, standing: Standing) -> None:
        if standing.shards:
            console.print(
                f"{standing.shards} shards are there already and stay ({standing.clips} clips)"
            )
        if standing.waiting:
            console.print(
                f"{standing.waiting} clips of unfinished shards are there already and stay"
            )
        self._kept, self._total = standing.clips + standing.waiting, plan.clips
        self._frames_in_clip = plan.recipe.frames
        self._task = self._bar.add_task(
            "", total=self._total, completed=self._kept, rate="", left="", failures=""
        )
        if not console.is_terminal:
            self._lines.start()

    def working_here(self, *, ray_later: bool) -> None:
        later = "; Ray will be started if that saves time (--workers decides)" if ray_later else ""
        console.print(f"working in this process{later}")

    def starting_ray(self, workers: int, address: str | None) -> None:
        where = f"joining Ray at {address}" if address else "starting Ray"
        console.print(f"{where} with {workers} workers; the first clips take a while")
        self._state, self._since, self._counted = "waiting for Ray's first clips", None, 0

    def made(self, clips: int, quarantined: Sequence[Quarantined]) -> None:
        assert self._task is not None
        self._made += clips
        # The first clips, of one task, come late: what is started for them is started once.
        now = time.perf_counter()
        self._since = self._since or now
        self._counted += clips * (now > self._since + 1)
        self._failed += len(quarantined)
        failures = f"[red]{self._failed} quarantined" if self._failed else ""
        rate, left = self._rate()
        self._bar.update(self._task, advance=clips, rate=rate, left=left, failures=failures)

    def committed(self, manifest: Manifest) -> None:
        if not console.is_terminal:
            console.print(
                f"committed {manifest.split}/{manifest.tar}: {len(manifest.samples)} clips, "
                f"{len(manifest.quarantined)} quarantined"
            )

    def _rate(self) -> tuple[str, str]:
        """Frames a second and the time left; empty where nothing can be said yet."""
        if self._since is None or not self._counted:
            return "", ""
        each = (time.perf_counter() - self._since) / self._counted
        left = self._total - self._kept - self._made
        rate = f"{self._frames_in_clip / each:.1f} frames/s"
        return rate, f"{_about(each * left)} left" if left else ""

    def _say(self) -> str:
        """The bar as a line for those who read a log."""
        parts = [f"{self._kept + self._made}/{self._total} clips"]
        parts += self._rate() if self._since else [self._state]
        if self._failed:
            parts.append(f"{self._failed} quarantined")
        return ", ".join(filter(None, parts))


class _NowAndThen:
    """Prints a line every few seconds, less often as time goes on."""

    def __init__(self, line: Callable[[], str]) -> None:
        self._line = line
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        started = time.perf_counter()
        pause = FIRST_LINES
        while not self._stopped.wait(pause):
            console.print(self._line())
            pause = max(FIRST_LINES, min((time.perf_counter() - started) / 10, LAST_LINES))


def summary(plan: Plan, result: BuildSummary, out: str) -> None:
    """How the build ended, with the reasons of what could not be used."""
    totals = result.info.totals
    table = Table(title=f"dataset {out}", title_justify="left")
    for name in ("split", "videos", "clips", "frames", "quarantined", "shards", "size"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for split, row in [*totals["splits"].items(), ("all", totals)]:
        counts = [row[n] for n in ("videos", "clips", "frames", "quarantined", "shards")]
        table.add_row(split, *map(str, counts), human_bytes(row["bytes"]))
    console.print(table)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(totals["kinds"].items()))
    console.print(
        f"{plan.clips} planned = {totals['clips']} committed + {totals['quarantined']} quarantined"
        + (f" ({kinds})" if kinds else "")
    )
    if result.shards_kept:
        console.print(f"{result.shards_made} shards made now, {result.shards_kept} were there")
    if plan.shots.breaks:
        console.print(f"shots: {shots(plan)}")
    if "lite" in plan.recipe.depth:
        console.print("depth: pose-derived, not measured")
    _show_left_out(plan, result.quarantined)
    where = shlex.quote(out)
    console.print(
        escape(as_typed(f"look at it: `idol-shards ls {where}`, `idol-shards stats {where}`"))
    )


def _show_left_out(plan: Plan, quarantined: Sequence[Quarantined]) -> None:
    """One table of all that is in the source and not in the dataset, and why."""
    table = Table(title="left out", title_justify="left")
    table.add_column("")
    table.add_column("count", justify="right")
    table.add_column("why", overflow="fold")
    table.add_column("first", overflow="fold")
    span = plan.recipe.span
    groups = (
        ("unreadable", [(u.reason, u.id) for u in plan.unreadable]),
        ("too short", [(f"fewer than {span} frames", video) for video in plan.short]),
        ("shots too short", [(video.reason, video.id) for video in plan.short_shots]),
        ("quarantined", [(q.reason, q.key) for q in quarantined]),
    )
    for what, found in groups:
        first: dict[str, str] = {}
        for reason, example in found:
            first.setdefault(reason, example)
        counts = Counter(reason for reason, _ in found).most_common()
        for reason, count in counts[:REASONS]:
            table.add_row(what, str(count), escape(reason), escape(first[reason]))
        if rest := counts[REASONS:]:
            count = sum(count for _, count in rest)
            table.add_row(what, str(count), f"{len(rest)} other reasons", escape(first[rest[0][0]]))
    for kind in plan.passed_over:
        table.add_row("not read", str(kind.files), escape(kind.kind), escape(kind.first))
    if table.row_count:
        console.print(table)


def heading(name: str, fraction: float) -> None:
    """Before a source of a mixture."""
    rule = Rule(f"{escape(name)}, {fraction:.1%} of the mixture", align="left")
    console.print(rule, width=None if console.is_terminal else HEADING)


def mixed(path: str) -> None:
    """After the last source of a mixture."""
    console.print(f"all sources are built; their weights: {escape(path)}")


def too_many(failed: int, allowed: int) -> None:
    """Why the exit code is 1 although the dataset is complete."""
    console.print(
        f"[red]{failed} clips or files could not be used, more than --max-quarantine {allowed}[/]; "
        "the dataset holds the others"
    )


def _about(seconds: float) -> str:
    return f"about {human_duration(seconds)}"
