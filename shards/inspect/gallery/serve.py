"""`idol-shards serve`: a dataset as a page, clip by clip, by ranged reads of the tars.

Nothing is unpacked, and no request names a file: clips are asked for by their number, members by
their name within a sample. Answers are to GET and HEAD, from this page alone.
"""

import gzip
import ipaddress
import json
import logging
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from shards.errors import ShardsError, StorageError
from shards.inspect.gallery.facts import facts, overview, quarantined
from shards.inspect.gallery.file import page_of
from shards.inspect.gallery.look import Look, look, thumbnail
from shards.inspect.gallery.strip import JPEG, Strip
from shards.machine import usable_cores
from shards.reader import Dataset, Entry, read_sample

__all__ = ["Server", "serve"]

_log = logging.getLogger(__name__)

_THUMB = 160  # side of a clip's picture in the grid, in pixels
_THUMB_FRAMES = 8
_SIDE = 384  # of pictures in an opened clip
_FRAMES = 64
_PAGE = 2000  # clips, or quarantined clips, in one answer
_FIRST = 400  # clips in the first, so that the page shows soon
_CACHED = 48_000_000  # bytes of pictures that are kept
_CONNECTIONS = 64
_PATIENCE = 30  # seconds for a request to arrive, or an answer to be taken
_CLOSING = 5  # seconds for what is being read when the server ends
_SMALL = 2000  # bytes that are not worth packing
_TAR_END = bytes(1024)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class Answer:
    """What is sent: `lasting` may be kept by the browser, `name` makes it a download."""

    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    lasting: bool = False
    name: str = ""


class _Refused(Exception):
    """A request that is answered by a status and a line."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Cache:
    """The latest values that together take no more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._taken = limit, 0
        self._values: OrderedDict[object, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object, make: Callable[[], tuple[Any, int]]) -> Any:
        """The value under a key, made (with its size) if it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value, size = make()
        with self._lock:
            if key not in self._values and size <= self._limit:
                self._values[key] = value, size
                self._taken += size
            while self._taken > self._limit:
                _, (_, old) = self._values.popitem(last=False)
                self._taken -= old
        return value


class Site:
    """What is answered to each address of a dataset's page, apart from how it is sent."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.entries: Sequence[Entry] = tuple(dataset.entries.values())
        self._failed = quarantined(dataset)
        self._about = overview(dataset)
        made = page_of(
            f"{self._about['name']}: clips",
            {"served": {"clips": len(self.entries), "failed": len(self._failed), "first": _FIRST}},
            {"connect-src": "'self'", "img-src": "'self' data: blob:"},
        )
        self._page, self.policy = made.html.encode(), f"{made.policy}; frame-ancestors 'none'"
        self._cache = _Cache(_CACHED)
        # Decoding takes a core and some memory: no more clips at once than there are cores.
        self._turns = usable_cores()
        self._turn = threading.BoundedSemaphore(self._turns)
        self._routes: dict[str, Callable[[dict[str, str]], Answer]] = {
            "/overview": lambda _: _json(self._about),
            "/facts": self._facts,
            "/quarantined": self._quarantined,
            "/thumb": self._thumb,
            "/clip": self._clip,
            "/strip": self._strip,
            "/member": self._member,
            "/sample": self._sample,
        }

    def answer(self, path: str, asked: dict[str, str]) -> Answer:
        """Raises _Refused for what there is not, ShardsError for what cannot be read."""
        if path == "/":
            return Answer(self._page, "text/html; charset=utf-8")
        route = self._routes.get(path)
        if route is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "no such page")
        if asked.get("edition", self._about["edition"]) != self._about["edition"]:
            raise _Refused(HTTPStatus.CONFLICT, "the dataset changed: reload the page")
        return route(asked)

    def close(self) -> None:
        """Wait until nothing is decoded, for seconds at most, and let nothing begin: Python aborts
        where it ends while a thread is in a library."""
        end = time.monotonic() + _CLOSING
        for _ in range(self._turns):
            self._turn.acquire(timeout=max(0.0, end - time.monotonic()))

    def _facts(self, asked: dict[str, str]) -> Answer:
        start = _number(asked, "from", len(self.entries) + 1)
        size = _PAGE if start else _FIRST
        return _json(facts(self.entries[start : start + size]))

    def _quarantined(self, asked: dict[str, str]) -> Answer:
        start = _number(asked, "from", len(self._failed) + 1)
        return _json(self._failed[start : start + _PAGE])

    def _thumb(self, asked: dict[str, str]) -> Answer:
        n, entry = self._entry(asked)

        def make() -> tuple[Strip, int]:
            with self._turn:
                made = thumbnail(entry, side=_THUMB, frames=_THUMB_FRAMES, kind=JPEG)
            return made, len(made.data)

        drawn = self._cache.get(("thumb", n), make)
        return Answer(drawn.data, drawn.kind.media_type, lasting=True)

    def _look(self, asked: dict[str, str]) -> Look:
        n, entry = self._entry(asked)

        def make() -> tuple[Look, int]:
            with self._turn:
                seen = look(self._dataset, entry, side=_SIDE, frames=_FRAMES, kind=JPEG)
            size = sum(len(s.data) for s in seen.strips.values()) + len(seen.told["json"])
            # What could not be read may be mended.
            return seen, _CACHED + 1 if seen.told["faults"] else size

        return self._cache.get(("clip", n), make)

    def _clip(self, asked: dict[str, str]) -> Answer:
        return _json(self._look(asked).told)

    def _strip(self, asked: dict[str, str]) -> Answer:
        drawn = self._look(asked).strips.get(asked.get("modality", ""))
        if drawn is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "the clip has no such picture")
        return Answer(drawn.data, drawn.kind.media_type, lasting=True)

    def _member(self, asked: dict[str, str]) -> Answer:
        _, entry = self._entry(asked)
        name = asked.get("name", "")
        for member, data in read_sample(entry):
            if member == name:
                return Answer(data, "application/octet-stream", name=name)
        raise _Refused(HTTPStatus.NOT_FOUND, "the sample has no such member")

    def _sample(self, asked: dict[str, str]) -> Answer:
        _, entry = self._entry(asked)
        sample, shard = entry.sample, entry.shard
        data = shard.store.read(shard.name, sample.offset, sample.offset + sample.length)
        return Answer(data + _TAR_END, "application/x-tar", name=f"{entry.key}.tar")

    def _entry(self, asked: dict[str, str]) -> tuple[int, Entry]:
        n = _number(asked, "n", len(self.entries))
        return n, self.entries[n]


