from __future__ import annotations

import subprocess
import sys


def test_streaming_works_without_torch() -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it fails
        "import shards.reader\n"
        "from shards.stream import ClipStream\n"
        "assert [c.__name__ for c in ClipStream.__mro__[1:]] == ['IterableDataset', 'object']\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_only_the_stream_meets_torch() -> None:
    program = (
        "import sys, shards.inspect.cli, shards.inspect.commands, shards.reader\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
