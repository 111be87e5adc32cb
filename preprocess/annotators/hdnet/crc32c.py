"""CRC-32C (Castagnoli) of long buffers in numpy: what guards a tensor bundle's bytes."""

from __future__ import annotations

import numpy as np

__all__ = ["masked_crc32c"]

_POLYNOMIAL = 0x82F63B78  # reflected
_LANES = 4096


def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


_TABLE = _byte_table()
_TABLE_LIST = [int(v) for v in _TABLE]


def masked_crc32c(data: bytes | bytearray) -> int:
    """The checksum as LevelDB and TensorFlow store it: rotated by 15 bits plus a constant."""
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(data: bytes | bytearray) -> int:
    content = np.frombuffer(data, np.uint8)
    width = content.size // _LANES
    register = 0xFFFFFFFF
    if width:
        register = _advance(register, content[: width * _LANES].reshape(_LANES, width))
    for byte in content[width * _LANES :].tolist():
        register = _TABLE_LIST[(register ^ byte) & 0xFF] ^ register >> 8
    return register ^ 0xFFFFFFFF


def _advance(register: int, lanes: np.ndarray) -> int:
    """The register after all bytes of `lanes`, (lanes, width) uint8, row by row.

    The register's step is linear over bits: all rows are run at once from zero, beside the 32
    single bits run over as many zero bytes, which say what a row's length does to the register.
    """
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    state = np.concatenate([np.zeros(len(lanes), np.uint32), bits])
    columns = np.zeros((lanes.shape[1], state.size), np.uint8)
    columns[:, : len(lanes)] = lanes.T
    for column in columns:
        state = _TABLE[(state & 0xFF) ^ column] ^ state >> 8
    images = state[len(lanes) :].tolist()
    for moved in state[: len(lanes)].tolist():
        while register:
            lowest = register & -register
            moved ^= images[lowest.bit_length() - 1]
            register ^= lowest
        register = moved
    return register
