"""Entries that tests make for themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from preprocess import weights
from preprocess.weights import Checksum, ExternalFile, Source, Url


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def make_entry(monkeypatch) -> Callable[..., ExternalFile]:
    """Make an entry and put it into the registry: make_entry(name, source, stated, size)."""

    def make(
        name: str = "tests/a.bin",
        source: Source = Url("https://publisher.example/a.bin"),
        stated: str | tuple[Checksum, ...] = (),
        size: int | None = None,
        alternative: bool = False,
    ) -> ExternalFile:
        if isinstance(stated, str):
            stated = (Checksum("sha256", stated, "tests"),)
        entry = ExternalFile(name, "made by a test", source, "MIT", size, stated, alternative)
        registry = (*weights.registry.REGISTRY, entry)
        monkeypatch.setattr(weights.registry, "REGISTRY", registry)
        return entry

    return make
