"""Variables of the environment that could change a result: pinned, recorded or refused.

Libraries read dozens of variables of which no command line tells. `VARIABLES` is the one list of
those that could change what a command makes, and of what is done about each; docs/environment.md
shows it (`python -m shards.environment` prints its table). Every command calls `settle` before it
imports anything that reads them; what is `recorded` goes into a run's config.json and a dataset's
dataset.json.
"""

import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from shards.machine import cores_in_sight, usable_cores

__all__ = [
    "VARIABLES",
    "RefusedVariable",
    "Variable",
    "differences",
    "limit_threads",
    "recorded",
    "settle",
    "table",
]

Handling = Literal["ignored", "fixed", "default", "recorded", "noted", "refused", "left"]

_MEANING: dict[Handling, str] = {
    "ignored": "removed before any library reads it; a line says so",
    "fixed": "always {value}",
    "default": "{value}, unless it is set",
    "recorded": "recorded where it is set; to resume it must be the same",
    "noted": "recorded where it is set; a run may resume with another",
    "refused": "the command stops and says why",
    "left": "left alone",
}


class RefusedVariable(ValueError):
    """The environment asks for what a command does not do, or what can no longer be undone."""


@dataclass(frozen=True)
class Variable:
    """A variable, or all of a kind.

    Attributes:
        names: exact, or patterns with `*`.
        library: who reads it.
        changes: what it would change, or why it changes nothing.
        handling: what is done about it.
        value: what it is set to, where it is `fixed` or has a `default`.
        neutral: values, in lower case, that ask for what is done anyway: no line is said, nothing
            refused. An empty value always is.
        instead: the option that decides.
        module: read when this is imported, so that it can only be ignored before.
        unless: with one of these set, a `default` is not.
    """

    names: tuple[str, ...]
    library: str
    changes: str
    handling: Handling
    value: str = ""
    neutral: frozenset[str] = frozenset()
    instead: str = ""
    module: str | None = None
    unless: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether this is about the variable `name`."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)


_OFF = frozenset({"0", "no", "false", "none", "off"})
_ON = frozenset({"1", "yes", "true", "on"})

