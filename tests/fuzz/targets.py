"""What reads files of strangers, one target each: a function of bytes, and bytes to begin with.

A target passes when it returns, or raises one of its own errors, within bounded time and memory.
Nothing heavy is imported before a target is made, so that the fuzzer can instrument what it reads.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CASES", "TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """`reads` takes a case; `errors` are those that it may raise. `words` help to make cases."""

    reads: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()


# How many cases of each make the slow suite's million; where each takes long there are fewer.
CASES = {
    "tar": 100_000,
    "manifest": 220_000,
    "keypoints": 80_000,
    "npy": 40_000,
    "bundle": 240_000,
    "dataset": 60_000,
    "arrays": 150_000,
    "clip": 8_000,
    "mix": 12_000,
    "where": 60_000,
    "source_tar": 12_000,
    "matroska": 12_000,
    "image": 1_500,
    "recipe": 2_000,
    "people": 1_500,
    "torch": 2_000,
    "onnx": 1_000,
}

_SCRATCH = Path(tempfile.gettempdir() if not os.path.isdir("/dev/shm") else "/dev/shm")


def _scratch(name: str) -> Path:
    return _SCRATCH / f"idol-fuzz-{os.getpid()}-{name}"


def _tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, form: int = 2) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _body(tar: bytes) -> bytes:
    """Without the end marker, as a range of a tar."""
    return tar[: len(tar.rstrip(b"\0")) + 511 & ~511]


def _resealed(tar: bytes) -> bytes:
    """With checksums that fit each block that looks like a header: else few get past the first."""
    data = bytearray(tar)
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


_TARS = (
    _tar(("k-0.json", b"{}"), ("k-0.rgb.000.jpg", b"x" * 600)),
    _tar((f"{'n' * 120}.txt", b"abc"), form=tarfile.PAX_FORMAT),
    _tar((f"{'n' * 120}.txt", b"abc"), form=tarfile.GNU_FORMAT),
    _tar(("é.json", b""), form=tarfile.PAX_FORMAT),
    _tar(("a/../../b", b"1"), ("/etc/passwd", b"2")),
    _tar(("link", b""), kind=tarfile.SYMTYPE),
)
_TAR_WORDS = (b"ustar", b"..", b"/", b"path=", b"size=", b"GNU.sparse", b"\0\0", b"0", b"x", b"L")


def _sealed(read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    return lambda data: read(_resealed(data[1:]) if data[:1] < b"\x80" else data[1:])


def _flagged(seeds: Sequence[bytes]) -> list[bytes]:
    return [flag + seed for seed in seeds for flag in (b"\0", b"\xff")]


def tar() -> Target:
    from shards.errors import BadTar
    from shards.files.tars import iter_headers, members_of, read_members

    def read(data: bytes) -> None:
        slow = fast = None
        with contextlib.suppress(BadTar):
            slow = read_members(data, label="t")
        with contextlib.suppress(BadTar):
            fast = members_of(data, label="t")
        if slow is not None and fast is not None:
            assert {name: bytes(view) for name, view in fast.items()} == dict(slow)
        for name in fast or ():
            assert not name.startswith("/")
            assert ".." not in name.split("/")
        list(iter_headers(io.BytesIO(data), label="t"))

    seeds = [*_TARS, *map(_body, _TARS)]
    return Target(_sealed(read), (BadTar,), _flagged(seeds), _TAR_WORDS)


def source_tar() -> Target:
    from preprocess.sources.laion import scan_tar

    path = _scratch("tar")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for image in scan_tar(path)[0]:
            assert 0 <= image.offset <= image.offset + image.size <= len(data)

    seeds = [_tar(("1.jpg", b"x" * 600), ("1.json", b"{}")), *_TARS]
    return Target(_sealed(read), (), _flagged(seeds), _TAR_WORDS)


_MANIFEST = {
    "schema": 3,
    "split": "train",
    "index": 0,
    "bytes": 4096,
    "sha256": "0" * 64,
    "fingerprint": "f" * 64,
    "samples": [
        {
            "key": "videos-a-0",
            "offset": 0,
            "length": 1024,
            "sizes": {"json": 2, "rgb": 600},
            "frames": 8,
            "video": "a",
            "fps": 30.0,
        }
    ],
    "quarantined": [{"key": "videos-a-8", "video": "a", "reason": "no person"}],
}
_JSON_WORDS = (
    *(b"null", b"true", b"1e999", b"-1", b"NaN", b"[", b"{", b'"', b"\\ud800", b"1" * 40),
    *(b'"schema": 3', b'"samples": []', b"[" * 50, b"0.5", b'"offset":', b'"length":'),
)


def manifest() -> Target:
    from shards.errors import BadManifest, OldSchema
    from shards.manifest import count_totals, manifest_bytes, parse_manifest

    def read(data: bytes) -> None:
        found = parse_manifest(data)
        assert parse_manifest(manifest_bytes(found)) == found
        count_totals([found])

    seed = json.dumps(_MANIFEST).encode()
    return Target(read, (BadManifest, OldSchema), [seed, b"{}", b"[]"], _JSON_WORDS)


def dataset() -> Target:
    from fsspec.implementations.memory import MemoryFileSystem

    from shards.dataset import FILE, DatasetInfo, read_info
    from shards.errors import NotADataset
    from shards.files.digest import canonical_json
    from shards.files.storage import Store

    store = Store(MemoryFileSystem(), "/fuzz")

    def read(data: bytes) -> None:
        store.fs.pipe_file(f"/fuzz/{FILE}", data)
        info = read_info(store)
        assert info is not None
        canonical_json(info.as_json())

    seed = canonical_json(DatasetInfo({"size": 32, "source": {"videos": 3}}).as_json())
    return Target(read, (NotADataset,), [seed, b"{}"], _JSON_WORDS)


def mix() -> Target:
    from fsspec.implementations.memory import MemoryFileSystem

    from shards.errors import ShardsError
    from shards.files.storage import Store
    from shards.mix import read_mix

    store = Store(MemoryFileSystem(), "/mix/mix.json")

    def read(data: bytes) -> None:
        store.fs.pipe_file("/mix/mix.json", data)
        read_mix(store)

    said = {"schema": 1, "paths": [{"path": "coco", "weight": 0.2}, {"path": "/x", "weight": 1}]}
    return Target(read, (ShardsError,), [json.dumps(said).encode()], _JSON_WORDS)


def _npy(array_bytes: bytes = b"\0" * 24, header: str = "") -> bytes:
    text = header or "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3), }"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + array_bytes


_NPY_WORDS = (
    *(b"'descr'", b"'shape'", b"(1, 1, 2, 3)", b"'|O'", b"'<f4'", b"'<f2'", b"True", b"-1"),
    *(b"99999999999999999999", b"(" * 40, b"1L", b"[", b"0", b"b'", b"\\", b"lambda:0"),
)


def keypoints() -> Target:
    from shards.errors import BadSample
    from shards.sample.modalities import MODALITIES

    rows = [MODALITIES[name] for name in ("keypoints",)]

    def read(data: bytes) -> None:
        for row in rows:
            points = row.read("k-0.keypoints.npy", data)
            assert points.nbytes <= len(data)
            row.encoding.from_stored(points)
            list(row.encoding.faults(points))

    return Target(read, (BadSample,), [_npy(), _npy(b"", "{'shape': (0, 1, 2, 3)}")], _NPY_WORDS)


def npy() -> Target:
    from shards.errors import BadSample
    from shards.latents import decode_moments

    def read(data: bytes) -> None:
        moments = decode_moments(data, (2, 8, 2, 2), "k-0.rgb_latents.npy")
        assert moments.nbytes <= 2 * len(data)

    header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 8, 2, 2), }"
    return Target(read, (BadSample,), [_npy(b"\0" * 128, header), _npy()], _NPY_WORDS)


def _png(width: int = 2, height: int = 2, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    row = b"\0" + b"\x40" * (width * (3 if colour == 2 else 1) * depth // 8)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(row * min(height, 64))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def _jpeg() -> bytes:
    import cv2
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def image() -> Target:
    import numpy as np

    from preprocess.errors import ClipError
    from preprocess.stills import decode_image as shown
    from shards.errors import BadSample
    from shards.sample.images import decode_image, decode_into

    def read(data: bytes) -> None:
        for reads in (
            lambda: decode_image(data),
            lambda: decode_into(np.zeros((2, 2, 3), np.uint8), memoryview(data), "x.png"),
            lambda: shown(data, "x"),
        ):
            with contextlib.suppress(ValueError, BadSample, ClipError):
                reads()

    seeds = [_png(), _png(depth=16, colour=0), _png(60_000, 60_000), _jpeg()]
    words = (b"IHDR", b"IDAT", b"IEND", b"\xff\xd8", b"\xff\xd9", b"\xff\xc0", b"acTL", b"eXIf")
    return Target(read, (), seeds, words)


def clip() -> Target:
    import numpy as np

    from shards.errors import BadSample, BadTar
    from shards.files.tars import read_members
    from shards.sample.clip import Clip
    from shards.sample.codec import decode_clip, encode_clip

    def read(data: bytes) -> None:
        decode_clip(read_members(data, label="t"))

    rgb = np.zeros((1, 2, 2, 3), np.uint8)
    small = Clip(key="v-a-0", rgb=rgb, mask=rgb[..., 0], info={"frame_indices": [0]})
    seed = _body(_tar(*encode_clip(small)))
    return Target(_sealed(read), (BadSample, BadTar), _flagged([seed]), (*_JSON_WORDS, b".png"))


def arrays() -> Target:
    import numpy as np

    from idol.evaluate.array_pickle import load_arrays
    from idol.evaluate.errors import EvaluationError

    path = _scratch("arrays")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_arrays(path)

    values = {"mean": np.zeros(3), "n": 2, "in": {"a": np.eye(2, dtype=np.float32)}}
    seeds = [pickle.dumps(values, protocol) for protocol in (0, 2, 4)]
    seeds += [pickle.dumps(os.getcwd), b"cos\nsystem\n(S'echo'\ntR.", b"\x80\x04N."]
    return Target(read, (EvaluationError,), seeds, (b"cposix\nsystem\n", b"R", b"b", b"\x93", b"."))


def where() -> Target:
    from preprocess.errors import InputError
    from preprocess.sources.where import parse_where

    def read(data: bytes) -> None:
        holds = parse_where(data.decode("utf-8", "replace"), ("performer", "camera"))
        holds({"performer": 1, "camera": 2})

    seeds = [b"performer in (1, 2) and 1 <= camera <= 2", b"not (camera == 1 or performer != 3)"]
    words = (b"__import__", b"(", b"not ", b"lambda", b"[", b"**", b"9" * 30, b" in ", b"camera")
    return Target(read, (InputError,), seeds, words)


def recipe() -> Target:
    from pipelines.recipe_file import packaged, parse_recipe
    from preprocess.errors import InputError

    def read(data: bytes) -> None:
        parse_recipe(data.decode("utf-8", "replace"), "recipe.yaml")

    seeds = [b"dataset: tiktok\nsize: 64\ncompute:\n  workers: 2\n"]
    seeds += [b"sources:\n- {name: a, path: x, weight: 1, dataset: videos}\n"]
    seeds += [min(packaged().values(), key=len).encode()]
    words = (
        b"!!python/object/apply:os.system",
        b"&a ",
        b"*a",
        b"<<:",
        b"? ",
        b"[[[[",
        b": ",
        b"- ",
    )
    return Target(read, (InputError,), seeds, words)


def people() -> Target:
    from preprocess.errors import InputError
    from preprocess.sources.people.spec import load_spec

    path = _scratch("people.yaml")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_spec(path)

    words = (b"!!python/object/apply:os.system", b"&a ", b"*a", b"<<:", b"[", b": ", b"1e400", b"~")
    return Target(read, (InputError,), [b"videos: 2\nframes: 16\n", b"stages: {room: 1}\n"], words)


def bundle() -> Target:
    import google_crc32c  # noqa: F401

    from preprocess.annotators.hdnet.tensor_bundle import load_tensor_bundle
    from preprocess.errors import InputError

    prefix = _scratch("bundle")
    index, values = Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")

    def read(data: bytes) -> None:
        length = int.from_bytes(data[:2], "little") % (len(data) + 1)
        index.write_bytes(data[2 + length :])
        values.write_bytes(data[2 : 2 + length])
        load_tensor_bundle(prefix)

    def entry(key: bytes, value: bytes) -> bytes:
        return bytes([0, len(key), len(value)]) + key + value

    header = b"\x08\x01"
    variable = b"\x08\x01\x12\x04\x12\x02\x08\x02\x28\x08"  # two float32
    blocks = entry(b"", header) + entry(b"w", variable) + struct.pack("<II", 0, 1)
    at = len(blocks) + 5
    where_it_is = bytes([0, len(blocks)])
    listed = entry(b"w", where_it_is) + struct.pack("<II", 0, 1)
    table = blocks + b"\0" * 5 + listed + b"\0" * 5
    handles = bytes([at, 0, at, len(listed)])
    footer = handles + bytes(40 - len(handles)) + struct.pack("<Q", 0xDB4775248B80FB57)
    seed = b"\x08\x00" + struct.pack("<ff", 1, 2) + table + footer
    return Target(read, (InputError,), [seed, seed[10:]], (b"\xff" * 9 + b"\x01", b"\x80", footer))


def matroska() -> Target:
    from preprocess.matroska import end_of_matroska, losses

    path = _scratch("mkv")

    def read(data: bytes) -> None:
        end_of_matroska(io.BytesIO(data), len(data))
        if data:
            path.write_bytes(data)
            for place in losses(path):
                assert 0 <= place <= len(data)

    cluster = bytes.fromhex("1f43b67501ffffffffffffffe78100a38981000080") + b"\0" * 5
    segment = bytes.fromhex("1a45dfa3844286810118538067") + b"\x01" + b"\xff" * 7 + cluster * 3
    return Target(
        read, (), [segment, cluster], (b"\x1f\x43\xb6\x75", b"\x01" + b"\xff" * 7, b"\xa3")
    )


def torch() -> Target:
    import torch as library
    from safetensors.torch import save

    from preprocess.annotators.torch.loading import load_state
    from preprocess.errors import InputError

    path = _scratch("weights.pth")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_state(path)

    state = {"w": library.arange(4.0), "b": library.zeros(2, 2)}
    seeds = [save(state)]
    for zipped in (True, False):
        file = io.BytesIO()
        library.save(state, file, _use_new_zipfile_serialization=zipped)
        seeds.append(file.getvalue())
    seeds += [pickle.dumps(os.getcwd, 2), b"\x80\x02cos\nsystem\nX\x04\0\0\0echo\x85R."]
    return Target(read, (InputError,), seeds, (b"cposix\nsystem\n", b"PK\x03\x04", b"R", b'"F32"'))


def onnx() -> Target:
    from preprocess.annotators.dwpose.networks import _load
    from preprocess.errors import InputError

    path = _scratch("net.onnx")
    from rtmlib import YOLOX

    def read(data: bytes) -> None:
        path.write_bytes(data)
        _load(YOLOX, path, "cpu")

    return Target(
        read, (InputError,), [_tiny_onnx(), b"\x08\x08"], (b"Relu", b"\x12\x01x", b"\x0a")
    )


def _tiny_onnx() -> bytes:
    """y = Relu(x) of one image, as protocol buffers (onnx.proto, IR version 8)."""

    def field(number: int, value: bytes | int) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3, value])
        return bytes([number << 3 | 2, len(value)]) + value

    dims = b"".join(field(1, field(1, n)) for n in (1, 3, 4, 4))
    kind = field(1, field(1, 1) + field(2, dims))
    node = field(1, b"x") + field(2, b"y") + field(4, b"Relu")
    values = [field(n, field(1, name) + field(2, kind)) for n, name in ((11, b"x"), (12, b"y"))]
    graph = field(1, node) + field(2, b"g") + b"".join(values)
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


TARGETS: dict[str, Callable[[], Target]] = {
    f.__name__: f
    for f in (
        *(tar, manifest, keypoints, npy, bundle, dataset, arrays, clip, mix, where, source_tar),
        *(matroska, image, recipe, people, torch, onnx),
    )
}


def mutated(rng: random.Random, target: Target) -> bytes:
    """A case: one of the seeds with a few changes. The fuzzer's own where there is no coverage."""
    data = bytearray(rng.choice(target.seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] = rng.randrange(256)
            case 1 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 2:
                data[at:at] = rng.choice(target.words or (b"\0",))
            case 3:
                del data[at : at + rng.choice((1, 2, 8, 64))]
            case 4:
                other = rng.choice(target.seeds)
                start = rng.randrange(len(other) + 1)
                data[at : at + 32] = other[start : start + rng.randrange(1, 64)]
            case 5:
                number = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63))
                data[at : at + 4] = number.to_bytes(8, "little")[: rng.choice((1, 2, 4, 8))]
            case _:
                data[at:] = data[at:] * rng.choice((0, 2))
    return bytes(data[: 1 << 16])
