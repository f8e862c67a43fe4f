"""The formulas against the programs: products counted one by one, and XLA's own count."""

import math
import re

import keras
import pytest

import keras_transformer as kt
from trainers import tpu_check
from trainers.tpu_check.compiler import stablehlo

jax = pytest.importorskip("jax", reason="needs jax: pip install .[jax]")

ROWS, S, T, V = 5, 67, 61, 1009
BEAMS, LENGTH, SLOTS, SENTENCES = 3, 13, 2, 5
PRODUCT = re.compile(
    r"stablehlo\.dot(?:_general)? (.*?): \(tensor<([\dx]+)x\w+>, .*?-> tensor<([\dx]+)x\w+>"
)
CONTRACTED = re.compile(r" contracting_dims = \[([\d, ]+)\] x")  # not there: a matrix' columns


@pytest.fixture(scope="module")
def model():
    """One encoder block, two decoder blocks, two vocabularies: nothing can stand for another."""
    model = kt.Transformer(
        vocabulary_size=31,
        target_vocabulary_size=V,
        num_layers=1,
        num_decoder_layers=2,
        d_model=178,
        num_heads=2,
        d_ff=701,
    )
    model.build()
    model.compile(
        keras.optimizers.Adam(1e-3),
        kt.TokenCrossEntropy(0.1),
        metrics=[kt.TokenAccuracy(), kt.Perplexity()],
    )
    tpu_check.make_all_variables(model)
    return model


def batch():
    """Packed rows whose two sides have different lengths."""
    (inputs, _), (_, labels) = (tpu_check.packed_rows(ROWS, length) for length in (S, T))
    return {name: labels if "target" in name else shape for name, shape in inputs.items()}, labels


def products(hlo):
    """Operations of all matrix products in a program, each of which stands there once."""
    from jax.interpreters import mlir

    with mlir.make_ir_context():
        text = str(stablehlo(hlo))
    found = PRODUCT.findall(text)
    assert len(found) == text.count("stablehlo.dot")
    total = 0
    for options, left, out in found:
        left, out = ([int(size) for size in shape.split("x")] for shape in (left, out))
        axes = CONTRACTED.search(options)
        axes = axes[1].split(",") if axes else [1]
        total += 2 * math.prod(out) * math.prod(left[int(axis)] for axis in axes)
    return total


def counted_by_xla(hlo):
    """Operations as XLA's cost analysis counts them, before it optimises: products and the rest."""
    from jaxlib import _jax, xla_client

    module = xla_client.XlaComputation(hlo).get_hlo_module()
    return _jax.hlo_module_cost_analysis(jax.devices("cpu")[0].client, module)["flops"]


@pytest.mark.slow
def test_a_training_step_does_what_the_formula_says(model):
    hlo = tpu_check.lower_by_tensorflow(lambda *data: model.train_step(data), *batch())
    formula = tpu_check.train_step_flops(model, ROWS, S, T)
    assert products(hlo) == formula
    assert formula < counted_by_xla(hlo) < 1.06 * formula


@pytest.mark.slow
def test_an_evaluation_step_does_a_third_of_it(model):
    hlo = tpu_check.lower_by_tensorflow(lambda *data: model.test_step(data), *batch())
    formula = tpu_check.forward_flops(model, ROWS, S, T)
    assert products(hlo) == formula
    assert tpu_check.train_step_flops(model, ROWS, S, T) == 3 * formula
    assert formula < counted_by_xla(hlo) < 1.06 * formula


@pytest.mark.slow
def test_a_search_does_the_encoder_and_a_step(model):
    def queue(source, limits):
        options = {"length": LENGTH, "beam_size": BEAMS, "bos_id": 2, "eos_id": 3}
        return kt.generate_all(model, source, limits, slots=SLOTS, **options)

    ids = ((SENTENCES, S), "int32"), ((SENTENCES,), "int32")
    hlo = tpu_check.lower_by_tensorflow(queue, *ids)
    formula = tpu_check.search_flops(model, SENTENCES, SLOTS * BEAMS, S, LENGTH * BEAMS)
    assert products(hlo) == formula


def test_the_paper_counts_six_operations_a_parameter_and_token():
    """The look-up multiplies nothing, but the same table is the output layer; biases are few."""
    base = kt.Transformer.from_preset("base", vocabulary_size=37000)
    per_token = tpu_check.train_step_flops(base, 1, 1, 1) / 6
    parameters = 63_045_632
    assert 0.998 * parameters < per_token < 1.001 * parameters