# The first row that covers a variable counts.
VARIABLES: tuple[Variable, ...] = (
    # How torch's processes share the work: accelerate.
    Variable(
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS",),
        "accelerate",
        "divides every gradient once more",
        "ignored",
        neutral=frozenset({"1"}),
        instead="--accumulation",
    ),
    Variable(
        ("ACCELERATE_MIXED_PRECISION",),
        "accelerate",
        "the precision of activations",
        "ignored",
        neutral=_OFF,
        instead="--mixed-precision",
    ),
    Variable(
        ("ACCELERATE_USE_CPU", "ACCELERATE_TORCH_DEVICE"),
        "accelerate",
        "the device",
        "ignored",
        neutral=_OFF,
        instead="--cpu",
    ),
    Variable(
        ("ACCELERATE_DYNAMO_*",),
        "accelerate",
        "compiles the model",
        "ignored",
        neutral=_OFF | {"default"},
        instead="--compile",
    ),
    Variable(
        (
            "ACCELERATE_USE_FSDP",
            "ACCELERATE_USE_DEEPSPEED",
            "ACCELERATE_USE_MEGATRON_LM",
            "ACCELERATE_USE_PARALLELISM_CONFIG",
            "ACCELERATE_USE_SAGEMAKER",
        ),
        "accelerate",
        "another way to divide model, gradients and batch among processes",
        "refused",
        neutral=_OFF,
        instead="--fsdp",
    ),
    Variable(
        ("ACCELERATE_DEBUG_MODE", "ACCELERATE_LOG_LEVEL", "ACCELERATE_CPU_AFFINITY"),
        "accelerate",
        "messages, and on which cores a process runs",
        "left",
    ),
    Variable(
        ("ACCELERATE_*", "FSDP_*", "MEGATRON_LM_*", "PARALLELISM_CONFIG_*", "FP8_*"),
        "accelerate",
        "clipping, precision and division among processes",
        "ignored",
        neutral=_OFF | {"default"},
    ),
    # Precision and kernels: torch, and what is below it.
    Variable(
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",),
        "torch",
        "float32 products with 10 bits in place of 23",
        "ignored",
        neutral=_OFF,
        module="torch",
    ),
    Variable(
        ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",),
        "torch",
        "a file of weights may run code",
        "ignored",
        neutral=_OFF,
    ),
    Variable(
        ("PYTORCH_TUNABLEOP_ENABLED",),
        "torch",
        "kernels chosen by a race, another one each time",
        "ignored",
        neutral=_OFF,
    ),
    Variable(
        ("NVIDIA_TF32_OVERRIDE", "CUBLAS_EMULAT*", "CUBLASLT_EMULAT*"),
        "cuBLAS, cuDNN",
        "precision of float32 products and convolutions",
        "recorded",
    ),
    Variable(
        ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"),
        "oneDNN in torch",
        "precision of float32 products and convolutions on a CPU",
        "recorded",
    ),
    Variable(
        (
            "CUBLAS_WORKSPACE_CONFIG",
            "CUBLASLT_WORKSPACE_SIZE",
            "TORCH_BLAS_PREFER_*",
            "TORCH_LINALG_PREFER_*",
            "TORCH_CUBLASLT_*",
            "TORCH_CUDNN_*",
            "TORCH_LINEAR_FLATTEN_3D",
            "TORCH_MKLDNN_*",
            "TORCH_ROCM_*",
            "PYTORCH_MIOPEN_*",
            "PYTORCH_MPS_FAST_MATH",
            "PYTORCH_MPS_PREFER_METAL",
            "PYTORCH_SUM_INNER_TREE",
            "PYTORCH_TUNABLEOP_FILENAME",
            "PYTORCH_DISABLE_FP32_PRECISION_LEAK_CHECK",
            "USE_EIGEN_FOR_BLAS",
        ),
        "torch, cuBLAS, cuDNN",
        "which kernels compute, and so the order of their sums",
        "recorded",
    ),
    Variable(
        (
            "ATEN_CPU_CAPABILITY",
            "MKL_CBWR",
            "MKL_DISABLE_FAST_MM",
            "MKL_ENABLE_INSTRUCTIONS",
            "ONEDNN_MAX_CPU_ISA",
            "DNNL_MAX_CPU_ISA",
            "FBGEMM_ENABLE_*",
            "FBGEMM_FORCE_AUTOVEC",
            "FBGEMM_NO_*",
        ),
        "torch and its CPU libraries",
        "which instructions compute, and so the order of their sums",
        "recorded",
    ),
    Variable(
        (
            "OMP_NUM_THREADS",
            "OMP_THREAD_LIMIT",
            "OMP_DYNAMIC",
            "MKL_NUM_THREADS",
            "MKL_DOMAIN_NUM_THREADS",
            "MKL_DYNAMIC",
            "OPENBLAS_NUM_THREADS",
        ),
        "OpenMP, MKL, OpenBLAS",
        "threads of a CPU, and so the order of their sums",
        "noted",
    ),
    Variable(
        ("NCCL_ALGO", "NCCL_PROTO", "NCCL_NVLS_ENABLE", "NCCL_*CHANNELS"),
        "NCCL",
        "the order in which gradients of several GPUs are summed",
        "noted",
    ),
    Variable(
        ("TORCHDYNAMO_*", "TORCHINDUCTOR_*", "TORCH_COMPILE_*", "TRITON_*"),
        "torch.compile",
        "the kernels of --compile",
        "noted",
    ),
    Variable(
        ("OMP_WAIT_POLICY",),
        "OpenMP in torch",
        "only speed: threads that wait would else spin, on cores that others need",
        "default",
        value="PASSIVE",
        unless=("GOMP_SPINCOUNT", "KMP_BLOCKTIME"),
    ),
    Variable(
        ("PYTORCH_ENABLE_MPS_FALLBACK",),
        "torch",
        "on Apple's GPUs: what they lack is computed on the CPU, or is an error",
        "noted",
    ),
    # Networks of others: diffusers, transformers.
    Variable(
        ("DIFFUSERS_ATTN_BACKEND", "TRANSFORMERS_SDPA_FORCE_GQA", "TIMM_FUSED_ATTN"),
        "diffusers, transformers, timm",
        "which attention VAE, CLIP and annotators compute",
        "ignored",
        neutral=frozenset({"native"}),
    ),
    Variable(
        ("USE_HUB_KERNELS",),
        "transformers",
        "layers fetched from a hub in place of the installed ones",
        "fixed",
        value="NO",
    ),
    Variable(
        ("TRUST_REMOTE_CODE", "DIFFUSERS_TRUST_REMOTE_KERNELS"),
        "transformers, diffusers",
        "code that comes with weights would be run",
        "ignored",
        neutral=_OFF,
    ),
    Variable(
        ("USE_TF", "USE_TORCH", "USE_FLAX", "USE_JAX", "USE_SAFETENSORS", "USE_TORCH_XLA"),
        "diffusers, transformers, accelerate",
        "which framework loads weights",
        "ignored",
        neutral=_ON | _OFF | {"auto"},
    ),
    Variable(
        ("XLA_USE_BF16", "XLA_DOWNCAST_BF16"),
        "accelerate, torch_xla",
        "float32 becomes bfloat16",
        "ignored",
        neutral=_OFF,
    ),
    Variable(
        ("TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS"),
        "TensorFlow",
        "nothing here is computed by it",
        "left",
    ),
    # Images and arrays: OpenCV, NumPy.
    Variable(
        ("OPENCV_IO_MAX_IMAGE_*", "OPENCV_IMGCODECS_*"),
        "OpenCV",
        "large images cannot be read",
        "ignored",
        module="cv2",
    ),
    Variable(
        (
            "OPENCV_CPU_DISABLE",
            "OPENCV_IPP",
            "OPENCV_OPENCL_*",
            "OPENCV_FORCE_DNN_ENGINE",
            "OPENCV_DNN_*",
            "OPENCV_PARALLEL_BACKEND",
        ),
        "OpenCV",
        "which code resizes, blurs and decodes images, and so their last bits",
        "ignored",
        module="cv2",
    ),
    Variable(
        ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "NPY_PROMOTION_STATE"),
        "NumPy",
        "which code computes, and so the last bits",
        "ignored",
        module="numpy",
    ),
    Variable(
        ("OPENBLAS_CORETYPE",),
        "OpenBLAS in NumPy",
        "which code computes products, and so the order of their sums",
        "recorded",
    ),
    Variable(
        ("OPENCV_*",), "OpenCV", "messages, debugging, and its own reader of videos, unused", "left"
    ),
    # Ray.
    Variable(
        ("RAY_ADDRESS",),
        "Ray",
        "somebody's cluster would be joined",
        "left",
        instead="--address; without it no cluster is joined, whatever is set, and a line says so",
    ),
    Variable(
        ("RAY_RUNTIME_ENV", "RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_OVERRIDE_JOB_RUNTIME_ENV"),
        "Ray",
        "another environment, or other files, in the workers",
        "ignored",
    ),
    Variable(
        ("RAY_*",),
        "Ray",
        "how work is scheduled and where logs lie: a clip's bytes do not depend on who makes it",
        "left",
    ),
    Variable(("ANNY_ROOT_DIR",), "anny", "another body than the installed one", "ignored"),
    Variable(
        ("ANNY_CACHE_DIR", "WARP_*"),
        "anny, warp",
        "where what rendered people need lies once it is made ready",
        "left",
    ),
    # Where things come from: what they are is checked.
    Variable(
        (
            "IDOL_WEIGHTS",
            "IDOL_SOURCE_CACHE",
            "HF_*",
            "HUGGINGFACE_*",
            "TRANSFORMERS_OFFLINE",
            "TORCH_HOME",
            "XDG_*",
        ),
        "weights",
        "where files come from and lie: their checksums are compared, or recorded",
        "left",
    ),
    Variable(
        ("AWS_*", "FSSPEC_*", "http_proxy", "https_proxy", "no_proxy"),
        "fsspec, s3fs",
        "where shards lie: their checksums are compared",
        "left",
    ),
    Variable(
        ("RANK", "WORLD_SIZE", "LOCAL_*", "MASTER_*", "CUDA_VISIBLE_DEVICES", "TORCHELASTIC_*"),
        "launchers",
        "which processes and devices: a step's batch is the same with any, or the run is refused",
        "left",
    ),
    Variable(
        ("PYTORCH_*ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING", "CUDA_LAUNCH_BLOCKING"),
        "torch",
        "memory and speed",
        "left",
    ),
    Variable(
        ("MALLOC_*", "GLIBC_TUNABLES"),
        "glibc",
        "memory and speed: a command that computes on a CPU keeps up to 1 GiB that it freed, "
        "unless its thresholds are set",
        "left",
    ),
    Variable(
        ("AV_LOG_FORCE_*",),
        "FFmpeg in PyAV",
        "colours of messages: its libraries read nothing else",
        "left",
    ),
    Variable(
        ("WDS_*", "GOPEN_*"),
        "webdataset",
        "its own reading of tars, which no command uses",
        "left",
    ),
)


