"""Fuzz one target: `python -m tests.fuzz.run TARGET --cases N [--seed S] [--found FOLDER]`.

With atheris (libFuzzer) cases are led by the coverage of the reader's own lines; without it, or
with `--mutate`, they are random changes of the seeds. What fails is written to `--found`. The last
line is `TARGET: N cases`; the exit code is 1 where one failed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from hashlib import sha256
from pathlib import Path

from tests.fuzz.targets import CASES, TARGETS, mutated

__all__ = ["CORPUS", "SECONDS", "replay"]

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 10  # that one case may take, on a loaded machine
MEMORY = 3 << 30  # bytes that a process may take
_READERS = ("shards", "preprocess", "pipelines", "idol")


def replay(name: str, data: bytes) -> None:
    """Give a target one case; its own errors pass."""
    target = TARGETS[name]()
    with contextlib.suppress(target.errors):
        target.reads(data)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutate", action="store_true")
    parser.add_argument("--found", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    cases = options.cases or CASES[options.target]
    options.found.mkdir(parents=True, exist_ok=True)
    if not options.mutate and importlib.util.find_spec("atheris"):
        return _guided(options.target, cases, options.seed, options.found)
    return _mutational(options.target, cases, options.seed, options.found)


def _mutational(name: str, cases: int, seed: int, found: Path) -> int:
    _be_quiet()
    target = TARGETS[name]()
    rng = random.Random(f"{name} {seed}")

    def too_long(*_: object) -> None:
        raise TimeoutError(f"a case took more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    for done in range(cases):
        data = mutated(rng, target)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            target.reads(data)
        except target.errors:
            pass
        except BaseException as error:
            path = found / f"{name}-{sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            print(f"{name}: {type(error).__name__}: {error}; the case is {path}", file=sys.stderr)
            print(f"{name}: {done + 1} cases")
            return 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    print(f"{name}: {cases} cases")
    return 0


def _be_quiet() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


_CHILD = """
import sys, atheris
from tests.fuzz import run, targets
run._be_quiet()
name = sys.argv.pop(1)
with atheris.instrument_imports(include=list(run._READERS)):
    target = targets.TARGETS[name]()
def one(data):
    try:
        target.reads(data)
    except target.errors:
        pass
atheris.Setup(sys.argv, one)
atheris.Fuzz()
"""


def _guided(name: str, cases: int, seed: int, found: Path) -> int:
    """In a process of its own, which libFuzzer ends."""
    target_seeds = TARGETS[name]()
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        for data in target_seeds.seeds:
            (seeds / sha256(data).hexdigest()).write_bytes(data)
        for path in (CORPUS / name).glob("*"):
            (seeds / path.name).write_bytes(path.read_bytes())
        words = Path(folder, "words")
        quoted = ("".join(map("\\x{:02x}".format, word)) for word in target_seeds.words)
        words.write_text("".join(f'"{word}"\n' for word in quoted))
        longest = max(map(len, target_seeds.seeds))
        options = (
            *(f"-runs={cases}", f"-seed={seed}", f"-timeout={SECONDS}", "-print_final_stats=1"),
            *(f"-rss_limit_mb={MEMORY >> 20}", f"-max_len={max(4096, 2 * longest)}"),
            *(f"-artifact_prefix={found}/{name}-", f"-dict={words}", "-verbosity=1"),
        )
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, name, *options, str(seeds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    counts = re.findall(r"(?:Done |number_of_executed_units: )(\d+)", done.stdout)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    print(f"{name}: {counts[-1] if counts else 0} cases")
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
