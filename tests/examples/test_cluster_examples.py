"""What runs a build on other people's clusters says nothing that they, or we, do not know."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from pipelines.cli import main as prep

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
KUBERNETES = EXAMPLES / "build-on-kubernetes.yaml"
SLURM = EXAMPLES / "build-on-slurm.sh"


def options_of(help_text):
    return set(re.findall(r"--[a-z][a-z-]+", help_text))


def check_build(words, capsys):
    """A command line of `idol-prep build` has its options alone, and those that it requires."""
    assert words[:2] == ["idol-prep", "build"]
    used = {word for word in words if word.startswith("--")}
    assert prep(["build", "--help"]) == 0
    assert used <= options_of(capsys.readouterr().out)
    assert {"--source", "--out", "--address", "--workers"} <= used


def ray_options(command):
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ray")), command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return options_of(done.stdout)


def test_kubernetes(capsys):
    """The fields that KubeRay's definitions of RayJob and RayCluster require are there, and its
    commands have the options that they name."""
    job = yaml.safe_load(KUBERNETES.read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"]
    spec = job["spec"]
    assert spec.keys() <= {
        *("entrypoint", "rayClusterSpec", "backoffLimit", "shutdownAfterJobFinishes"),
        *("ttlSecondsAfterFinished", "activeDeadlineSeconds", "submissionMode", "runtimeEnvYAML"),
    }
    check_build(shlex.split(spec["entrypoint"]), capsys)
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == version("ray")
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        assert {"name", "image", "resources"} <= container.keys()
    for group in cluster["workerGroupSpecs"]:
        assert {"groupName", "minReplicas", "maxReplicas", "template"} <= group.keys()
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    cores = sum(
        group["replicas"]
        * int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
        for group in cluster["workerGroupSpecs"]
    )
    words = shlex.split(spec["entrypoint"])
    assert int(words[words.index("--workers") + 1]) <= cores


def slurm_step():
    """The words of the script's one step: for Ray, and for idol-prep."""
    script = SLURM.read_text().replace("\\\n", " ")
    (line,) = [line for line in script.splitlines() if line.startswith("srun ")]
    words = shlex.split(line)
    ray = words[words.index("ray") :]
    return ray[: ray.index("--")], ray[ray.index("--") + 1 :]


def test_slurm(capsys):
    """Bash reads it, and its build has the options that it names."""
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    started, build = slurm_step()
    check_build(build, capsys)
    assert started[:2] == ["ray", "symmetric-run"]


@pytest.mark.slow
def test_ray_has_the_options_that_they_name():
    starts = ray_options("start")
    cluster = yaml.safe_load(KUBERNETES.read_text())["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert {f"--{name}" for name in group["rayStartParams"]} <= starts
    used = {word for word in slurm_step()[0] if word.startswith("--")}
    assert used <= ray_options("symmetric-run") | starts
