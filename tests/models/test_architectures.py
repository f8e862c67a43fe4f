"""The registry of architectures: names, options, and what cannot be registered."""

import keras
import pytest

from keras_transformer import Transformer
from keras_transformer.models import (
    complete_architecture_options,
    create_model,
    register_architecture,
)

SIZES = {"vocabulary_size": 11, "num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 12}
DEFAULTS = {"factor": 2, "rate": 0.5, "kind": "a", "deep": False}


@register_architecture
def four_options(d_ff, *, factor=2, rate=0.5, kind="a", deep=False, **sizes):
    return Transformer(d_ff=factor * d_ff, name=f"{kind}_{rate}_{deep}", **sizes)


@pytest.mark.parametrize(
    ("options", "factor", "name"),
    [
        (None, 2, "a_0.5_False"),
        ({}, 2, "a_0.5_False"),
        ({"factor": 3, "kind": "b"}, 3, "b_0.5_False"),
        ({"rate": 1, "deep": True}, 2, "a_1.0_True"),
    ],
)
def test_options_reach_the_function_with_their_types(options, factor, name):
    model = create_model("four_options", options, **SIZES)
    assert (model.d_ff, model.name) == (factor * SIZES["d_ff"], name)


def test_a_size_that_the_function_names_is_no_option():
    assert complete_architecture_options("four_options") == DEFAULTS


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("no_such", {}, r"^architecture must be one of .*transformer.*\. Received: no_such\. To"),
        (
            "four_options", {"width": 3},
            r"^The architecture four_options has no option width\. Its options, with their default "
            r"values: factor=2, rate=0\.5, kind='a', deep=False\. Received: width=3$",
        ),
        ("four_options", {"d_ff": 3}, "has no option d_ff"),
        (
            "transformer", {"kernel_size": 3},
            "The architecture transformer has no option kernel_size.* values: none. Rec.*_size=3$",
        ),
        (
            "four_options", {"factor": "3"},
            r"^factor of the architecture four_options must be an integer, as its default value, "
            r"2\. Received: '3'$",
        ),
        ("four_options", {"factor": 3.0}, r"must be an integer.* Received: 3\.0$"),
        ("four_options", {"factor": True}, "must be an integer.* Received: True$"),
        ("four_options", {"factor": None}, "must be an integer.* Received: None$"),
        ("four_options", {"factor": [3]}, r"must be an integer.* Received: \[3\]$"),
        ("four_options", {"rate": float("nan")}, "must be a finite number.* Received: nan$"),
        ("four_options", {"rate": True}, "must be a finite number.* Received: True$"),
        ("four_options", {"kind": 5}, "must be a string.* Received: 5$"),
        ("four_options", {"deep": 1}, "must be true or false.* Received: 1$"),
    ],
)  # fmt: skip
def test_what_an_architecture_does_not_have_is_refused(architecture, options, message):
    with pytest.raises(ValueError, match=message):
        create_model(architecture, options, **SIZES)


@pytest.mark.parametrize(
    "function",
    [
        lambda factor=2: None,
        lambda factor, **sizes: None,
        lambda factor=None, **sizes: None,
        lambda factor=(2, 3), **sizes: None,
        lambda *factors, **sizes: None,
        lambda factor=2, /, **sizes: None,
    ],
)
def test_an_option_has_a_scalar_as_its_default_value_and_sizes_go_through(function):
    with pytest.raises(ValueError, match=r"cannot serve as an architecture: .* Rec.*<lambda>\("):
        register_architecture(function)


def test_an_architecture_that_makes_no_model_is_named():
    @register_architecture
    def nothing(**sizes):
        return keras.layers.Dense(3)

    with pytest.raises(ValueError, match=r"architecture nothing must return a model.*: Dense$"):
        create_model("nothing", **SIZES)


def test_a_name_stands_for_one_architecture():
    def transformer(**sizes):
        raise AssertionError

    with pytest.raises(ValueError, match=r"architecture transformer already, in .*catalog\. Give"):
        register_architecture(transformer)
    assert type(create_model("transformer", **SIZES)) is Transformer


def test_a_cell_of_a_notebook_may_be_run_again():
    for factor in (2, 3):

        @register_architecture
        def of_a_cell(*, factor=factor, **sizes):
            return Transformer(**sizes)

    assert complete_architecture_options("of_a_cell") == {"factor": 3}
