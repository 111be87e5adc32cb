"""`idol-shards card`: a dataset card as model hubs show it, of what the dataset says of itself."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from shards.errors import BadSample, BadTar, NotADataset
from shards.inspect.console import human_bytes
from shards.inspect.gallery.facts import facts, overview, quarantined
from shards.inspect.gallery.strip import spread
from shards.inspect.page import DIM, INK, Page
from shards.inspect.sheet import contact_sheet
from shards.inspect.stats import dataset_stats, scores
from shards.manifest import count_totals
from shards.reader import Dataset, Entry, read_sample
from shards.sample.codec import decode_clip, decode_info
from shards.sample.images import decode_image, encode_jpeg
from shards.sample.modalities import MODALITIES

__all__ = ["Card", "card", "is_card"]

_EXAMPLES = 3
_BARS = 24
_LIMIT = 200  # clips that are read for the scores: the others are said not to be
_REASONS = 20

_LAST = "`idol-shards serve path/to/dataset` shows all of it in a browser."

_Track = Callable[[list[Entry]], Iterable[Entry]]


@dataclass(frozen=True)
class Card:
    """`text` is the card, `images` what it shows, by file name."""

    text: str
    images: dict[str, bytes]


def card(
    dataset: Dataset, *, folder: str, licence: str = "", name: str = "", track: _Track = iter
) -> Card:
    """The card of a dataset, and its images, which are to lie in `folder` beside it.

    `licence` is that of the footage, as the hub names it: no dataset knows it of itself. Scores are
    of at most 200 clips, evenly. Raises NotADataset when there is no clip, StorageError.
    """
    entries = list(dataset.entries.values())
    if not entries:
        raise NotADataset(f"{dataset.url}: holds no clips")
    some = [entries[i] for i in spread(len(entries), _LIMIT)]
    numbers = dataset_stats(dataset, track=lambda _: track(some))
    images = {f"example-{i}.jpg": sheet for i, sheet in enumerate(_sheets(some), 1)}
    images["scores.jpg"] = _histograms(entries)
    about = overview(dataset)
    title = name or about["name"]
    parts = [
        _header(dataset, licence, title),
        f"# {_plain(title)}\n",
        *_summary(dataset),
        *_shown(images, folder),
        *_counts(dataset),
        *_members(entries),
        *_quality(numbers, len(some), len(entries), f"{folder}/scores.jpg"),
        *_failed(dataset),
        *_licences(about, licence),
        *_recipe(about),
        *_limits(dataset, some),
        *_loading(),
    ]
    return Card("\n".join(parts), images)


def is_card(file: Path) -> bool:
    """Whether a file is a card that `card` made, maybe one that was edited since."""
    return file.is_file() and _LAST in file.read_text("utf-8", errors="replace")


def _header(dataset: Dataset, licence: str, title: str) -> str:
    from huggingface_hub import DatasetCardData

    clips = len(dataset.entries)
    data = DatasetCardData(
        pretty_name=_utf8(title),
        license=licence or "unknown",
        task_categories=["depth-estimation", "keypoint-detection", "image-to-video"],
        tags=["webdataset", "video", "human", "depth", "pose", "segmentation", "idol"],
        size_categories=[_size_category(clips)],
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"{split}/shard-*.tar"}
                    for split in dataset.splits
                    if split and dataset.has_split(split)
                ],
            }
        ],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _size_category(clips: int) -> str:
    """As the hub has them: `1K<n<10K`."""
    low, names = 1000, ("1K", "10K", "100K", "1M", "10M", "100M")
    if clips < low:
        return "n<1K"
    for smaller, larger in pairwise(names):
        low *= 10
        if clips < low:
            return f"{smaller}<n<{larger}"
    return "n>100M"


def _summary(dataset: Dataset) -> Iterator[str]:
    totals = count_totals([shard.manifest for shard in dataset.shards])
    sizes = Counter(
        f"{e.sample.width} x {e.sample.height}" for e in dataset.entries.values() if e.sample.width
    )
    rates = sorted({e.sample.fps for e in dataset.entries.values() if e.sample.fps})
    yield (
        f"Clips of people with their annotations, frame by frame: {totals['clips']:,} clips "
        f"({totals['frames']:,} frames) of {totals['videos']:,} videos, in "
        f"{totals['shards']:,} shards of {human_bytes(totals['bytes'])}."
    )
    if sizes:
        yield f"Frames are of {', '.join(f'{size} pixels' for size, _ in sizes.most_common(3))}" + (
            f", at {' and '.join(f'{rate:g}' for rate in (rates[0], rates[-1])[: len(rates)])} "
            "frames a second.\n"
            if rates
            else ".\n"
        )
    if dataset.info and dataset.info.status != "complete":
        yield "**The dataset is still being built: counts are those of the shards so far.**\n"


def _shown(images: Mapping[str, bytes], folder: str) -> Iterator[str]:
    yield "## Examples\n"
    for file in images:
        if file.startswith("example"):
            yield f"![A clip: time goes right, one modality a row]({folder}/{file})\n"


def _counts(dataset: Dataset) -> Iterator[str]:
    totals = count_totals([shard.manifest for shard in dataset.shards])
    whole = {name: count for name, count in totals.items() if isinstance(count, int)}
    splits = {**totals["splits"], "all": whole}
    yield "## Counts\n"
    yield from _table(
        ["split", *whole],
        [
            [
                split or "(the tar)",
                *(human_bytes(n) if of == "bytes" else f"{n:,}" for of, n in counts.items()),
            ]
            for split, counts in splits.items()
        ],
    )


def _members(entries: list[Entry]) -> Iterator[str]:
    yield "## What a sample holds\n"
    yield "A sample is a key and these members of a tar, as WebDataset has them:\n"
    having = Counter(name for entry in entries for name in entry.sample.sizes)
    total = Counter[str]()
    for entry in entries:
        total.update(entry.sample.sizes)
    rows = []
    for name, clips in sorted(having.items()):
        row = MODALITIES.get(name)
        number = ".000" if row and row.files == "frames" else ""
        member = f"{name}{number}.{row.encoding.extension}" if row else name
        what = (row.title or name) if row else "all that is known of the clip" * (name == "json")
        rows.append([f"`{member}`", what, f"{clips:,}", human_bytes(total[name])])
    yield from _table(["member", "what", "clips", "bytes"], rows)


def _quality(numbers: Mapping[str, Any], read: int, clips: int, picture: str) -> Iterator[str]:
    yield "## How good the annotations are\n"
    yield f"Over all clips, by the manifests:\n\n![Histograms of scores]({picture})\n"
    if read < clips:
        yield f"Of {read:,} of {clips:,} clips, spread evenly.\n"
    rows = []
    for name, score in scores().items():
        if row := numbers["quality"].get(name):
            spread_of = [f"{row[n] * score.factor:.4g}" for n in ("mean", "p5", "p95")]
            rows.append([score.title, *spread_of, score.unit, f"{score.worst} is worse"])
    yield from _table(["score", "mean", "5 %", "95 %", "unit", ""], rows)
    rows = [
        [scores()[name].title, f"{row['total']:,}", f"{row['affected']} of {row['clips']}"]
        for name, row in numbers["counted"].items()
    ]
    if rows:
        yield from _table(["counted", "total", "clips"], rows)
    if numbers["damaged"]:
        yield f"{len(numbers['damaged'])} samples could not be read.\n"


def _failed(dataset: Dataset) -> Iterator[str]:
    failed = quarantined(dataset)
    yield "## Clips left out\n"
    if not failed:
        yield "No clip failed.\n"
        return
    yield f"{len(failed):,} clips failed and are not in the tars; the manifests say why of each:\n"
    kinds = Counter(re.sub(r"\d+(\.\d+)?", "N", clip["reason"]) for clip in failed).most_common()
    yield from _table(["clips", "reason"], [[f"{n:,}", kind] for kind, n in kinds[:_REASONS]])
    if len(kinds) > _REASONS:
        yield f"And {len(kinds) - _REASONS} reasons more.\n"


def _licences(about: Mapping[str, Any], licence: str) -> Iterator[str]:
    yield "## Licences\n"
    yield (
        f"The footage: {_plain(licence)}.\n"
        if licence
        else "The footage's licence is that of its source, which the dataset does not record.\n"
    )
    weights = about["weights"]
    if not weights:
        yield "No model's weights are recorded.\n"
        return
    yield "The annotations were made with these models:\n"
    rows = [
        [f"`{file}`", *(str(_dict(said).get(of) or "not recorded") for of in ("licence", "sha256"))]
        for file, said in sorted(weights.items())
    ]
    yield from _table(["file", "licence", "SHA-256"], rows)


def _recipe(about: Mapping[str, Any]) -> Iterator[str]:
    if not about["recipe"]:
        return
    yield "## Recipe\n"
    software = ", ".join(f"{name} {version}" for name, version in about["software"].items())
    yield f"Fingerprint `{about['fingerprint']}`, made with {_plain(software)}.\n"
    yield "<details><summary>All settings</summary>\n"
    # Longer than any fence in it, so that no text of a recipe ends the block.
    text = json.dumps(about["recipe"], indent=2)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    yield f"{fence}json\n{text}\n{fence}\n\n</details>\n"


def _limits(dataset: Dataset, some: list[Entry]) -> Iterator[str]:
    yield "## Limits\n"
    yield (
        "- Annotations are estimates of models unless a line above says `measured` or `rendered`: "
        "they fail most where people are small, cut off, turned away or in each other's way."
    )
    labels = Counter(_depth_labels(some))
    for (title, label), _ in labels.most_common():
        yield f"- {title}: {_plain(label)}."
    yield (
        "- Frames are JPEGs of quality 95; the person's depth is kept to 7.5e-4 of its range, that "
        "of the frame to 1e-5."
    )
    yield "- Nothing is known here of the consent of those shown: ask the footage's source.\n"


def _depth_labels(some: list[Entry]) -> Iterator[tuple[str, str]]:
    for entry in some[:_EXAMPLES]:
        try:
            depth = decode_info(read_sample(entry)).get("depth")
        except (BadSample, BadTar):
            continue
        for name, said in depth.items() if isinstance(depth, dict) else ():
            if label := _dict(said).get("label"):
                yield (MODALITIES[name].title if name in MODALITIES else str(name)), str(label)


def _loading() -> Iterator[str]:
    yield "## How to load it\n"
    yield (
        "With this project, by key or as batches for training (the folder may also be `s3://…`):\n"
    )
    yield (
        "```python\nfrom shards import open_dataset\n\n"
        'dataset = open_dataset("path/to/dataset")\n'
        'for clip in dataset.clips(modalities=["mask", "depth_frame"]):\n'
        "    print(clip.key, clip.rgb.shape, clip.info)\n```\n"
    )
    yield "With anyone's WebDataset reader:\n"
    yield (
        "```python\nimport webdataset\n\n"
        'for sample in webdataset.WebDataset("path/to/dataset/train/shard-00000.tar"):\n'
        '    print(sample["__key__"], sorted(sample))\n```\n'
    )
    yield f"{_LAST}\n"


def _sheets(some: list[Entry]) -> Iterator[bytes]:
    """Contact sheets of clips that can be read, as JPEGs."""
    for place in spread(len(some), _EXAMPLES):
        entry = some[place]
        try:
            clip = decode_clip(read_sample(entry))
        except (BadSample, BadTar):
            continue
        yield encode_jpeg(decode_image(contact_sheet(clip, source=entry.shard.name)))


def _histograms(entries: list[Entry]) -> bytes:
    """How what the manifests say is spread over all clips."""
    known = facts(entries)
    columns = {scores()[name].title: values for name, values in known["scores"].items()}
    columns["frames a clip"] = known["columns"]["frames"]
    found = {
        title: np.array([v for v in values if v is not None], float)
        for title, values in columns.items()
    }
    found = {title: values for title, values in found.items() if len(values)}
    width, height, gap = 280, 120, 40
    page = Page(gap + len(found) * (width + gap), height + 110)
    for i, (title, values) in enumerate(found.items()):
        x = gap + i * (width + gap)
        counts, edges = np.histogram(values, _BARS)
        bars = np.full((height, width, 3), 32, np.uint8)
        for j, count in enumerate(counts):
            tall = round(count / counts.max() * height)
            left, right = j * width // _BARS, (j + 1) * width // _BARS - 2
            bars[height - tall :, left:right] = (64, 160, 255)
        page.text(x, 36, title, size=12, colour=INK, bold=True)
        page.paste(x, 50, bars)
        page.text(x, height + 70, f"{edges[0]:.4g}", size=9.5, colour=DIM)
        page.text(x + width, height + 70, f"{edges[-1]:.4g}", size=9.5, colour=DIM, align="right")
        page.text(x, height + 90, f"{len(values):,} clips", size=9.5, colour=DIM)
    return encode_jpeg(page.image())


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    if rows:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)
        yield ""


def _cell(text: str) -> str:
    # What is in backticks is ours, but for the name within.
    if text.startswith("`") and text.endswith("`"):
        name = " ".join(_utf8(text[1:-1]).split())
        return f"`{name.replace('`', chr(39)).replace('|', '/')}`"
    return _plain(text)


def _plain(text: str) -> str:
    """A text as Markdown shows it: nothing in it is markup."""
    line = " ".join(_utf8(text).split())
    return re.sub(r"([\\`*_{}\[\]<>()#|!~&])", r"\\\1", line)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
