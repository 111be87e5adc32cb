"""The list of annotators: what each says of itself agrees with all the others."""

import subprocess
import sys
from dataclasses import fields

from preprocess import weights
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.registry import ANNOTATORS, FILES, OPTIONS, find, named
from preprocess.annotators.spec import Options


def test_a_name_means_one_annotator_of_its_option():
    """Of each modality: the source gives two depths under one name."""
    made = [(spec.option, spec.name, modality) for spec in ANNOTATORS for modality in spec.fills]
    assert len(set(made)) == len(made)
    for spec in ANNOTATORS:
        text = f"{spec.name}:x" if spec.parameter else spec.name
        assert (spec, "x" if spec.parameter else "") in find(spec.option, text)
    assert len(find("depth", "source")) == 2
    assert len(find("depth", "lite")) == 1


def test_names_that_are_not_there_are_nobody():
    assert find("mask", "openpose") == ()
    assert find("depth", "hf") == find("depth", "hf:") == find("depth", "midas:x") == ()
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
