"""Does a refactoring change a byte? The demo's dataset and a short training, here and at a commit.

`make same-bytes REF=COMMIT` builds the demo's shards and trains a few steps of each stage of the
tiny preset twice: with the code at COMMIT, and with that of the working tree. It compares every
member of every sample but the json, which holds provenance, and the losses, digit by digit.
Equality holds between runs on one machine alone: processors round differently.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEPS = {"pretrain": 8, "image": 8, "video": 6}
LOGS = ("losses.jsonl", "validation.jsonl")
# Members were named after networks once, now after what they hold.
RENAMED = {"hdnet": "depth_person", "midas": "depth_frame"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ref", help="commit to compare with")
    ref = parser.parse_args().ref
    with tempfile.TemporaryDirectory() as folder:
        then = Path(folder) / "code"
        git = ("git", "-C", str(ROOT), "worktree")
        if subprocess.run([*git, "add", "--quiet", "--detach", str(then), ref]).returncode:
            return 2  # git has said why
        try:
            before = results(then, Path(folder) / "then")
            after = results(ROOT, Path(folder) / "now")
        finally:
            subprocess.run([*git, "remove", "--force", str(then)], check=True)
    different = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    for name in different[:20]:
        print(f"{name}: {before.get(name, 'absent')} at {ref}, {after.get(name, 'absent')} here")
    print(f"{len(after)} members and logs, {len(different)} differ from those at {ref}")
    return 1 if different or not after else 0


def results(code: Path, out: Path) -> dict[str, str]:
    """SHA-256 by name of every member and log that the code in a folder makes."""
    shards = out / "shards"
    footage = run(code, "pipelines.cli", "weights", "where", "footage").strip()
    build = ("build", "--dataset", "videos", "--source", footage, "--out", str(shards))
    as_demo = ("--pose-style", "dwpose", "--max-quarantine", "3")
    run(code, "pipelines.cli", *build, *as_demo, "--workers", "0")
    digests = members(shards)
    before: list[str] = []
    for stage, steps in STEPS.items():
        output = out / stage
        length = ("--stage", stage, "--steps", str(steps), "--output", str(output), *before)
        often = ("--sample-every", "0", "--validate-every", "4", "--validation-clips", "4")
        data = ("--preset", "tiny", "--shards", str(shards))
        run(code, "idol.train.cli", *data, *length, *often)
        before = ["--init-from", str(output)]
        for name in LOGS:
            digests[f"{stage}/{name}"] = digest((output / name).read_bytes())
    return digests


def run(code: Path, module: str, *arguments: str) -> str:
    """What a command of the code in a folder prints; in one thread, so that sums have one order."""
    environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, *arguments]
    print("…", *command[2:], file=sys.stderr)
    done = subprocess.run(
        command, cwd=code, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def members(dataset: Path) -> dict[str, str]:
    """SHA-256 by name of all members of a dataset's tars but the samples' json."""
    digests = {}
    for path in sorted(dataset.glob("*/shard-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, modality, *rest = member.name.split(".")
                if rest and (file := tar.extractfile(member)):
                    name = ".".join([key, RENAMED.get(modality, modality), *rest])
                    digests[f"{path.parent.name}/{name}"] = digest(file.read())
    return digests


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
