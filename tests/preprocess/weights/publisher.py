"""A model hub on the loopback, which can fail in the ways that real ones do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Served:
    """What is behind one path.

    `announced` is the content that the hub's headers speak of, by default this one. `drops` are
    the bytes after which connections end, one for each request; `statuses` are answered first; a
    set `gate` holds the body back after half of it; `moved_to` is another address of the content.
    """

    content: bytes
    announced: bytes | None = None
    is_hub: bool = True
    ranges: bool = True
    length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    drops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    gate: threading.Event | None = None
    moved_to: str | None = None

    def all_headers(self) -> dict[str, str]:
        if not self.is_hub:
            return {"Connection": "close", **self.headers}
        announced = self.content if self.announced is None else self.announced
        about = {
            "Connection": "close",
            "X-Repo-Commit": REVISION,
            "X-Linked-Etag": f'"{hashlib.sha256(announced).hexdigest()}"',
        }
        if self.length:
            about["X-Linked-Size"] = str(len(announced))
        return {**about, **self.headers}


@dataclass
class Asked:
    """One request: what of it matters."""

    method: str
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

    @property
    def read(self) -> list[Asked]:
        """The requests for content; the library asks the hub's interface for other things."""
        files = [asked for asked in self.asked if not asked.path.startswith("/api/")]
        return [asked for asked in files if asked.method == "GET"]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                self.answer()

            def answer(self) -> None:
                wanted = self.headers.get
                asked = Asked(
                    self.command,
                    self.path,
                    wanted("Host", ""),
                    wanted("Range"),
                    wanted("Authorization"),
                )
                publisher.asked.append(asked)
                served = publisher.files.get(self.path)
                self.close_connection = True
                if served is None or served.statuses or served.moved_to:
                    asked.status, headers = 404, {}
                    if served:
                        moved = {"Location": served.moved_to or "", **served.all_headers()}
                        asked.status, headers = 302, moved
                        if served.statuses:
                            asked.status, headers = served.statuses.pop(0), {}
                    self.send_response(asked.status)
                    headers = {"Connection": "close", "Content-Length": "0", **headers}
                    for name, value in headers.items():
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
                for name, value in served.all_headers().items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                if served.drops:
                    body = body[: served.drops.pop(0)]
                half = len(body) // 2 if served.gate else len(body)
                self.wfile.write(body[:half])
                self.wfile.flush()
                if served.gate:
                    served.gate.wait(300)
                    self.wfile.write(body[half:])

            def start_of(self, served: Served) -> int | None:
                """Where the answer starts; None for the whole file."""
                asked = self.headers.get("Range")
                if not asked or not served.ranges:
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
