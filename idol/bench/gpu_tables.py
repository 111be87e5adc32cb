"""The tables of `bench/gpu.py`'s results, and how they come into a document."""

from collections.abc import Mapping
from typing import Any

from idol.bench.marked import written_between

__all__ = ["NAME", "tables", "written_into"]

NAME = "bench/gpu.py"

_TRAINING = {
    "s a step": "seconds",
    "pictures/s": "pictures_per_second",
    "TFLOP": "teraflop",
    "of peak": "of_peak",
    "GB": "peak_gb",
    "operations": "operations",
    "kernels": "kernels",
    "s of the device": "device_seconds",
    "s of the host": "host_seconds",
}
_GENERATION = {
    "s": "seconds",
    "frames/s": "frames_per_second",
    "TFLOP": "teraflop",
    "of peak": "of_peak",
    "GB": "peak_gb",
}
_AGREEMENT = {"loss": "loss", "gradients": "gradient", "clip": "clip", "allowed": "allowed"}
_PARTS = (
    ("right: ", "a small model: relative error against the CPU", _AGREEMENT),
    ("train: ", "training", _TRAINING),
    ("generate: ", "generation of a clip with depth", _GENERATION),
)


def tables(found: Mapping[str, Any]) -> str:
    """Markdown: what it was run on, and a table a part; what failed says why.

    Args:
        found: what `bench/gpu.py` wrote: `about` and `results`.
    """
    if not found.get("results"):
        return "Not run yet."
    about = found["about"]
    on = f"one {about['card']}, torch {about['torch']}"
    lines = [f"`bench/gpu.py` on {on}:"]
    for prefix, title, columns in _PARTS:
        rows = {
            name.removeprefix(prefix): values
            for name, values in found["results"].items()
            if name.startswith(prefix)
        }
        if not rows:
            continue
        heads = [title if prefix == "right: " else f"{title}, {about['scale']} size", *columns]
        lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for name, values in rows.items():
            if "error" in values:
                cells = [values["error"], *[""] * (len(columns) - 1)]
            else:
                cells = [_shown(key, values.get(key)) for key in columns.values()]
            if values.get("right") is False:
                name = f"**{name}: too far**"
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def written_into(document: str, found: Mapping[str, Any]) -> str:
    """A document with the tables between its marks.

    Raises:
        ValueError: it has not both marks, once each.
    """
    return written_between(document, NAME, tables(found))


def _shown(key: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if key == "of_peak" else str(value)
