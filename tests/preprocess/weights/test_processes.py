"""Fetching as a process of its own: killed half-way, two at once, on a machine without a network.

The hub is one on the loopback, named by $HF_ENDPOINT; the file is one of the registry's whose
content nobody states.
"""

import os
import random
import signal
import subprocess
import sys
import threading

import pytest

from preprocess.weights import checksums, files
from tests.processes import until_there

from .conftest import sha256
from .publisher import Served

# What comes is written in pieces of 10 MB, else.
SMALL_CHUNKS = """
import sys
from huggingface_hub import constants
from pipelines.cli import main
constants.DOWNLOAD_CHUNK_SIZE = 500
sys.exit(main())
"""
NAME = "sd-image-variations/unet/diffusion_pytorch_model.bin"
CONTENT = random.Random(2).randbytes(4_000_000)


@pytest.fixture
def hub(publisher):
    """The file on the loopback, held back after its half."""
    (entry,) = files(NAME)
    path = entry.source.url.removeprefix(publisher.url)
    publisher.files[path] = Served(CONTENT, gate=threading.Event())
    return publisher.files[path]


@pytest.fixture
def start(publisher, tmp_path, start):
    """Start `idol-prep weights fetch` on the file."""

    def fetch(endpoint=publisher.url):
        # What is held back is not taken for a dead connection, however slow this machine is.
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DOWNLOAD_TIMEOUT": "300"}
        del environment["HF_HUB_OFFLINE"]
        command = [sys.executable, "-c", SMALL_CHUNKS, "weights", "fetch", NAME]
        return start(
            [*command, "--weights", str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return fetch


def size(folder):
    """Of what is half here."""
    return sum(path.stat().st_size for path in folder.glob("*.part"))


@pytest.mark.parametrize(
    ("content", "here"), [(CONTENT[:5000], "2.5 kB"), (CONTENT, "2.0 MB")], ids=["small", "large"]
)
def test_a_killed_fetch_is_resumed_and_reads_the_rest_alone(
    content, here, hub, publisher, start, tmp_path
):
    target = tmp_path / NAME
    hub.content, half = content, len(content) // 2
    process = start()
    until_there(lambda: size(target.parent) == half)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert size(target.parent) == half
    assert not target.exists()
    hub.gate.set()
    hub.gate = None
    again = start()
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert f"resuming from {here}" in output
    assert target.read_bytes() == content
    assert [(asked.status, asked.range) for asked in publisher.read] == [
        (200, None),
        (206, f"bytes={half}-"),
    ]
    assert sorted(p.name for p in target.parent.iterdir()) == [target.name]


def test_two_at_once_fetch_the_file_once(hub, publisher, start, tmp_path):
    target = tmp_path / NAME
    first = start()
    until_there(lambda: size(target.parent) == len(CONTENT) // 2)
    second = start()
    waiting = second.stdout.readline()
    assert "another process is fetching it" in waiting
    hub.gate.set()
    outputs = [first.communicate(timeout=120)[0], second.communicate(timeout=120)[0]]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert "1 files fetched, 0 were there" in outputs[0]
    assert "0 files fetched, 1 were there" in outputs[1]
    assert target.read_bytes() == CONTENT
    assert len(publisher.read) == 1
    assert sorted(p.name for p in target.parent.iterdir()) == [target.name]
    assert checksums.read(tmp_path)[NAME].sha256 == sha256(CONTENT)


def test_without_a_network_there_is_one_line(nowhere, start, tmp_path):
    process = start(nowhere)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    (line,) = output.strip().splitlines()
    assert line.startswith(f"idol-prep: {NAME}")
    assert f"{tmp_path}/{NAME}" in line
    assert "idol-prep weights fetch sd-image-variations" in line
