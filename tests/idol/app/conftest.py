"""The page, served."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from idol.app.server import application, uploads_kept_until_the_end
from idol.config.app import AppConfig


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app") / "out"


@pytest.fixture(scope="module")
def address(out: Path) -> Iterator[str]:
    """Where the page is served, on a free port."""
    import uvicorn

    with pytest.MonkeyPatch.context() as patch, uploads_kept_until_the_end():
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        server = uvicorn.Server(
            uvicorn.Config(application(AppConfig(out=out)), port=0, log_level="warning")
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            thread.join(0.05)
            assert thread.is_alive()
        [listening] = server.servers[0].sockets
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()