def settle(environ: MutableMapping[str, str] | None = None) -> list[str]:
    """Ignore, fix and complete the variables, before a library reads them; again changes nothing.

    Args:
        environ: default: this process's, which its children inherit.

    Returns:
        A line for each variable that would have changed something and does not.

    Raises:
        RefusedVariable: naming all that are refused, and those that a library has read already.
    """
    environ = os.environ if environ is None else environ
    lines, refused = [], []
    for name, value in sorted(environ.items()):
        row = _row_of(name)
        if row is None or value == "" or value.lower() in row.neutral:
            continue
        decides = f"{row.instead} decides" if row.instead else f"it would change: {row.changes}"
        if row.handling == "refused":
            refused.append(f"{name}={value} asks for {row.changes}: unset it ({decides})")
        elif row.handling == "ignored" and environ is os.environ and row.module in sys.modules:
            refused.append(f"{name}={value} was read when {row.module} was imported: unset it")
        elif row.handling == "ignored":
            lines.append(f"{name}={value} of the environment is ignored: {decides}")
    if refused:
        raise RefusedVariable("; ".join(refused))
    for name in list(environ):
        row = _row_of(name)
        if row is not None and row.handling == "ignored":
            del environ[name]
    for row in VARIABLES:
        for name in row.names:
            if row.handling == "fixed":
                environ[name] = row.value
            elif row.handling == "default" and not any(o in environ for o in row.unless):
                environ.setdefault(name, row.value)
    return lines


