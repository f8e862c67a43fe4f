"""Tiny programs through the TPU's own compiler."""

import json

import pytest

from tests.conftest import run_python

pytestmark = pytest.mark.slow
pytest.importorskip("libtpu", reason='needs libtpu: pip install ".[tpu-check]"')

PROGRAM = """
import json, os, sys
import keras
import keras_transformer as kt
from trainers import tpu_check as tpu

keras.utils.set_random_seed(0)
model = kt.Transformer(997, num_layers=1, d_model=64, num_heads=2, d_ff=96)
model.build()
model.compile("adam", kt.TokenCrossEntropy(), metrics=[kt.TokenAccuracy(), kt.Perplexity()])
tpu.make_all_variables(model)

def compiled(topology, rows, length):
    topology = tpu.Topology(topology)
    batch = tpu.packed_rows(rows * topology.chips, length)
    if keras.backend.backend() == "jax":
        return tpu.compile_train_step(model, batch, topology)
    hlo = tpu.lower_by_tensorflow(lambda *data: model.train_step(data), *batch)
    return tpu.compile_hlo(hlo, topology)

found = [vars(compiled(*json.loads(job))) for job in sys.argv[1:]]
print(json.dumps([found, tpu.train_step_flops(model, 3, 128, 128)]))
"""


def compiled(backend, *jobs):
    """Outcomes of the training step for topologies, rows a chip and lengths."""
    from trainers.tpu_check import ENVIRONMENT

    environment = {**ENVIRONMENT, "KERAS_BACKEND": backend}
    printed = run_python("-c", PROGRAM, *map(json.dumps, jobs), **environment)
    return json.loads(printed.splitlines()[-1])


def test_tensorflows_step_compiles_for_one_chip_of_each_kind():
    (small, other), formula = compiled("tensorflow", ["v5e:1x1", 3, 128], ["v6e:1x1", 3, 128])
    for outcome in (small, other):
        assert outcome["error"] is None
        assert formula < outcome["flops"] < 1.2 * formula  # so narrow, softmax and Adam show
        assert 3 * 4 * 997 * 64 < outcome["memory"] < 2**30


def test_jaxs_step_compiles_for_one_chip_and_for_four_that_share_the_batch():
    (one, four, too_large), formula = compiled(
        "jax", ["v5e:1x1", 3, 128], ["v5e:2x2", 3, 128], ["v5e:2x2", 400_009, 128]
    )
    for outcome in (one, four):
        assert outcome["error"] is None
        assert formula < outcome["flops"] < 1.2 * formula
    assert four["flops"] == pytest.approx(one["flops"], rel=0.02)  # of a chip, not of the slice
    assert too_large["error"].startswith("out of memory: needs ")
    assert too_large["memory"] > 15 * 2**30
