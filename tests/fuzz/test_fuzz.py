"""Any bytes give a value or the package's own error, in bounded time and memory.

`python -m tests.fuzz.run TARGET` looks for cases that break this; what it found lies in `corpus/`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import BadManifest, BadSample, BadTar, OldSchema, UnsafeMember
from shards.files.tars import members_of, read_members
from shards.manifest import parse_manifest
from shards.sample.modalities import MODALITIES
from tests.fuzz.run import CORPUS, replay
from tests.fuzz.targets import CASES, TARGETS, mutated

ROOT = Path(__file__).parents[2]
FOUND = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_reader_no_longer_does(case: Path) -> None:
    replay(case.parent.name, case.read_bytes())


# Those that need no network library.
QUICK = [name for name in TARGETS if name not in ("torch", "onnx", "image")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", QUICK)
def test_changed_files_give_values_or_our_errors(name: str) -> None:
    target = TARGETS[name]()
    rng = random.Random(name)
    for _ in range(30 if name in ("recipe", "people") else 250):
        with contextlib.suppress(target.errors):
            target.reads(mutated(rng, target))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each target in a process of its own, led by coverage where atheris is installed."""
    counts = {}
    for name in TARGETS:
        arguments = [sys.executable, "-m", "tests.fuzz.run", name, "--found", str(tmp_path)]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, f"{name}: {done.stderr[-3000:]}"
        counts[name] = int(done.stdout.split()[-2])
        assert counts[name] >= CASES[name]
    with capsys.disabled():
        print(f"\n{sum(counts.values()):,} cases, none broke a reader:", json.dumps(counts))
    assert sum(counts.values()) >= 1_000_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
SAMPLE = {"key": "v-a-0", "offset": 0, "length": 512, "sizes": {"rgb": 1}, "frames": 1}
MANIFEST = {
    "schema": 3,
    "split": "train",
    "index": 0,
    "bytes": 4096,
    "sha256": "0" * 64,
    "samples": [SAMPLE],
    "quarantined": [],
}


@given(st.sampled_from(sorted(MANIFEST)), JSON)
def test_a_manifest_with_any_value_in_a_field(field: str, value: object) -> None:
    with contextlib.suppress(BadManifest, OldSchema):
        parse_manifest(json.dumps({**MANIFEST, field: value}).encode())


@given(st.sampled_from([*sorted(SAMPLE), "video", "fps", "subject"]), JSON)
def test_a_sample_with_any_value_in_a_field(field: str, value: object) -> None:
    said = {**MANIFEST, "samples": [{**SAMPLE, field: value}]}
    with contextlib.suppress(BadManifest, OldSchema):
        parse_manifest(json.dumps(said).encode())


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=700)), max_size=4),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"3"]),
)
def test_a_tar_of_any_names_gives_plain_files_or_is_refused(
    members: list[tuple[str, bytes]], form: int, kind: bytes
) -> None:
    file = io.BytesIO()
    try:
        with tarfile.open(fileobj=file, mode="w", format=form) as tar:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.type = kind
                info.size = len(data) if kind == tarfile.REGTYPE else 0
                info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
                tar.addfile(info, io.BytesIO(data))
            end = tar.offset
    except (ValueError, UnicodeEncodeError):
        return  # the format has no such names
    data = file.getvalue()[:end]
    try:
        read = read_members(data, label="t")
    except (BadTar, UnsafeMember):
        return
    assert kind == tarfile.REGTYPE or not members
    for name, _ in read:
        assert not set(name) & set("/\\:")
        assert not name.startswith(".")
    if len(dict(read)) < len(read):
        with pytest.raises(BadTar, match="duplicate member name"):
            members_of(data, label="t")
    else:
        assert {n: bytes(view) for n, view in members_of(data, label="t").items()} == dict(read)


