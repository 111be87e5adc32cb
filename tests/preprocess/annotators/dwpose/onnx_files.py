"""ONNX files written by hand, byte by byte: small graphs in the places of DWPose's networks."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_TYPES = {np.dtype(np.float32): 1, np.dtype(np.int64): 7}


def _varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number, value):
    """A field of a protocol buffer: a whole number, a float, or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _tensor(name, array):
    dims = b"".join(_field(1, n) for n in array.shape)
    return dims + _field(2, _TYPES[array.dtype]) + _field(8, name) + _field(9, array.tobytes())


def _attribute(name, value):
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + b"".join(_field(8, v) for v in value) + _field(20, 7)


def _value(name, shape):
    dims = b"".join(_field(1, _field(1, n) if isinstance(n, int) else _field(2, n)) for n in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


class Graph:
    """Nodes and constants, collected and then written."""

    def __init__(self):
        self.nodes = []
        self.constants = []

    def constant(self, array):
        name = f"constant_{len(self.constants)}"
        self.constants.append(_tensor(name, np.ascontiguousarray(array)))
        return name

    def __call__(self, op, *inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        node = b"".join(_field(1, i) for i in inputs) + _field(2, name) + _field(4, op)
        node += b"".join(_field(5, _attribute(k, v)) for k, v in attributes.items())
        self.nodes.append(node)
        return name

    def write(self, path: Path, input_shape, outputs):
        """outputs: {node's name: shape}; strings in shapes are sizes left open."""
        graph = b"".join(_field(1, node) for node in self.nodes) + _field(2, "drawn")
        graph += b"".join(_field(5, constant) for constant in self.constants)
        graph += _field(11, _value("images", input_shape))
        graph += b"".join(_field(12, _value(name, shape)) for name, shape in outputs.items())
        opset = _field(1, "") + _field(2, 13)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, opset))
        return path


def floats(values):
    return np.asarray(values, np.float32)


def detector(path, found, frame_size, *, batch="N", side=64):
    """In YOLOX's place: finds `found`, (class, score, (x0, y0, x1, y1)) each, in every frame of
    `frame_size` (height, width) that is somewhere blue; in others nothing."""
    ratio = min(side / frame_size[0], side / frame_size[1])
    places = [
        (x, y, stride)
        for stride in (8, 16, 32)
        for y in range(side // stride)
        for x in range(side // stride)
    ]
    boxes = np.zeros((1, len(places), 85))
    scores = np.zeros((1, len(places), 85))
    for place, (class_, score, box) in enumerate(found):
        x, y, stride = places[place]
        x0, y0, x1, y1 = np.array(box) * ratio / stride
        boxes[0, place, :4] = (x0 + x1) / 2 - x, (y0 + y1) / 2 - y, np.log(x1 - x0), np.log(y1 - y0)
        boxes[0, place, 5 + class_] = 1
        scores[0, place, 4] = score
    graph = Graph()
    blue = graph("Gather", "images", graph.constant(np.array([0])), axis=1)  # of B, G, R
    most = graph("ReduceMax", blue, axes=[1, 2, 3], keepdims=1)
    # The frame is padded with grey of 114.
    above = graph("Relu", graph("Sub", most, graph.constant(floats([114]))))
    share = graph("Min", above, graph.constant(floats([1])))
    share = graph("Reshape", share, graph.constant(np.array([-1, 1, 1])))
    sure = graph("Mul", share, graph.constant(floats(scores)))
    out = graph("Add", sure, graph.constant(floats(boxes)))
    return graph.write(path, (batch, 3, side, side), {out: (batch, len(places), 85)})


def pose(path, heights, *, batch="N", size=(96, 72), joints=133):
    """In RTMPose's place: joint j is where the crop is most red, green or blue (j % 3 = 0, 1, 2),
    and its peak is `heights[j]` times how far that is above the mean in standard deviations."""
    graph = Graph()
    channels = graph.constant(np.arange(joints) % 3)
    high = graph.constant(floats(heights).reshape(1, joints, 1, 1))
    halves = graph.constant(floats([1, 0.5]).reshape(1, 1, 1, 2))  # two bins a pixel
    shape = graph.constant(np.array([0, joints, -1]))
    outputs = {}
    for length, other in ((size[1], 2), (size[0], 3)):
        line = graph("ReduceMax", "images", axes=[other], keepdims=0)
        line = graph("Gather", line, channels, axis=1)
        line = graph("Unsqueeze", line, graph.constant(np.array([-1])))
        bins = graph("Mul", graph("Mul", line, high), halves)
        outputs[graph("Reshape", bins, shape)] = (batch, joints, 2 * length)
    return graph.write(path, (batch, 3, *size), outputs)
