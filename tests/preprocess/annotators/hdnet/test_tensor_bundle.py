"""Checkpoints read as TensorFlow wrote them; what cannot be read says why."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.annotators.hdnet import load_tensor_bundle
from preprocess.annotators.hdnet.tensor_bundle import masked_crc32c
from preprocess.errors import InputError
from tests.preprocess.annotators.hdnet.bundles import TYPES, field, write_bundle

FIXTURES = Path(__file__).parent / "fixtures"
TINY = FIXTURES / "tf_bundle_tiny.ckpt"


def assert_same(read, expected):
    assert set(read) == set(expected)
    for name, value in expected.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value, strict=True)


@pytest.fixture
def tiny(tmp_path):
    """A copy of TensorFlow's checkpoint to spoil: its prefix, and its two files."""
    suffixes = (".index", ".data-00000-of-00001")
    files = [tmp_path / f"model.ckpt{suffix}" for suffix in suffixes]
    for path, suffix in zip(files, suffixes, strict=True):
        path.write_bytes(Path(f"{TINY}{suffix}").read_bytes())
    return tmp_path / "model.ckpt", *files


def test_a_checkpoint_of_tensorflow_reads_exactly():
    with np.load(FIXTURES / "tf_bundle_tiny_expected.npz") as expected:
        assert_same(load_tensor_bundle(TINY), {n.replace("|", "/"): expected[n] for n in expected})
        assert load_tensor_bundle(str(TINY))["global_step"] == expected["global_step"]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_numeric_type_is_kept(tmp_path, dtype):
    values = np.random.default_rng(1).integers(0, 2, (3, 4)).astype(dtype)
    variables = {"matrix": values, "scalar": values[1, 2], "empty": values[:0]}
    write_bundle(tmp_path / "model.ckpt", variables)
    assert_same(load_tensor_bundle(tmp_path / "model.ckpt"), variables)


def test_bfloat16_is_widened_without_loss(tmp_path):
    exact = np.array([1.0, -2.5, 3.140625, 0, np.inf], np.float32)
    halves = (exact.view(np.uint32) >> 16).astype(np.uint16)
    write_bundle(tmp_path / "model.ckpt", {"x": halves}, types={"x": 14})
    assert_same(load_tensor_bundle(tmp_path / "model.ckpt"), {"x": exact})


def test_many_blocks_and_several_data_files(tmp_path):
    rng = np.random.default_rng(2)
    variables = {f"scope/{n}/weights": rng.standard_normal((n % 5, 3)) for n in range(200)}
    write_bundle(tmp_path / "model.ckpt", variables, shards=3)
    assert len(list(tmp_path.glob("*.data-*-of-00003"))) == 3
    assert_same(load_tensor_bundle(tmp_path / "model.ckpt"), variables)


def test_what_is_no_number_is_left_out(tmp_path):
    variables = {"_CHECKPOINTABLE_OBJECT_GRAPH": np.zeros(9, np.uint8), "x": np.ones(2)}
    types = {"_CHECKPOINTABLE_OBJECT_GRAPH": 7}
    write_bundle(tmp_path / "model.ckpt", variables, types=types)
    assert_same(load_tensor_bundle(tmp_path / "model.ckpt"), {"x": np.ones(2)})


def test_a_checkpoint_without_checksums_reads(tmp_path):
    write_bundle(tmp_path / "model.ckpt", {"x": np.ones(2)}, checksum=lambda raw: 0)
    assert_same(load_tensor_bundle(tmp_path / "model.ckpt"), {"x": np.ones(2)})


def unmasked(crc):
    rotated = (crc - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated << 15 | rotated >> 17) & 0xFFFFFFFF


def test_checksums_are_those_of_the_standard():
    """The check value of CRC-32C, and the examples of RFC 3720, B.4."""
    assert unmasked(masked_crc32c(b"123456789")) == 0xE3069283
    assert unmasked(masked_crc32c(bytes(32))) == 0x8A9136AA
    assert unmasked(masked_crc32c(b"\xff" * 32)) == 0x62A8AB43
    assert unmasked(masked_crc32c(bytes(range(32)))) == 0x46DD794E


def test_long_checksums_are_those_of_the_definition():
    data = np.random.default_rng(3).integers(0, 256, 3 * 4096 + 5, np.uint8).tobytes()
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert unmasked(masked_crc32c(data)) == register ^ 0xFFFFFFFF


def test_absent_files_are_named(tiny):
    prefix, index, data = tiny
    data.unlink()
    with pytest.raises(InputError, match="data-00000-of-00001 does not exist"):
        load_tensor_bundle(prefix)
    index.unlink()
    with pytest.raises(InputError, match=r"model\.ckpt\.index does not exist.*prefix"):
        load_tensor_bundle(prefix)


def test_data_cut_short_names_the_variable(tiny):
    prefix, _, data = tiny
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data-00000-of-00001 is cut off: hour.*conv3/weights"):
        load_tensor_bundle(prefix)


def test_a_changed_byte_of_data_is_noticed(tiny):
    prefix, _, data = tiny
    content = bytearray(data.read_bytes())
    content[700] ^= 4
    data.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged: .*conv2/weights has another checksum"):
        load_tensor_bundle(prefix)


def test_an_index_cut_anywhere_is_refused(tiny):
    prefix, index, _ = tiny
    whole = index.read_bytes()
    for length in range(len(whole)):
        index.write_bytes(whole[:length])
        with pytest.raises(InputError, match="index"):
            load_tensor_bundle(prefix)


def test_a_changed_byte_of_the_index_is_refused_or_does_not_matter(tiny):
    """What does not matter: the unused list of other tables, and padding."""
    prefix, index, _ = tiny
    whole = index.read_bytes()
    expected = load_tensor_bundle(prefix)
    harmless = 0
    for place in range(len(whole)):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert_same(load_tensor_bundle(prefix), expected)
            harmless += 1
        except InputError:
            continue
    assert harmless < 70


@pytest.mark.parametrize("content", [b"", b"no table at all", bytes(500), b"\xff" * 500])
def test_garbage_is_refused(tiny, content):
    prefix, index, _ = tiny
    index.write_bytes(content)
    with pytest.raises(InputError, match="not a table"):
        load_tensor_bundle(prefix)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kind": 1}, "compressed blocks"),
        ({"endianness": 1}, "big-endian"),
        ({"types": {"x": 25}}, "x has TensorFlow type 25"),
        ({"types": {"x": 1}}, "shape .* has .* bytes"),
        ({"extra": {b"y": field(1, 1) + field(7, b"") * 2}}, "y is a partitioned .* 2 slices"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, options, reason):
    write_bundle(tmp_path / "model.ckpt", {"x": np.ones(2)}, **options)
    with pytest.raises(InputError, match=reason):
        load_tensor_bundle(tmp_path / "model.ckpt")