@given(
    st.lists(st.integers(-(2**70), 2**70), max_size=5),
    st.sampled_from(["<f4", ">f4", "|O", "<f8", "|V3", "<U8", "|b1"]),
    st.booleans(),
    st.binary(max_size=64),
)
def test_no_npy_header_takes_more_memory_than_the_file(
    shape: list[int], kind: str, fortran: bool, body: bytes
) -> None:
    header = repr({"descr": kind, "fortran_order": fortran, "shape": tuple(shape)}).encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body
    try:
        points = MODALITIES["keypoints"].read("k-0.keypoints.npy", data)
    except BadSample:
        return
    assert points.nbytes == len(body)
    assert points.dtype == np.float32


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_no_png_is_decoded_that_claims_more_than_it_may(width: int, height: int) -> None:
    from shards.sample.images import decode_image
    from tests.fuzz.targets import _png

    data = bytearray(_png())
    data[16:24] = width.to_bytes(4) + height.to_bytes(4)
    if (width, height) == (2, 2) or width * height < 1 << 20:
        return
    with pytest.raises(ValueError, match=r"not decoded|cannot be decoded"):
        decode_image(bytes(data))


# Who may unpickle, or run what a text says: rooms, and why.
ALLOWED = {
    "preprocess/annotators/torch/loading.py": {"pickle"},  # torch's weights_only, whose errors
    "idol/evaluate/array_pickle.py": {"pickle"},  # a reader of arrays alone
    "pipelines/engine.py": {"pickle"},  # what its own workers made
    "pipelines/child.py": {"pickle"},  # what the process that started it sends
}
CALLS = {"eval", "exec", "compile", "__import__", "system", "popen"}


def test_nothing_unpickles_or_runs_what_it_reads() -> None:
    strangers = []
    for package in ("shards", "preprocess", "pipelines", "idol"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                found = set()
                if isinstance(node, ast.Import):
                    found = {a.name for a in node.names} & {"pickle", "marshal", "shelve", "dill"}
                elif isinstance(node, ast.ImportFrom):
                    found = {node.module} & {"pickle", "marshal", "shelve", "dill"}
                elif isinstance(node, ast.Call):
                    function = node.func
                    called = getattr(function, "id", getattr(function, "attr", ""))
                    owner = getattr(getattr(function, "value", None), "id", "")
                    if called in CALLS and owner in ("", "os", "builtins"):
                        found = {called} if isinstance(function, ast.Name) or owner else set()
                    for keyword in node.keywords:
                        value = getattr(keyword.value, "value", None)
                        if (keyword.arg, value) in {
                            ("allow_pickle", True),
                            ("shell", True),
                            ("weights_only", False),
                        }:
                            found |= {str(keyword.arg)}
                    said = any(k.arg == "allow_pickle" for k in node.keywords)
                    if called == "load" and owner == "np" and not said:
                        found |= {"np.load without allow_pickle=False"}
                strangers += [f"{name}: {what}" for what in found - ALLOWED.get(name, set())]
    assert not strangers, strangers


def test_json_and_samples_have_a_size_limit(tmp_path: Path) -> None:
    from shards.files.digest import MOST_CLIP_JSON, parse_json
    from shards.manifest import MOST_SAMPLE
    from shards.reader import open_dataset

    with pytest.raises(ValueError, match="more than 100"):
        parse_json(b"[" + b"1," * 60 + b"1]", limit=100)
    big = {**MANIFEST, "bytes": 2**40, "samples": [{**SAMPLE, "length": MOST_SAMPLE + 1}]}
    with pytest.raises(BadManifest, match="more than"):
        parse_manifest(json.dumps(big).encode())
    info = tarfile.TarInfo("a.json")
    info.size = MOST_CLIP_JSON + 512
    with (tmp_path / "t.tar").open("wb") as file:  # of zeros that take no room
        file.write(info.tobuf())
        file.truncate(512 + info.size + 1024)
    with pytest.raises(BadSample, match="more than"):
        open_dataset(tmp_path / "t.tar")
