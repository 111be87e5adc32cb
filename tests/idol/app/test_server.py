"""What the page's server gives away, asked without a browser."""

from __future__ import annotations

import gc
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from idol.app.cli import main
from idol.app.server import application
from idol.config.app import AppConfig
from idol.model_info import read_info
from idol.pretrained import PRETRAINED

pytest.importorskip("gradio", reason="gradio is not installed: make install-app")
# Gradio leaves files open when it looks what kind of image they are.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    import httpx

    with httpx.Client(base_url=address, timeout=60) as client:
        yield client
    gc.collect()  # what Gradio left open is complained of here


def preview(client: Any, kind: str, path: str) -> str:
    """What the server says when a file of this path is given as an image or a video."""
    page = client.get("/config").json()
    parts = {part["id"]: part for part in page["components"]}
    look = next(one for one in page["dependencies"] if len(one["inputs"]) > 20)
    values = [parts[each]["props"].get("value") for each in look["inputs"]]
    place = [parts[each]["type"] for each in look["inputs"]].index(kind)
    values[place] = {"path": path, "meta": {"_type": "gradio.FileData"}}
    values[0], values[2] = "A photo", "A video"
    asked = {"data": values, "fn_index": look["id"], "session_hash": "visitor"}
    client.post("/gradio_api/queue/join", json=asked)
    said = ""
    with client.stream("GET", "/gradio_api/queue/data?session_hash=visitor") as lines:
        for line in lines.iter_lines():
            said += line
            if line.startswith("data:") and json.loads(line[5:])["msg"] == "process_completed":
                break
    return said


@pytest.mark.parametrize("kind", ["image", "video"])
def test_files_that_nobody_uploaded_are_not_read(
    client: Any, out: Path, tmp_path: Path, kind: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret")
    said = preview(client, kind, str(secret))
    assert "was not uploaded by a user" in said
    assert not [*out.rglob("secret.txt")]


def test_an_upload_is_read_and_leaves_nothing(client: Any, out: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    files = {"files": ("p.png", picture.getvalue(), "image/png")}
    [path] = client.post("/gradio_api/upload", files=files).json()
    said = preview(client, "image", path)
    assert "was not uploaded" not in said
    assert "How are they to move?" in said
    assert not out.exists()


def test_an_upload_goes_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setattr("idol.app.page._SWEPT", 1)
    monkeypatch.setattr("idol.app.page._KEPT", 1)
    app = application(AppConfig(out=tmp_path / "out"))
    files = {"files": ("p.png", b"a picture", "image/png")}
    with TestClient(app, base_url="http://127.0.0.1") as client:
        [path] = client.post("/gradio_api/upload", files=files).json()
        assert Path(path).is_file()
        for _ in range(100):
            time.sleep(0.1)
            if not Path(path).exists():
                break
        assert not Path(path).exists()
    gc.collect()


def test_an_out_that_lies_in_a_file_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file" / "x"), "--port", "0"]) == 2
    assert f"{tmp_path / 'file'} is a file: give a folder as --out" in capsys.readouterr().err


@pytest.mark.parametrize(("mode", "name"), [("I;16", "a.png"), ("RGBA", "a.png"), ("L", "a.jpg")])
def test_images_are_taken_as_they_were_uploaded(mode: str, name: str, tmp_path: Path) -> None:
    import gradio as gr
    from gradio.data_classes import ImageData

    from idol.app.page import Page
    from idol.app.shelf import Shelf

    page = Page(AppConfig(out=tmp_path), read_info(PRETRAINED), "model", Shelf())
    Image.new(mode, (8, 8)).save(tmp_path / name)
    images = [block for block in page.blocks().blocks.values() if isinstance(block, gr.Image)]
    assert len(images) == 4
    for image in images:
        given = ImageData(path=str(tmp_path / name), orig_name=name)
        assert image.preprocess(given) == str(tmp_path / name)
    gc.collect()
