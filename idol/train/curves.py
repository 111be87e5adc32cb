"""The losses of a run's stages over their steps, as one image.

`python -m idol.train.curves STAGE_FOLDER...` draws it beside the first folder.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idol.train.log import LOSSES, VALIDATION, read_json_lines
from idol.train.stopping import TrainError
from shards.command import BAD_INPUT, run
from shards.files.atomic import write_atomically

__all__ = ["loss_curves", "main", "smoothed"]

_BLUE, _RED = "#1f6fb4", "#d1495b"

# Rows of the image: their axis, and which values they show, under which name in which colour.
_PANELS: tuple[tuple[str, Mapping[str, tuple[str, str]]], ...] = (
    (
        "the stage's own loss",
        {
            "denoise_video": ("denoising, video", _BLUE),
            "denoise_depth": ("denoising, depth", _RED),
            "distill_video": ("to the teacher, video", _BLUE),
            "distill_depth": ("to the teacher, depth", _RED),
            "reconstruction": ("reconstruction", _BLUE),
        },
    ),
    (
        "consistency loss, unweighted",
        {"motion": ("motion", _BLUE), "cross_attention": ("cross-attention", _RED)},
    ),
    ("learning rate", {"learning_rate": ("learning rate", _BLUE)}),
)
_PART = 30  # averages are of about a thirtieth of the steps


def loss_curves(folders: Sequence[str | Path]) -> bytes:
    """Draw the runs in `folders`, stages side by side, as a PNG.

    Thin lines are steps, thick ones an exponential average, dots validation.

    Raises:
        TrainError: a folder has no losses.
    """
    # Imported here: it takes a second, and only this image needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    runs = [(_named(folder), _rows(Path(folder))) for folder in folders]
    figure = Figure(figsize=(4.2 * len(runs) + 0.8, 7.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(_PANELS), len(runs), squeeze=False, sharex="col", sharey="row")
    for column, (folder, rows) in enumerate(runs):
        validation = read_json_lines(folder / VALIDATION)
        for axes, (axis, names) in zip(grid[:, column], _PANELS, strict=True):
            _panel(axes, rows, validation, names)
            if column == 0:
                axes.set_ylabel(axis)
        grid[0, column].set_title(folder.name)
        grid[-1, column].set_xlabel("step")
    note = "thin: each step · thick: average of about a thirtieth of the stage · dots: validation"
    figure.supxlabel(note, fontsize=9, color="#666666")
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def main(argv: Sequence[str] | None = None) -> int:
    """Draw `losses.png` beside the first folder; returns the exit code, see `shards.command`."""
    return run("idol.train.curves", _draw, argv, errors=(TrainError, OSError))


def _draw(folders: Sequence[str]) -> int:
    if not folders or {"-h", "--help"} & {*folders}:
        print((__doc__ or "").strip())
        return 0 if folders else BAD_INPUT
    png = loss_curves(folders)
    path = _named(folders[0]).parent / "losses.png"
    write_atomically(path, png)
    print(f"loss curves: {path}")
    return 0


def smoothed(values: Sequence[float], steps: float) -> np.ndarray:
    """The exponential average over about `steps` values, unbiased at the start; NaNs are held."""
    decay = 1 - 1 / steps
    total = weight = 0.0
    averages = []
    for value in values:
        if np.isfinite(value):
            total, weight = decay * total + value, decay * weight + 1
        averages.append(total / weight if weight else np.nan)
    return np.array(averages)


def _panel(
    axes: Any,
    rows: list[dict[str, Any]],
    validation: list[dict[str, Any]],
    names: Mapping[str, tuple[str, str]],
) -> None:
    for name, (label, colour) in names.items():
        points = [(row["step"], row[name]) for row in rows if row.get(name)]
        if not points:  # zero throughout: this stage has no such loss
            continue
        steps, values = np.array(points).T
        if name == "learning_rate":
            axes.plot(steps, values, color=colour)
            continue
        axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.7)
        average = smoothed(values, _time_constant(len(rows)))
        axes.plot(steps, average, color=colour, linewidth=1.8, label=label)
        dots = [(row["step"], row[name]) for row in validation if name in row]
        if dots:
            axes.plot(*np.array(dots).T, "o", color=colour, markersize=4, markeredgecolor="white")
        axes.set_yscale("log")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8)
    elif not axes.lines:
        axes.text(0.5, 0.5, "none in this stage", ha="center", transform=axes.transAxes, size=9)
    axes.grid(alpha=0.25, which="both")


def _named(folder: str | Path) -> Path:
    """The folder by its own name, which `.` and `..` are not."""
    path = Path(folder)
    return path if path.name not in ("", "..") else path.resolve()


def _time_constant(steps: int) -> int:
    return max(2, steps // _PART)


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows = read_json_lines(folder / LOSSES)
    if not rows:
        raise TrainError(f"{folder} has no losses to draw: {LOSSES} is absent or empty")
    return rows


if __name__ == "__main__":
    sys.exit(main())
