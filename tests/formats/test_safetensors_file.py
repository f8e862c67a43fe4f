"""Tensors come out of a safetensors file as they went in."""

import json

import numpy as np
import pytest

from keras_transformer.formats.safetensors_file import read_safetensors
from tests.formats.marian_reference import write_safetensors
from tests.weights import random

TENSORS = {"matrix": random(5, 3), "row": random(1, 7, seed=2), "scalar": random(seed=3)}
TOLERANCES = {"F64": 0, "F32": 0, "F16": 2**-11, "BF16": 2**-7}


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_every_precision_is_read_as_float32(dtype, tmp_path):
    write_safetensors(tmp_path / "file", TENSORS, dtype)
    found = read_safetensors(tmp_path / "file")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == np.float32
        assert found[name].shape == tensor.shape
        np.testing.assert_allclose(found[name], tensor, rtol=TOLERANCES[dtype])


@pytest.mark.parametrize("size", [0, 5, 40, -1])
def test_a_file_that_was_cut_off_is_refused(size, tmp_path):
    write_safetensors(tmp_path / "file", TENSORS)
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:size])
    with pytest.raises(ValueError, match=r"file is not a complete safetensors file .*Copy it"):
        read_safetensors(tmp_path / "file")


FACTS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "I64"}, "F64, F32, F16, BF16, received I64"),
        ({"shape": [3]}, r"shape \[3\] at bytes 0 to 8 of 8"),
        ({"data_offsets": [4, 12]}, "bytes 4 to 12 of 8"),
        ({"data_offsets": [-8, 0]}, "bytes -8 to 0 of 8"),
        ({"data_offsets": None}, "NoneType"),
        ({"more": 1}, "more"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(changes, message, tmp_path):
    header = json.dumps({"tensor": {**FACTS, **changes}}).encode()
    (tmp_path / "file").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match=message):
        read_safetensors(tmp_path / "file")
