"""What a build runs on: resolved once, and never more than there is."""

import pytest

from pipelines import compute as compute_module
from pipelines.compute import Compute, ray_saves_time
from pipelines.engine import _fitting
from pipelines.recipe import Recipe
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch import device
from preprocess.errors import InputError

LITE = AnnotatorChoice()
PAPER = AnnotatorChoice("grounded-sam", "openpose", ("hdnet", "midas"))


@pytest.fixture
def gpus(monkeypatch):
    """gpus(n): torch sees so many."""
    return lambda count: monkeypatch.setattr(device, "gpu_count", lambda: count)


def test_lite_annotators_ask_for_no_gpu(gpus):
    gpus(4)
    hardware = Compute().hardware(LITE)
    assert hardware == Hardware("cpu", False, "auto")
    assert Compute().gpus_per_worker(LITE, hardware) == 0
    assert not LITE.networks


def test_half_precision_where_there_is_a_gpu(gpus):
    gpus(0)
    assert Compute().hardware(PAPER) == Hardware("cpu", False, "auto")
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        Compute(precision="fp16").hardware(PAPER)
    gpus(1)
    assert Compute(batch=3).hardware(PAPER) == Hardware("cuda", True, 3)
    assert not Compute(precision="fp32").hardware(PAPER).half
    assert Compute("cpu").hardware(PAPER) == Hardware("cpu", False, "auto")


def test_a_gpu_that_is_not_there_is_refused_but_on_a_cluster(gpus):
    gpus(0)
    with pytest.raises(InputError, match="torch sees 0 GPUs"):
        Compute("cuda").hardware(PAPER)
    assert Compute("cuda", address="auto").hardware(PAPER).device == "cuda"


def test_a_worker_asks_for_the_sum_of_what_it_loads():
    cuda = Hardware("cuda", True)
    shares = Compute(mask_gpus=0.25, pose_gpus=0.1, depth_gpus=0.25)
    assert shares.gpus_per_worker(PAPER, cuda) == 0.6
    masks = AnnotatorChoice("grounded-sam", "none", depth=("none",))
    assert shares.gpus_per_worker(masks, cuda) == 0.25
    assert Compute(mask_gpus=0.9, pose_gpus=0.9).gpus_per_worker(PAPER, cuda) == 2


def test_as_many_workers_as_cores_gpus_and_memory_hold(gpus, monkeypatch):
    monkeypatch.setattr(compute_module, "usable_cores", lambda: 16)
    monkeypatch.setattr(compute_module, "usable_memory", lambda: 20 << 30)
    cuda = Hardware("cuda", True)
    gpus(2)
    assert Compute().count_workers(LITE, Hardware()) == 16
    assert Compute().count_workers(PAPER, Hardware()) == 3
    assert Compute().count_workers(PAPER, cuda) == 4  # half a GPU each
    # People who are rendered take 1.8 GB more, wherever networks run.
    assert Compute().count_workers(LITE, Hardware(), rendered=True) == 11
    assert Compute().count_workers(PAPER, Hardware(), rendered=True) == 2
    assert Compute().count_workers(PAPER, cuda, rendered=True) == 4
    assert Compute(mask_gpus=1, pose_gpus=0, depth_gpus=0).count_workers(PAPER, cuda) == 2
    assert Compute(mask_gpus=2, pose_gpus=0, depth_gpus=0).count_workers(PAPER, cuda) == 1


def test_workers_that_would_wait_for_ever_are_not_asked_for():
    assert _fitting(8, fraction=0, gpus=0) == 8
    assert _fitting(8, fraction=0.5, gpus=1) == 2
    assert _fitting(8, fraction=2, gpus=5) == 2
    assert _fitting(1, fraction=0.5, gpus=1) == 1
    with pytest.raises(InputError, match=r"asks for 0\.5 GPUs, and Ray has 0"):
        _fitting(8, fraction=0.5, gpus=0)


def test_mistakes_are_named_at_once():
    with pytest.raises(InputError) as error:
        Compute("cpu", "fp16", 0, mask_gpus=-1, depth_gpus=float("nan"))
    for name in ("batch", "mask_gpus", "depth_gpus", "precision"):
        assert name in str(error.value)


def test_only_the_precision_is_in_the_fingerprint():
    recipe = Recipe("videos", mask="grounded-sam", pose="none", depth=("none",))
    full, half = recipe.as_json({}), recipe.as_json({}, half=True)
    assert {key for key in full if full[key] != half[key]} == {"precision"}
    assert not any("gpu" in key or key in ("device", "batch") for key in full)


def test_ray_is_started_where_it_saves_more_than_it_costs(monkeypatch):
    monkeypatch.setattr(compute_module, "usable_cores", lambda: 2)
    assert not ray_saves_time(20, workers=2, stretch=1)
    assert ray_saves_time(60, workers=2, stretch=1)
    assert not ray_saves_time(60, workers=2, stretch=3)  # others use the cores
    assert not ray_saves_time(1e6, workers=1, stretch=1)


def test_workers_that_were_asked_for_are_not_weighed():
    cpu = Hardware("cpu", False, "auto")
    assert Compute().may_stay_here(LITE, cpu)
    assert not Compute(workers=2).may_stay_here(LITE, cpu)
    assert not Compute(address="auto").may_stay_here(LITE, cpu)
    assert not Compute().may_stay_here(PAPER, cpu)
    with pytest.raises(InputError, match="workers 0 uses no Ray"):
        Compute(workers=0, address="auto")
