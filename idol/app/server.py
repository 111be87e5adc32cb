"""The page's server: on the loopback unless told otherwise, and asking nobody for anything."""

from __future__ import annotations

import dataclasses
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from idol.app.clips import example_clips
from idol.app.shelf import ADDRESS, FILES, RELIEF, Shelf
from idol.config.app import AppConfig
from idol.errors import IdolError
from idol.model_info import find_model, read_info
from idol.pretrained import PRETRAINED
from shards.files.atomic import file_in_the_way

__all__ = ["application", "serve"]

_PATIENCE = 5.0  # seconds for work that is stopped with the server to remove what it began
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# The browser asks this server alone, whatever a library's script may want.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio's templates are scripts
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self'",
        "manifest-src 'self'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
# The 2.5D page is a file of its own, and may do nothing but show itself.
_POLICY_OF_RELIEF = "sandbox allow-scripts; frame-ancestors 'self'"


class AddressTakenError(IdolError):
    """Another program has the page's address."""


class NoFolderError(IdolError):
    """Videos cannot be put where they are to go."""


def serve(config: AppConfig) -> None:
    """Serve the page until it is interrupted.

    Raises:
        NotAModelError: there is no model; ShardsError: a dataset cannot be read.
        AddressTakenError: the port is another program's; NoFolderError: `out` is a file.
    """
    import uvicorn

    if (file := file_in_the_way(config.out)) is not None:
        raise NoFolderError(f"{file} is a file: give a folder as --out")
    with uploads_kept_until_the_end(), _listening(config) as listening:
        app = application(config)
        host, port = listening.getsockname()[:2]
        print(f"the page: http://{'[::1]' if ':' in host else host}:{port}", flush=True)
        if not config.loopback:
            print("whoever can reach this machine can use it: there is no password", flush=True)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        )
        try:
            server.run(sockets=[listening])
        finally:
            app.state.page.close(_PATIENCE)


@contextmanager
def uploads_kept_until_the_end() -> Iterator[None]:
    """What is uploaded goes into a folder that is gone afterwards; Gradio is told so before it is
    imported, and that it is to tell nobody."""
    with tempfile.TemporaryDirectory(prefix="idol-app-") as folder:
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        yield


@contextmanager
def _listening(config: AppConfig) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((config.host, config.port))
            listening.listen()  # whoever comes before all is loaded waits, and is not refused
        except OSError as error:
            raise AddressTakenError(
                f"{config.host}:{config.port} cannot be taken ({error.strerror}): give another "
                "--port, or 0 for a free one"
            ) from error
        yield listening


def application(config: AppConfig) -> Any:
    """The page and the files of its videos, as an ASGI application. Raises as `serve`."""
    model = config.model or PRETRAINED
    info = read_info(find_model(model))
    config = dataclasses.replace(config, clips=config.clips or example_clips())

    import gradio as gr
    from fastapi import FastAPI, HTTPException
    from fastapi.responses import FileResponse

    from idol.app.page import Page

    shelf = Shelf()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(f"{ADDRESS}/{{token}}/{{name}}")
    def file(token: str, name: str) -> Any:
        path = shelf.find(token, name)
        if path is None:
            raise HTTPException(404)
        policy = {"Content-Security-Policy": _POLICY_OF_RELIEF} if name == RELIEF else {}
        return FileResponse(path, media_type=FILES[name], headers=policy)

    page = Page(config, info, model.resolve().name, shelf)
    page.sweep()
    page.warm_up(model)
    app.state.page = page
    blocks = page.blocks()
    # Only then does Gradio refuse, as a photo, a file of this machine that nobody uploaded. It sets
    # this itself in a server of its own alone.
    blocks.has_launched = True
    gr.mount_gradio_app(
        app,
        blocks,
        "/",
        show_error=True,
        theme=_theme(),
        css=files("idol.app").joinpath("page.css").read_text(),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size="2gb",
    )
    app.add_middleware(_Guarded, loopback=config.loopback)
    return app


def _theme() -> Any:
    """Gradio's, in the fonts that are there: its own come from another server."""
    import gradio as gr

    sans = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
    mono = ["ui-monospace", "Consolas", "Liberation Mono", "monospace"]
    theme = gr.themes.Default(primary_hue="blue", font=sans, font_mono=mono)
    # Gradio's greys, links and its button are too pale to be read by all.
    return theme.set(
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
    )


class _Guarded:
    """Says in each answer what a browser may do with it, and refuses what other pages ask.

    On the loopback the page has loopback's names alone: a page elsewhere that has its own name
    point here gets nothing.
    """

    def __init__(self, app: Any, *, loopback: bool) -> None:
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        origin = headers.get(b"origin")
        ours = not self._loopback or host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK
        if not ours or (origin is not None and origin.partition("://")[2] != host):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"not from here\n"})
            return

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = message.setdefault("headers", [])
                names = {name.lower() for name, _ in given}
                for name, value in _HEADERS.items():
                    if name not in names:
                        given.append((name, value))
            await send(message)

        await self._app(scope, receive, answer)


_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}
