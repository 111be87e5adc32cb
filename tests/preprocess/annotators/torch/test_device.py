"""Devices by name."""

import pytest
import torch

from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.device import half_precision, pick_device
from preprocess.errors import InputError


def test_auto_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [pick_device(d) for d in ("auto", "cpu", "cuda", "cuda:1")] == [
        *("cuda", "cpu", "cuda", "cuda:1")
    ]
    with pytest.raises(InputError, match="cuda:2 is not there: torch sees 2 GPUs"):
        pick_device("cuda:2")


@pytest.mark.parametrize("setting", ["gpu", "cuda:", "cuda:x", "mps", ""])
def test_other_names_are_refused(setting):
    with pytest.raises(InputError, match="use auto, cpu, cuda or cuda:N"):
        pick_device(setting)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="use --device cpu or auto"):
        pick_device("cuda")


def test_half_precision_is_for_gpus():
    with half_precision(Hardware("cpu", half=True)):
        assert not torch.is_autocast_enabled("cpu")
    with half_precision(Hardware("cuda")):
        assert not torch.is_autocast_enabled("cuda")


@pytest.mark.gpu
def test_half_precision_on_a_gpu():
    weights = torch.ones(4, 4, device="cuda")
    with half_precision(Hardware("cuda", half=True)):
        assert (weights @ weights).dtype == torch.float16
