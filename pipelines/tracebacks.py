"""Where a clip failed, in words that are the same wherever the programs lie.

Tracebacks go into manifests, whose bytes must not depend on folders of this machine, on who called
the worker, or on how many workers there were: a file is named from its package on.
"""

import re
import traceback
from pathlib import Path

__all__ = ["first_dump", "of_dump", "of_error"]

_MOST = 24  # calls, of which the innermost are kept
_ROOT = str(Path(__file__).resolve().parent.parent) + "/"
_LIBRARIES = re.compile(r".*/(?:site-packages|dist-packages|python3\.\d+)/")
# Of a thread pool and of who starts a clip: the same for all.
_LEFT_OUT = (
    "shards/threads.py",
    "threading.py",
    *(_WORKER := ("pipelines/worker.py", "pipelines/window.py")),
)
_READS = "preprocess/frames.py"
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')


def of_error(error: BaseException) -> str:
    """An exception's calls, the innermost last, then that of its cause."""
    parts = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = [
            (frame.filename, frame.lineno or 0, frame.name)
            for frame in traceback.extract_tb(current.__traceback__)
        ]
        parts.append("\n".join([*_lines(frames), f"{type(current).__name__}: {current}"]))
        current = current.__cause__
    return "\ncaused by\n".join(parts)


def of_dump(text: str, *, crashed: bool) -> str:
    """That of what `faulthandler` wrote, from the worker on: of the thread that crashed, else of
    the main one, or of the one that reads the frames for which it waits; empty where it wrote
    nothing."""
    threads = re.split(r"\n(?=(?:Current thread|Thread) )", "\n" + text)[1:]
    if not threads:
        return ""
    current = [thread for thread in threads if thread.startswith("Current thread")]
    chosen = current[0] if crashed and current else threads[-1]
    if not crashed and _WORKER[1] in chosen and _READS not in chosen:
        chosen = next((thread for thread in threads if _READS in thread), chosen)
    calls = _FRAME.findall(chosen)[::-1]
    callers = [n for n, (file, _, _) in enumerate(calls, 1) if _short(file) in _WORKER]
    frames = [(file, int(line), name) for file, line, name in calls[max(callers, default=0) :]]
    head = text.splitlines()[0] if crashed and text.startswith("Fatal") else ""
    return "\n".join(filter(None, [*_lines(frames), head]))


def first_dump(text: str) -> str | None:
    """The first of two dumps of the same threads, written one after the other; None until the
    second has begun, for nothing else tells that the first is whole."""
    line, newline, _ = text.partition("\n")
    end = text.find(f"\n{line}\n", len(line)) if newline else -1
    return text[: end + 1] if end >= 0 else None


def _lines(frames: list[tuple[str, int, str]]) -> list[str]:
    lines = [f"{_short(file)}:{line} in {name}" for file, line, name in frames]
    kept = [line for line in lines if not line.startswith(_LEFT_OUT)]
    return kept[-_MOST:]


def _short(file: str) -> str:
    if file.startswith(_ROOT):
        return file.removeprefix(_ROOT)
    if found := _LIBRARIES.match(file):
        return file[found.end() :]
    return "/".join(Path(file).parts[-2:])