def limit_threads(environ: MutableMapping[str, str] | None = None) -> None:
    """Set OpenMP's threads where a container may use fewer cores than it sees.

    OpenMP counts the cores that a process may run on, and not the time that it may have on them.
    For a process that computes by itself, before torch is imported; Ray counts for its workers.
    """
    environ = os.environ if environ is None else environ
    cores = usable_cores()
    own = "OMP_NUM_THREADS" in environ or "MKL_NUM_THREADS" in environ
    if not own and cores < cores_in_sight():
        environ["OMP_NUM_THREADS"] = str(cores)


def recorded(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that are set and could change a result, by their names."""
    found = {}
    for name, value in sorted((os.environ if environ is None else environ).items()):
        row = _row_of(name)
        if row is not None and row.handling in ("recorded", "noted"):
            found[name] = value
    return found


def differences(saved: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable of which a run may not resume with another value."""
    for name in sorted(saved.keys() | now.keys()):
        row = _row_of(name)
        if row is None or row.handling != "recorded" or saved.get(name) == now.get(name):
            continue
        was, is_now = (
            f"{name}={values[name]}" if name in values else f"{name} unset"
            for values in (saved, now)
        )
        yield f"environment: began with {was}, now {is_now} ({row.changes})"


def table() -> str:
    """The variables as a table in Markdown."""
    lines = ["| variable | read by | what it would change | what is done |", "|---|---|---|---|"]
    for row in VARIABLES:
        names = ", ".join(f"`{name}`" for name in row.names)
        done = _MEANING[row.handling].format(value=f"`{row.value}`")
        if row.unless:
            done += " or " + " or ".join(f"`{name}`" for name in row.unless) + " is"
        if row.instead:
            done += f"; {row.instead}" + (" decides" if " " not in row.instead else "")
        lines.append(f"| {names} | {row.library} | {row.changes} | {done} |")
    return "\n".join(lines) + "\n"


def _row_of(name: str) -> Variable | None:
    return next((row for row in VARIABLES if row.covers(name)), None)


if __name__ == "__main__":
    print(table(), end="")
