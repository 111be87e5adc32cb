"""Entries that tests make for themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
from huggingface_hub import constants

from preprocess import weights
from preprocess.weights import Checksum, ExternalFile, Hub, Source
from tests.processes import free_port

from .publisher import Publisher, running


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def make_entry(monkeypatch) -> Callable[..., ExternalFile]:
    """Make an entry and put it into the registry: make_entry(name, source, stated, size)."""

    def make(
        name: str = "tests/a.bin",
        source: Source | None = None,
        stated: str | tuple[Checksum, ...] = (),
        size: int | None = None,
        alternative: bool = False,
    ) -> ExternalFile:
        if isinstance(stated, str):
            stated = (Checksum("sha256", stated, "tests"),)
        source = source or Hub("owner/name", "main", "a.bin")
        entry = ExternalFile(name, "made by a test", source, "MIT", size, stated, alternative)
        registry = (*weights.registry.REGISTRY, entry)
        monkeypatch.setattr(weights.registry, "REGISTRY", registry)
        return entry

    return make


@pytest.fixture
def online(monkeypatch) -> None:
    """The tests' own ban of the network is lifted."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def publisher(online, monkeypatch) -> Iterator[Publisher]:
    """A hub on the loopback, which $HF_ENDPOINT names."""
    with running() as started:
        monkeypatch.setenv("HF_ENDPOINT", started.url)
        yield started


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}"
