"""What the short imports are, and what they do not load."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import shards


def run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)


def test_streaming_works_without_torch() -> None:
    run(
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it fails
        "from shards import Clip, ClipLoader, ClipStream, open_dataset\n"
        "assert ClipStream.__mro__[1:] == (object,)\n"
    )


def test_nothing_of_shards_loads_torch() -> None:
    modules = [module.name for module in pkgutil.walk_packages(shards.__path__, "shards.")]
    if "shards.webdataset" in modules:  # webdataset takes torch where it is installed
        modules.remove("shards.webdataset")
    assert "shards.stream.loader" in modules
    run(f"import sys, {', '.join(modules)}\nassert 'torch' not in sys.modules\n")


def test_shards_itself_loads_next_to_nothing() -> None:
    """Every command imports it, and answers --help at once."""
    run(
        "import sys, shards\n"
        "assert not {'numpy', 'cv2', 'torch', 'webdataset', 'pyarrow'} & set(sys.modules)\n"
        "assert {'Clip', 'ClipLoader', 'ClipStream', 'open_dataset'} <= set(dir(shards))\n"
    )


def test_every_short_import_is_there() -> None:
    for name in shards.__all__:
        assert getattr(shards, name).__name__ == name