class Server(ThreadingHTTPServer):
    """Answers for a dataset at `host`, `port` (0 takes a free one), until `shutdown`.

    Requests are taken that name the server by an address, by `localhost`, or by one of `names`: a
    page elsewhere, whose name was made to point here, is refused. Raises StorageError where the
    port cannot be had.
    """

    daemon_threads = True
    request_queue_size = _CONNECTIONS

    def __init__(
        self, dataset: Dataset, host: str = "127.0.0.1", port: int = 0, names: Sequence[str] = ()
    ) -> None:
        self.site = Site(dataset)
        self.names = {"localhost", host.lower(), *(name.lower() for name in names)}
        self._room = threading.BoundedSemaphore(_CONNECTIONS)
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self.address_family = family
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise StorageError(
                f"cannot listen at {host}, port {port}: {getattr(error, 'strerror', error)}; "
                "--port 0 takes a free one"
            ) from error

    @property
    def url(self) -> str:
        """The address of the page."""
        host, port = self.server_address[:2]
        name = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"http://{name}:{port}/"

    def server_close(self) -> None:
        super().server_close()
        self.site.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a connection ended by an error", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    # Python's own would be sent: the version is no one's business.
    server_version, sys_version = "idol-shards", ""
    error_message_format = "%(message)s\n"
    error_content_type = "text/plain; charset=utf-8"
    wbufsize: ClassVar[int] = 1 << 16

    def do_GET(self) -> None:
        self._send(self._answered())

    def do_HEAD(self) -> None:
        self._send(self._answered(), body=False)

    def _answered(self) -> Answer:
        try:
            address = urlsplit(self.path)
            self._check_origin(address.path)
            query = parse_qs(address.query, keep_blank_values=True, max_num_fields=10)
            return self.server.site.answer(address.path, {k: v[-1] for k, v in query.items()})
        except _Refused as error:
            return _refusal(error.status, str(error))
        except ShardsError as error:
            return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except ValueError:
            return _refusal(HTTPStatus.BAD_REQUEST, "the address cannot be understood")

    def _check_origin(self, path: str) -> None:
        """Refuses requests to another name, and those that other sites' pages make."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if host not in self.server.names and not _is_address(host):
            raise _Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server does not go by that name; --name allows one more",
            )
        site = self.headers.get("Sec-Fetch-Site", "none")
        if path != "/" and site not in ("same-origin", "none"):
            raise _Refused(HTTPStatus.FORBIDDEN, "asked for by another site")

    def _send(self, answer: Answer, *, body: bool = True) -> None:
        data = answer.body
        packed = (
            len(data) > _SMALL
            and answer.kind.startswith(("application/json", "text/"))
            and "gzip" in self.headers.get("Accept-Encoding", "")
        )
        if packed:
            data = gzip.compress(data, 3, mtime=0)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", self.server.site.policy)
        lasting = "private, max-age=86400, immutable" if answer.lasting else "no-store"
        self.send_header("Cache-Control", lasting)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        if answer.name:
            named = quote(answer.name, safe="", errors="backslashreplace")
            self.send_header("Content-Disposition", f"attachment; filename*=UTF-8''{named}")
        with suppress(ConnectionError, TimeoutError):  # whoever asked has left
            self.end_headers()
            if body:
                self.wfile.write(data)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        text = (format % args).encode("unicode_escape").decode()
        _log.info("%s %s", self.address_string(), text)


def serve(dataset: Dataset, host: str, port: int, names: Sequence[str], say: Callable) -> None:
    """Answer until Ctrl-C; `say` is called with the address. Raises StorageError."""
    with Server(dataset, host, port, names) as server, suppress(KeyboardInterrupt):
        say(server.url)
        server.serve_forever(poll_interval=0.2)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _number(asked: dict[str, str], name: str, end: int) -> int:
    text = asked.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) < end):
        raise _Refused(HTTPStatus.NOT_FOUND, "there is no clip of that number")
    return int(text)


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value, allow_nan=False, separators=(",", ":")).encode())


def _refusal(status: HTTPStatus, why: str) -> Answer:
    return Answer(
        f"{why}\n".encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8", status
    )
