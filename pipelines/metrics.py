"""A build's numbers in Prometheus' text format: over HTTP on the loopback, or in a file.

The file is for node-exporter's textfile collector: it is whole or absent, and stays when the build
has ended, with its last numbers.
"""

import http.server
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.counts import Counts
from preprocess.errors import InputError
from shards.files.atomic import temporary_path
from shards.files.home import expanded
from shards.files.system_errors import explain

__all__ = ["CONTENT_TYPE", "Metrics", "exported", "text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_EVERY = 5.0  # seconds between two writings of the file
_log = logging.getLogger(__name__)
_PORTS = range(1, 65536)

_Rows = Iterable[tuple[Mapping[str, str], float]]


class Metrics:
    """The builds of one command: one, or those of a mixture after each other."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def of(self, out: str) -> Counts:
        """The reporter of the build into `out`."""
        return self._counts.setdefault(out, Counts())

    def text(self) -> str:
        """All numbers now."""
        return text({out: counts.now() for out, counts in list(self._counts.items())})


def text(builds: Mapping[str, Mapping[str, Any]]) -> str:
    """Numbers of builds, as `Counts.now` gives them, by output, in Prometheus' text format."""

    def each(name: str) -> _Rows:
        return [({"out": out}, now[name]) for out, now in builds.items() if now[name] is not None]

    def by(name: str, label: str) -> _Rows:
        return [
            ({"out": out, label: key}, count)
            for out, now in builds.items()
            for key, count in sorted(now[name].items())
        ]

    def remaining() -> _Rows:
        for out, now in builds.items():
            done = sum(now["committed"].values()) + sum(now["quarantined"].values())
            yield {"out": out}, now["planned"] - done

    rows: list[tuple[str, str, str, _Rows]] = [
        ("clips_planned", "gauge", "Clips of the plan.", each("planned")),
        ("clips_committed", "gauge", "Clips in committed shards.", by("committed", "split")),
        (
            "clips_quarantined",
            "gauge",
            "Clips that committed shards list as failed.",
            by("quarantined", "split"),
        ),
        (
            "clips_quarantined_by_kind",
            "gauge",
            "The same by what failed.",
            by("kinds", "kind"),
        ),
        ("clips_remaining", "gauge", "Clips in no committed shard.", remaining()),
        ("clips_made_total", "counter", "Clips that this run has made.", each("made")),
        ("clips_failed_total", "counter", "Clips that this run has quarantined.", each("failed")),
        ("clips_per_second", "gauge", "Clips made a second of late.", each("clips_per_second")),
        ("frames_per_clip", "gauge", "Frames in a clip.", each("frames_per_clip")),
        ("shards_planned", "gauge", "Shards of the plan.", each("shards_planned")),
        ("shards_committed", "gauge", "Committed shards.", each("shards")),
        ("committed_bytes", "gauge", "Bytes of committed tars.", each("bytes")),
        ("seconds_left", "gauge", "Seconds until all clips are made.", each("seconds_left")),
        ("elapsed_seconds", "gauge", "Seconds since the plan was there.", each("seconds")),
        ("workers", "gauge", "Workers of Ray; 0 without it.", each("workers")),
    ]
    return "".join(line for row in rows for line in _family(*row))


def _family(name: str, kind: str, said: str, rows: _Rows) -> Iterator[str]:
    name = f"idol_build_{name}"
    yield f"# HELP {name} {said}\n# TYPE {name} {kind}\n"
    for labels, value in rows:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inside}}} {value}\n"


def _escaped(value: str) -> str:
    value = os.fsencode(value).decode(errors="replace")  # a folder's name may be no text
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


@contextmanager
def exported(where: str | None) -> Iterator[Metrics]:
    """Metrics served at 127.0.0.1:PORT/metrics, or written to a FILE, while the block runs; neither
    for None.

    Raises InputError for a port that is taken or none, and a file that cannot be written.
    """
    metrics = Metrics()
    if where is None:
        yield metrics
    elif where.isdecimal():
        with _served(int(where), metrics):
            yield metrics
    elif not where or where.rpartition(":")[2].isdecimal():
        raise InputError(
            f"--metrics {where or 'is empty'}: give a PORT alone, which is served on this "
            "machine's 127.0.0.1, or a FILE"
        )
    else:
        with _written(expanded(where), metrics):
            yield metrics


@contextmanager
def _served(port: int, metrics: Metrics) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.partition("?")[0] == "/metrics"
            body = (metrics.text() if found else "the metrics are at /metrics\n").encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", CONTENT_TYPE if found else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a build's stderr is for what its user should read."""

    if port not in _PORTS:
        raise InputError(f"--metrics {port}: a port is a number from 1 to {_PORTS[-1]}")
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise InputError(
            f"--metrics {port}: the port cannot be used ({explain(error)}): choose another"
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="metrics")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _written(path: Path, metrics: Metrics) -> Iterator[None]:
    def write() -> None:
        temporary = temporary_path(path)
        try:
            temporary.write_text(metrics.text(), encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def run() -> None:
        while not ended.wait(_EVERY):
            try:
                write()
            except OSError:
                continue  # its disk may have room again later; the build does not depend on it

    if path.is_dir():
        raise InputError(f"--metrics {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"--metrics {path}: there is no folder {path.parent}: make it first")
    try:
        write()
    except OSError as error:
        raise InputError(f"--metrics {path}: cannot be written: {explain(error)}") from error
    ended = threading.Event()
    thread = threading.Thread(target=run, daemon=True, name="metrics")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        try:
            write()
        except OSError as error:
            _log.warning("--metrics %s: the last numbers were not written: %s", path, error)
