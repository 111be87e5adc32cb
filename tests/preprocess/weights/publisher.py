"""A publisher of files on the loopback, which can fail in the ways that real ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What is behind one path. `drops` are the bytes after which connections end, one for each
    request; `statuses` are answered first; a set `gate` holds the body back after half of it."""

    content: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    heeds_conditions: bool = True
    length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    drops: list[int] = field(default_factory=list)
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    gate: threading.Event | None = None


@dataclass
class Asked:
    """One request: what of it matters."""

    path: str
    host: str
    range: str | None
    authorization: str | None
    status: int = 0


class Publisher:
    """`files` by path; `asked` is every request in order."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                wanted = self.headers.get
                asked = Asked(
                    self.path, wanted("Host", ""), wanted("Range"), wanted("Authorization")
                )
                publisher.asked.append(asked)
                served = publisher.files.get(self.path)
                self.close_connection = True
                if served is None:
                    asked.status = 404
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if served.statuses:
                    asked.status, headers = served.statuses.pop(0)
                    self.send_response(asked.status)
                    for name, value in {"Content-Length": "0", **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    return
                start = self.start_of(served)
                asked.status = 200 if start is None else 206
                body = served.content[start or 0 :]
                self.send_response(asked.status)
                if start is not None:
                    whole = len(served.content)
                    self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
                if served.length:
                    self.send_header("Content-Length", str(len(body)))
                if served.etag:
                    self.send_header("ETag", served.etag)
                for name, value in served.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if served.drops:
                    body = body[: served.drops.pop(0)]
                half = len(body) // 2 if served.gate else len(body)
                self.wfile.write(body[:half])
                self.wfile.flush()
                if served.gate:
                    served.gate.wait(300)
                    self.wfile.write(body[half:])

            def start_of(self, served: Served) -> int | None:
                """Where the answer starts; None for the whole file, as If-Range demands."""
                asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
                stale = condition != served.etag and served.heeds_conditions
                if not asked or not served.ranges or stale:
                    return None
                return int(asked.removeprefix("bytes=").split("-")[0])

        return Handler


@contextmanager
def running() -> Iterator[Publisher]:
    """A publisher that is stopped at the end."""
    publisher = Publisher()
    thread = threading.Thread(target=publisher.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield publisher
    finally:
        for served in publisher.files.values():
            if served.gate:
                served.gate.set()
        publisher.server.shutdown()
        publisher.server.server_close()
        thread.join()
