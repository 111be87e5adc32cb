"""What a build runs on: device, precision, batches, and how much of a GPU each worker asks for."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.recipe import RecipeMistakes
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.spec import Hardware
from preprocess.errors import InputError
from shards.machine import usable_cores, usable_memory

__all__ = ["Compute", "Stopwatch", "ray_saves_time", "ray_start_seconds", "speedup"]

# Of cores that nothing else uses: from `import ray` until its workers begin with their first clips.
_RAY_SECONDS = 10.0
# Of a core's throughput, where workers fill all cores (bench/build.py).
_CROWDED = 0.78

_KINDS = ("mask", "pose", "depth")
# Memory of a worker that holds the paper's networks, on a CPU; and of what renders people.
_WORKER_BYTES = 6 << 30
_RENDERER_BYTES = 1_800_000_000
_LEAST_MEMORY = 0.25  # GB, in which a worker can load the smallest annotators


@dataclass(frozen=True)
class Compute:
    """Nothing of this is in a dataset's fingerprint but the precision.

    Raises RecipeMistakes naming every mistake at once.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the paper's annotators run; auto: the GPU where there is one."""
    precision: Literal["auto", "fp32", "fp16"] = "auto"
    """Of the paper's annotators; auto: fp16 on a GPU, fp32 on a CPU. Another precision gives
    another dataset."""
    batch: int | Literal["auto"] = "auto"
    """Images in a forward pass of the paper's annotators; auto: what the GPU's memory holds."""
    mask_gpus: float | None = None
    """Fraction of a GPU that a worker asks for to make masks. Default: the annotator's own."""
    pose_gpus: float | None = None
    """Fraction of a GPU that a worker asks for to find key points. Default: the annotator's own."""
    depth_gpus: float | None = None
    """Fraction of a GPU that a worker asks for to make depth. Default: the annotator's own."""

    workers: int | None = None
    """Ray workers; 0 works in this process without Ray. Default: this process where starting Ray
    would take longer than it saves; else one a core, or as many as GPUs and memory hold."""
    address: str | None = None
    """Address of a running Ray cluster to join."""
    clip_timeout: float = 1800.0
    """Seconds that a clip may take; one that takes longer is quarantined. 0: clips are made in the
    worker's own process, watched by nobody, as a debugger wants it."""
    worker_memory: float | None = None
    """Gigabytes that a worker may take; a clip for which they do not do is quarantined. Default:
    nine tenths of the machine's, and no limit where networks run on a GPU."""

    def __post_init__(self) -> None:
        if mistakes := list(self._mistakes()):
            raise RecipeMistakes(mistakes, "what to run on")

    def _mistakes(self) -> Iterator[str]:
        if self.batch != "auto" and self.batch < 1:
            yield f"batch must be at least 1, or auto, not {self.batch}"
        if self.workers is not None and self.workers < 0:
            yield f"workers must be 0 or more, not {self.workers}"
        if self.workers == 0 and self.address is not None:
            yield f"address {self.address} joins a Ray cluster, and workers 0 uses no Ray: drop one"
        if not (math.isfinite(self.clip_timeout) and self.clip_timeout >= 0):
            yield f"clip_timeout must be a number of seconds, 0 or more, not {self.clip_timeout:g}"
        memory = self.worker_memory
        if memory is not None and not (math.isfinite(memory) and memory >= _LEAST_MEMORY):
            yield f"worker_memory must be at least {_LEAST_MEMORY} (GB), not {memory:g}"
        for kind in _KINDS:
            value = self._given(kind)
            if value is not None and not (math.isfinite(value) and 0 <= value <= 8):
                yield f"{kind}_gpus must be between 0 and 8, not {value}"
        if self.device == "cpu" and self.precision == "fp16":
            yield "precision fp16 needs a GPU: use fp32 or auto with device cpu"

    def hardware(self, choice: AnnotatorChoice) -> Hardware:
        """What the annotators will be loaded with, here or on the machines of a cluster.

        Raises InputError for a GPU that is not there, or fp16 without one.
        """
        device = "cpu"
        if choice.networks and self.device != "cpu":
            if self.address is not None and self.device == "cuda":
                device = "cuda"
            else:
                from preprocess.annotators.torch.device import pick_device

                device = pick_device(self.device)
        if choice.networks and device == "cpu" and self.precision == "fp16":
            raise InputError("--precision fp16 needs a GPU, and there is none: use fp32 or auto")
        half = device != "cpu" and self.precision != "fp32"
        return Hardware(device, half, self.batch)

    def gpus_per_worker(self, choice: AnnotatorChoice, hardware: Hardware) -> float:
        """What Ray is asked for; above one GPU a whole number, since Ray gives no other."""
        if hardware.device == "cpu":
            return 0.0
        total = sum(self.gpus(choice).values())
        return float(math.ceil(total)) if total > 1 else round(total, 4)

    def count_workers(
        self, choice: AnnotatorChoice, hardware: Hardware, *, rendered: bool = False
    ) -> int:
        """As many as asked for, else one a core, or fewer where GPUs, or memory for the networks
        and for rendering people (`rendered`), would not do."""
        if self.workers is not None:
            return self.workers
        fitting = usable_cores()
        on_cpu = choice.networks and hardware.device == "cpu"
        if bytes_each := on_cpu * _WORKER_BYTES + rendered * _RENDERER_BYTES:
            fitting = min(fitting, usable_memory() // bytes_each)
        if choice.networks and not on_cpu:
            from preprocess.annotators.torch.device import gpu_count

            each = self.gpus_per_worker(choice, hardware)
            gpus = gpu_count()
            on_gpus = gpus * int(1 / each) if 0 < each <= 1 else gpus // max(int(each), 1)
            fitting = min(fitting, on_gpus or fitting)
        return max(1, fitting)

    def scan_processes(self) -> int:
        """In how many processes this machine looks through videos before they are planned."""
        cores = usable_cores()
        return cores if self.workers is None else min(max(self.workers, 1), cores)

    def may_stay_here(self, choice: AnnotatorChoice, hardware: Hardware) -> bool:
        """Whether the time that is left decides between this process and Ray.

        Large networks are not loaded twice for that.
        """
        return self.workers is None and self.address is None and not choice.networks

    def gpus(self, choice: AnnotatorChoice) -> dict[str, float]:
        """Fractions of a GPU by option ("mask", "pose", "depth"), for those that a GPU speeds up.

        Annotators of one option run one after the other: the largest fraction serves both.
        """
        fractions: dict[str, float] = {}
        for chosen in choice.chosen.values():
            option, own = chosen.spec.option, chosen.spec.gpu
            if own:
                given = self._given(option)
                fractions[option] = max(fractions.get(option, 0), own if given is None else given)
        return fractions

    def _given(self, option: str) -> float | None:
        fraction: float | None = getattr(self, f"{option}_gpus", None)
        return fraction


def speedup(workers: int) -> float:
    """How many times the throughput of one worker so many have on this machine."""
    cores = usable_cores()
    return workers if workers < cores else max(1.0, _CROWDED * cores)


class Stopwatch:
    """Measures work of this process: how long it takes, and how much of it is waiting for cores
    that other programs hold."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._began_cpu = time.process_time()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def stretch(self) -> float:
        """By how much a busy machine lengthens work: 1 where cores are free."""
        return self.stretch_of(0.0)

    def stretch_of(self, elsewhere: float) -> float:
        """The same where the work is done in processes that used so many seconds of a core."""
        here = time.process_time() - self._began_cpu
        return max(1.0, self.seconds / max(here + elsewhere, 1e-3))


def ray_start_seconds(stretch: float) -> float:
    """How long Ray takes to start here."""
    return _RAY_SECONDS * stretch


def ray_saves_time(seconds: float, workers: int, stretch: float) -> bool:
    """Whether work of so many seconds in this process ends sooner on Ray, its start included."""
    return workers > 1 and ray_start_seconds(stretch) + seconds / speedup(workers) < seconds
