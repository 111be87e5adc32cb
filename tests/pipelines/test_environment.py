"""A build under another environment: a left-over cluster is not joined, differences are refused."""

from __future__ import annotations

import json
import os

from pipelines.cli import main
from pipelines.cluster import ENVIRONMENT, on_ray
from tests.pipelines.test_cli import BARE


def build(tmp_path, *options):
    out = tmp_path / "out"
    source = ("--dataset", "videos", "--source", str(tmp_path / "source"))
    return main(["build", *source, "--out", str(out), *BARE, *options])


def test_a_left_over_ray_address_is_ignored_with_a_line(tmp_path, make_video, monkeypatch, capsys):
    make_video(tmp_path / "source" / "a.mp4", 16)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert build(tmp_path) == 0
    assert "RAY_ADDRESS=127.0.0.1:1 is ignored" in capsys.readouterr().err


def test_workers_take_their_share_of_a_busy_machine(ray_is_up, monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)
    with on_ray(1, None) as ray:
        assert ENVIRONMENT.items() <= os.environ.items()
        assert ray.get(ray.remote(lambda: os.nice(0)).remote()) == os.nice(0)


def test_what_is_recorded_must_be_the_same_to_resume(tmp_path, make_video, monkeypatch, capsys):
    make_video(tmp_path / "source" / "a.mp4", 16)
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    assert build(tmp_path) == 0
    info = tmp_path / "out" / "dataset.json"
    written = info.read_bytes()
    assert json.loads(written)["extras"]["environment"]["ONEDNN_DEFAULT_FPMATH_MODE"] == "BF16"
    monkeypatch.delenv("ONEDNN_DEFAULT_FPMATH_MODE")
    assert build(tmp_path) == 2
    assert "began with ONEDNN_DEFAULT_FPMATH_MODE=BF16" in capsys.readouterr().err
    assert info.read_bytes() == written
