"""One HTML file with a relief in it, that plays from disk in any browser with WebGL2."""

from __future__ import annotations

import base64
import io
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from idol.render.relief import Relief
from shards.inspect.pages.page import asset, page

__all__ = ["relief_page", "write_page"]

_STEPS = 4095  # of depth: a tenth of a millimetre in half a metre
_KIT = "shards.inspect.pages"
_PARTS = "idol.render.pages"


def write_page(path: Path, relief: Relief, *, quality: int = 88) -> None:
    """Write the page; `quality` of its frames as WebP, 1 to 100."""
    path.write_text(relief_page(relief, quality=quality), encoding="utf-8")


def relief_page(relief: Relief, *, quality: int = 88) -> str:
    """The page's text. It asks for nothing: frames, depth, styles and script are in it.

    Frames are single WebP images, since a film in a page is not shown to the frame exactly, and
    frames must be those of their depth. Depth and all that goes with it are bytes packed by zlib.
    """
    made = page(
        f"{relief.name} · relief",
        body=asset(_PARTS, "relief.html"),
        styles=[asset(_KIT, "kit.css"), asset(_PARTS, "relief.css")],
        scripts=[asset(_KIT, "kit.js"), asset(_PARTS, "relief.js")],
        data={"relief": _scene(relief, quality), "told": told_rows(relief.told)},
    )
    return made.html


def told_rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """What a report says, as rows of names and values."""
    rows = []
    for name, value in told.items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            rows += [(f"{label}: {inner}", shown) for inner, shown in told_rows(value)]
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            rows.append((label, shown))
    return rows


def _scene(relief: Relief, quality: int) -> dict[str, Any]:
    there = relief.z > 0
    near, far = float(relief.z[there].min()), float(relief.z[there].max())
    step = max((far - near) / (_STEPS - 1), 1e-9)
    steps = np.where(there, np.rint((relief.z - near) / step) + 1, 0).astype(np.uint16)
    drop = relief.backdrop
    camera = relief.camera
    return {
        "name": relief.name,
        "file": re.sub(r"[^\w-]+", "-", relief.name).strip("-") or "relief",
        "generated": relief.generated,
        "words": _words(relief),
        "fps": relief.fps,
        "picture": [relief.frames.shape[2], relief.frames.shape[1]],
        "grid": [relief.z.shape[2], relief.z.shape[1]],
        # Depth of step n is the first plus n times the second; 0 is nothing.
        "scale": [near - step, step],
        "cut": relief.cut,
        "nudge": relief.nudge,
        "lens": [camera.half_width, camera.half_height, *camera.centre],
        "pivot": list(relief.pivot),
        "frames": [_webp(frame, quality) for frame in relief.colours],
        "depth": [
            _planes(s, a, h) for s, a, h in zip(steps, relief.alpha, relief.hidden, strict=True)
        ],
        "backdrop": {
            "picture": _webp(drop.picture, quality),
            "size": [drop.picture.shape[1], drop.picture.shape[0]],
            "planes": _packed(drop.opacity.tobytes() + (drop.invented * np.uint8(255)).tobytes()),
            "nodes": [drop.z.shape[1], drop.z.shape[0]],
            "z": _packed(drop.z.astype("<f4").tobytes()),
            "margin": list(drop.margin),
        },
    }


def _words(relief: Relief) -> str:
    """What the depth is, for people."""
    view = f"The camera's angle of view, {relief.camera.view:.0f}°, is "
    known = relief.told.get("camera", {}).get("from")
    view += "the video's own." if known == "the video" else "assumed."
    if relief.unit == "metres":
        depth = relief.told["depth"]
        if "distance" not in depth:
            return f"Depth is in metres from the camera. {view}"
        return (
            "Depth is in metres; how far away the camera stood is not known, and "
            f"{depth['distance']:.2f} m were taken ({depth['distance_from']}). {view}"
        )
    return (
        "Depth is relative: which of two points is nearer is known, how far apart they are is not. "
        f"The thickness shown is a choice. {view}"
    )


def _planes(steps: np.ndarray, alpha: np.ndarray, hidden: np.ndarray) -> str:
    # Differences from the pixel at the left are small, and zlib likes them.
    change = np.diff(steps, axis=1, prepend=np.uint16(0)).astype(np.uint16)
    planes = [(change >> 8).astype(np.uint8), (change & 255).astype(np.uint8), alpha]
    planes += [hidden[..., 0].view(np.uint8), hidden[..., 1].view(np.uint8)]
    return _packed(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes))


def _packed(data: bytes) -> str:
    return _text(zlib.compress(data, 9))


def _webp(picture: np.ndarray, quality: int) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=quality, method=4)
    return _text(file.getvalue())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
