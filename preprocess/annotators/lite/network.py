"""One `.tflite` network run by LiteRT on the CPU: uint8 image in, float32 arrays out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from shards.files.native_stderr import silent_stderr

__all__ = ["Locate", "Network"]

# From a file's flat name ("pose_detection.tflite") to where it lies; raises when it is absent.
Locate = Callable[[str], Path]


class Network:
    """A network of one square image, (side, side, 3) uint8 RGB in, a dict of arrays out.

    `low` and 1 are what black and white become at its input. Outputs are keyed by their names in
    the file and come without the batch dimension. XNNPACK splits work between threads without
    changing the order of any sum: results are bit-identical for every `threads` on one machine.
    """

    def __init__(self, path: Path, *, low: float = 0.0, threads: int = 1) -> None:
        # Deferred: importing this package for its values alone should stay fast.
        from ai_edge_litert.interpreter import Interpreter

        with silent_stderr():
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        (entry,) = self._interpreter.get_input_details()
        self.side = int(entry["shape"][1])
        self._input: int = entry["index"]
        self._outputs: dict[str, int] = {
            output["name"]: output["index"] for output in self._interpreter.get_output_details()
        }
        self._scale = np.float32((1.0 - low) / 255.0)
        self._low = np.float32(low)

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run on `image`, (side, side, 3) uint8."""
        scaled = image.astype(np.float32)
        scaled *= self._scale
        scaled += self._low
        self._interpreter.set_tensor(self._input, scaled[None])
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()
        }
