"""Surroundings that fail, as variables of the environment ask for, in each Python process that has
this folder on its path: the command, and all that it starts.

IDOL_FAULT_CLOCK=SEED: wall clocks jump back and forth. IDOL_FAULT_STORE=SEED:SHARE: so many of the
requests to `flaky://PATH` fail.
"""

import os
import random
import time

if os.environ.get("IDOL_FAULT_STORE"):
    import tests.pipelines.flaky_store  # noqa: F401

if jumps := os.environ.get("IDOL_FAULT_CLOCK"):
    _draw, _true = random.Random(jumps), time.time

    def _jumping() -> float:
        return _true() + _draw.choice([0.0, -86400.0, 3600.0, 4e8, -1e6])

    time.time = _jumping
    time.time_ns = lambda: int(_jumping() * 1e9)
