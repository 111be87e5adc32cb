"""The list of annotators: what each says of itself agrees with all the others."""

import subprocess
import sys
from dataclasses import fields

from preprocess import weights
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.registry import ANNOTATORS, FILES, OPTIONS, find, named
from preprocess.annotators.spec import Options


def test_a_name_means_one_annotator_of_its_option():
    assert len({(spec.option, spec.name) for spec in ANNOTATORS}) == len(ANNOTATORS)
    for spec in ANNOTATORS:
        text = f"{spec.name}:x" if spec.parameter else spec.name
        assert find(spec.option, text) == (spec, "x" if spec.parameter else "")


def test_names_that_are_not_there_are_nobody():
    assert find("mask", "openpose") is None
    assert find("depth", "hf") is find("depth", "hf:") is find("depth", "midas:x") is None
    assert named("pose")[0] == "lite"
    assert named("depth")[-1] == "none"


def test_every_option_has_one_owner_and_is_part_of_a_choice():
    own = [field.name for options in OPTIONS for field in fields(options)]
    shared = {field.name for field in fields(AnnotatorChoice)} - set(own)
    assert len(set(own)) == len(own)
    assert set(own) == {f.name for f in fields(AnnotatorChoice)} - shared
    assert all(issubclass(options, Options) for options in OPTIONS)
    assert AnnotatorChoice(mask="grounded-sam", sam="vit_b").chosen["mask"].options.sam == "vit_b"


def test_every_file_is_registered_once():
    names = [file.name for file in FILES]
    assert len(set(names)) == len(names)
    assert set(names) <= {file.name for file in weights.files()}


def test_what_is_known_of_annotators_loads_no_library():
    heavy = ("torch", "cv2", "numpy", "transformers", "onnxruntime", "huggingface_hub")
    code = (
        "import sys, preprocess.annotators.choices; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
