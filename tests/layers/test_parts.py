"""Parts: what may take the place of a block's own sub-layers, and what is refused."""

import copy

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.keras_patches import layers_of
from tests.weights import random

D, H, F = 12, 3, 17
SIZES = {"d_model": D, "num_heads": H, "d_ff": F}
X = random(2, 5, D)


@keras.saving.register_keras_serializable(package="tests.parts")
class Sloped(kt.DotProductAttention):
    """Prefers what is near, by a slope that is learnt for each head."""

    def __init__(self, start=0.5, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, query_shape):
        start = keras.initializers.Constant(self.start)
        self.slopes = self.add_weight(shape=(query_shape[1],), initializer=start, name="slopes")

    def logits(self, query, key, distances):
        distances = keras.ops.cast(keras.ops.abs(distances), query.dtype)[:, None]
        slopes = keras.ops.cast(self.slopes, query.dtype)[:, None, None]
        return super().logits(query, key, distances) - slopes * distances


class Unregistered(kt.DotProductAttention):
    """A class that Keras would not find again."""


def attention(**options):
    return kt.MultiHeadAttention(D, H, **options)


BLOCKS = {
    "encoder": lambda **parts: kt.EncoderBlock(**SIZES, **parts),
    "decoder": lambda **parts: kt.DecoderBlock(**SIZES, cross_attention=False, **parts),
}


@pytest.fixture(params=BLOCKS)
def make_block(request):
    return BLOCKS[request.param]


def test_standard_parts_are_not_in_the_config(make_block):
    config = make_block().get_config()
    assert config["self_attention"] is config["feed_forward"] is None
    assert attention().get_config()["attention"] is None


def test_a_part_equal_to_the_standard_one_is_not_in_the_config_either(make_block):
    block = make_block(self_attention=attention(), feed_forward=kt.FeedForward(D, F))
    config = block.get_config()
    assert config["self_attention"] is config["feed_forward"] is None


@pytest.mark.parametrize(
    "parts",
    [
        {"self_attention": lambda: attention(use_bias=True)},
        {"self_attention": lambda: attention(key_dim=5)},
        {"self_attention": lambda: attention(attention=Sloped(0.25))},
        {"feed_forward": lambda: kt.FeedForward(D, F, activation="gelu")},
        {"feed_forward": lambda: keras.layers.Dense(D)},
    ],
    ids=["biases", "key_dim", "a hook", "activation", "Keras' own layer"],
)
def test_other_parts_come_back(make_block, parts):
    block = make_block(**{name: make() for name, make in parts.items()})
    expected = block(X)
    again = type(block).from_config(block.get_config())
    again.build(X.shape)
    again.set_weights(block.get_weights())
    np.testing.assert_array_equal(again(X), expected)
    np.testing.assert_array_equal(copy.deepcopy(block)(X), expected)
    assert again.get_config() == block.get_config()


def test_a_hooks_own_arguments_come_back():
    config = attention(attention=Sloped(0.25)).get_config()
    assert kt.MultiHeadAttention.from_config(config).attention.start == 0.25


def test_a_cross_attention_comes_back():
    block = kt.DecoderBlock(**SIZES, cross_attention=attention(attention=Sloped()))
    again = kt.DecoderBlock.from_config(block.get_config())
    assert isinstance(again.cross_attention.attention, Sloped)
    for choice in (True, False):
        config = kt.DecoderBlock(**SIZES, cross_attention=choice).get_config()
        assert config["cross_attention"] is choice
        found = kt.DecoderBlock.from_config(config).cross_attention
        assert (found is not None) == choice


def test_an_assigned_part_counts_as_one_that_was_given(make_block):
    """In the order of the weights too, which optimizers and `set_weights` go by."""
    given = make_block(self_attention=attention(attention=Sloped()))
    assigned = make_block()
    assigned.self_attention = attention(attention=Sloped())
    for block in (given, assigned):
        block.build(X.shape)
    names = [[w.path.split("/")[-2:] for w in block.weights] for block in (given, assigned)]
    shapes = [[w.shape for w in block.weights] for block in (given, assigned)]
    assert shapes[0] == shapes[1]
    assert [a[-1] for a in names[0]] == [b[-1] for b in names[1]]


def test_a_replaced_part_is_forgotten(make_block):
    block = make_block()
    old = block.self_attention
    block.self_attention = attention(attention=Sloped())
    block(X)
    assert not any(layer is old for layer in layers_of(block))
    assert all(layer.built for layer in layers_of(block))


def test_a_part_in_two_blocks_is_refused():
    part = attention()
    blocks = [kt.EncoderBlock(**SIZES, self_attention=part, name=f"block_{n}") for n in range(2)]
    blocks[0](X)
    message = r"one place only.* as `self_attention` of 'block_0' and as `self_attention` of 'bl"
    with pytest.raises(ValueError, match=message):
        blocks[1](X)


def test_a_block_twice_in_a_stack_is_refused():
    block = kt.EncoderBlock(**SIZES)
    with pytest.raises(ValueError, match=r"one place only.*`blocks\[0\]`.*`blocks\[1\]`"):
        kt.EncoderStack([block, block])(X)


def test_a_part_in_two_places_of_a_block_is_refused():
    part = attention()
    block = kt.DecoderBlock(**SIZES, self_attention=part, cross_attention=part)
    with pytest.raises(ValueError, match=r"one place only.*`self_attention`.*`cross_attention`"):
        block(X, X)


def test_a_part_of_another_policy_is_refused(make_block):
    block = make_block(dtype="mixed_bfloat16", self_attention=attention(dtype="float32"))
    message = "create the MultiHeadAttention with dtype='mixed_bfloat16'.*policy 'float32'"
    with pytest.raises(ValueError, match=message):
        block(X)
    with pytest.raises(ValueError, match="create the Sloped with dtype='mixed_bfloat16'"):
        attention(attention=Sloped(), dtype="mixed_bfloat16")(X)


def test_a_part_assigned_after_building_is_refused(make_block):
    block = make_block(name="mine")
    block(X)
    with pytest.raises(ValueError, match=r"`self_attention` of the .*Block 'mine' can be replaced"):
        block.self_attention = attention()
    layer = attention()
    layer(X)
    with pytest.raises(ValueError, match="only before the layer is built"):
        layer.attention = Sloped()


def test_a_class_that_is_not_registered_is_refused(make_block):
    block = make_block(self_attention=attention(attention=Unregistered()))
    with pytest.raises(ValueError, match=r"class Unregistered is not registered.*Decorate the cla"):
        block.get_config()


def test_a_class_that_is_not_known_is_refused_by_name():
    config = attention(attention=Sloped()).get_config()
    config["attention"] |= {"registered_name": "theirs>Strange", "module": "os"}
    with pytest.raises(ValueError, match=r"'theirs>Strange' is not registered.*--import MODULE"):
        kt.MultiHeadAttention.from_config(config)


def test_parts_may_arrive_built(make_block):
    part = attention(attention=Sloped())
    part.build(X.shape)
    before = part.get_weights()
    block = make_block(self_attention=part)
    block(X)
    for old, new in zip(before, part.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
