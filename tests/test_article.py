"""The Illustrated Transformer's own numbers and statements, one test each, in its order.

Left out are statements about figures and about beam search.
"""

import inspect
import math

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from tests import reference
from tests.weights import array, of_attention, random, randomize

WORDS = ("a", "am", "i", "thanks", "student", "<eos>")
EOS = WORDS.index("<eos>")
FRENCH = ("<pad>", "je", "suis", "étudiant", "merci", "<eos>")
PAIRS = {"je suis étudiant <eos>": "i am a student <eos>", "merci <eos>": "thanks <eos>"}


def small(**options):
    sizes = {"num_layers": 2, "d_model": 16, "num_heads": 2, "d_ff": 31, **options}
    return kt.Transformer(11, **sizes)


def softmax(logits):
    return ops.convert_to_numpy(ops.softmax(logits))


# The stacks


def test_the_default_is_six_encoders_and_six_decoders():
    model = kt.Transformer(11)
    assert len(model.encoder.blocks) == len(model.decoder.blocks) == 6


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_nothing_is_magical_about_six(num_layers):
    model = small(num_layers=num_layers)
    output = model({"source": np.array([[3, 5]]), "target": np.array([[1, 4, 7]])})
    assert output.shape == (1, 3, 11)
    assert len(model.encoder.blocks) == len(model.decoder.blocks) == num_layers


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_blocks_are_alike_and_share_no_weights(stack):
    model = small()
    model.build()
    first, second = getattr(model, stack).blocks
    assert [w.shape for w in first.weights] == [w.shape for w in second.weights]
    assert not {id(w) for w in first.weights} & {id(w) for w in second.weights}
    kernels = zip(first.weights, second.weights, strict=True)
    assert all((array(a) != array(b)).any() for a, b in kernels if len(a.shape) > 1)
    assert getattr(model, stack).count_params() == 2 * first.count_params()


def test_an_encoder_has_two_sublayers_and_a_decoder_three():
    def parts(block, kind):
        return sum(isinstance(part, kind) for part in block._flatten_layers())

    encoder, decoder = kt.EncoderBlock(16, 2, 31), kt.DecoderBlock(16, 2, 31)
    assert [parts(encoder, kt.MultiHeadAttention), parts(decoder, kt.MultiHeadAttention)] == [1, 2]
    assert [parts(encoder, kt.FeedForward), parts(decoder, kt.FeedForward)] == [1, 1]
    normalization = keras.layers.LayerNormalization
    assert [parts(encoder, normalization), parts(decoder, normalization)] == [2, 3]


def test_every_encoder_receives_and_returns_vectors_of_512():
    assert inspect.signature(kt.Transformer).parameters["d_model"].default == 512
    x = random(2, 5, 512)
    for block in (kt.EncoderBlock(512, 8, 31), kt.EncoderBlock(512, 8, 31)):
        x = block(x)
        assert x.shape == (2, 5, 512)


def test_only_the_bottom_encoder_is_fed_by_an_embedding():
    model = small()
    for stack in (model.encoder, model.decoder):
        parts = list(stack._flatten_layers())
        assert not any(
            isinstance(p, keras.layers.Embedding | kt.PositionalEmbedding) for p in parts
        )


def test_a_list_may_have_any_length():
    model = small()
    for length in (1, 7, 101):
        ids = {"source": np.full((1, length), 5), "target": np.full((1, length), 4)}
        assert model(ids).shape == (1, length, 11)


def test_the_feed_forward_network_treats_each_position_alone():
    layer, x = kt.FeedForward(16, 31), random(1, 7, 16)
    order = np.array([4, 1, 6, 0, 2, 5, 3])
    np.testing.assert_allclose(layer(x[:, order]), array(layer(x))[:, order], atol=1e-6)


# Self-attention, by vectors


def test_queries_keys_and_values_have_64_numbers():
    attention = kt.MultiHeadAttention(d_model=512, num_heads=8)
    assert attention.key_dim == 64
    key, value = attention.project_key_value(random(1, 2, 512))
    assert key.shape == value.shape == (1, 8, 2, 64)


def test_more_heads_cost_no_more_parameters():
    counts = set()
    for num_heads in (1, 2, 4, 8, 16):
        attention = kt.MultiHeadAttention(512, num_heads)
        attention.build((1, 2, 512))
        counts.add(attention.count_params())
    assert counts == {4 * 512 * 512}


# The two words "Thinking Machines": q1 . k1 = 112 and q1 . k2 = 96. A third word whose key is 0
# scores 0, so that the scores can be read off the softmax's ratios.
QUERY = np.full(64, 2.0, "float32")
KEYS = np.array([[0.875] * 64, [0.75] * 64, [0.0] * 64], "float32")
VALUES = random(3, 64)


def thinking_machines(words):
    keys, values = KEYS[None, None, :words], VALUES[None, None, :words]
    output, scores = kt.dot_product_attention(QUERY[None, None, None], keys, values)
    return array(output)[0, 0, 0], array(scores)[0, 0, 0]


def test_the_raw_scores_are_112_and_96():
    _, scores = thinking_machines(3)
    assert (KEYS @ QUERY).tolist() == [112, 96, 0]
    np.testing.assert_allclose(8 * np.log(scores[:2] / scores[2]), [112, 96], rtol=1e-5)


def test_divided_by_8_they_are_14_and_12():
    _, scores = thinking_machines(3)
    np.testing.assert_allclose(np.log(scores[:2] / scores[2]), [14, 12], rtol=1e-5)


def test_softmax_makes_them_088_and_012():
    _, scores = thinking_machines(2)
    np.testing.assert_allclose(scores, [0.880797, 0.119203], atol=1e-6)


def test_all_are_positive_and_add_up_to_one_and_the_word_itself_is_highest():
    _, scores = thinking_machines(3)
    assert (scores > 0).all()
    assert abs(scores.sum() - 1) < 1e-6
    assert scores.argmax() == 0


def test_the_output_is_088_of_one_value_and_012_of_the_other():
    output, _ = thinking_machines(2)
    np.testing.assert_allclose(output, 0.880797 * VALUES[0] + 0.119203 * VALUES[1], atol=1e-5)


def test_an_irrelevant_word_is_drowned():
    """With a share below 0.001 its value hardly shows."""
    output, scores = thinking_machines(3)
    assert scores[2] < 0.001
    np.testing.assert_allclose(output, thinking_machines(2)[0], atol=0.001)


# Self-attention, by matrices


def test_rows_of_matrices_are_what_the_loops_over_words_make():
    """X (2 x 4) times W (4 x 3) are Q, K and V (2 x 3); the scale is the square root of 3."""
    attention = kt.MultiHeadAttention(d_model=4, num_heads=1, key_dim=3)
    X = random(1, 2, 4)
    attention.build(X.shape)
    randomize(attention)
    weights = of_attention(attention)
    Q, K, V = (X[0] @ weights[name][0] for name in ("query", "key", "value"))
    assert Q.shape == K.shape == V.shape == (2, 3)
    Z = softmax(Q @ K.T / math.sqrt(3)) @ V
    np.testing.assert_allclose(Z, reference.attention(Q, K, V)[0], atol=1e-6)
    np.testing.assert_allclose(attention(X, X)[0], Z @ weights["output"][0], atol=1e-5)


def test_eight_heads_put_side_by_side_times_one_matrix_are_the_layer():
    """Eight Z of 2 x 3 make one of 2 x 24, and W^O is 24 x 4."""
    attention = kt.MultiHeadAttention(d_model=4, num_heads=8, key_dim=3)
    X = random(1, 2, 4)
    attention.build(X.shape)
    weights = of_attention(attention)
    heads = [
        reference.attention(
            *(X[0] @ weights[name][0][:, 3 * h : 3 * h + 3] for name in ("query", "key", "value"))
        )[0]
        for h in range(8)
    ]
    side_by_side = np.concatenate(heads, axis=1)
    assert side_by_side.shape == (2, 24)
    assert weights["output"][0].shape == (24, 4)
    np.testing.assert_allclose(attention(X, X)[0], side_by_side @ weights["output"][0], atol=1e-5)


def test_eight_heads_start_with_different_weights():
    attention = kt.MultiHeadAttention(512, 8)
    attention.build((1, 2, 512))
    for name in ("query", "key", "value"):
        heads = of_attention(attention)[name][0].reshape(512, 8, 64).transpose(1, 0, 2)
        assert len({head.tobytes() for head in heads}) == 8


def test_each_encoder_takes_the_output_of_the_one_below():
    encoder, x = kt.Encoder(3, 16, 2, 31), random(1, 5, 16)
    output = encoder(x)
    for block in encoder.blocks:
        x = block(x)
    np.testing.assert_array_equal(output, x)


# Positions


def test_a_position_is_added_to_each_words_embedding():
    with_positions, without = (kt.PositionalEmbedding(11, 16, kind) for kind in ("t2t", None))
    ids = np.array([[3, 9, 3, 7]])
    with_positions.build(ids.shape)
    without.build(ids.shape)
    without.set_weights(with_positions.get_weights())
    added = array(with_positions(ids)) - array(without(ids))
    np.testing.assert_allclose(added[0], kt.sinusoids(np.arange(4), 16, "t2t"), atol=1e-6)


def test_positions_of_an_embedding_of_size_4():
    expected = [
        [0, 0, 1, 1],
        [0.841471, 0.0001, 0.540302, 1.0],
        [0.909297, 0.0002, -0.416147, 1.0],
    ]
    np.testing.assert_allclose(kt.sinusoids(np.arange(3), 4, "t2t"), expected, atol=1e-6)


def test_20_positions_of_512_numbers_are_split_down_the_centre():
    encodings = array(kt.sinusoids(np.arange(20), 512, "t2t"))
    assert encodings.shape == (20, 512)
    assert np.abs(encodings).max() <= 1
    np.testing.assert_array_equal(encodings[0], [0] * 256 + [1] * 256)
    np.testing.assert_allclose((encodings**2).sum(axis=1), 256, rtol=1e-5)
    np.testing.assert_allclose(encodings[:, :256] ** 2 + encodings[:, 256:] ** 2, 1, atol=1e-5)


def test_the_paper_interweaves_the_two_signals():
    encodings = array(kt.sinusoids(np.arange(3), 4, "paper"))
    np.testing.assert_array_equal(encodings[0], [0, 1, 0, 1])
    np.testing.assert_allclose(encodings[1], [0.841471, 0.540302, 0.01, 0.99995], atol=1e-6)
    assert inspect.signature(kt.Transformer).parameters["positions"].default == "paper"


@pytest.mark.parametrize("form", ["paper", "t2t"])
def test_positions_go_on_beyond_any_length_seen(form):
    short, long = (kt.sinusoids(np.arange(length), 512, form) for length in (20, 40))
    np.testing.assert_array_equal(long[:20], short)
    assert len({row.tobytes() for row in array(long)}) == 40


# Residuals, and the decoder's side


def test_around_each_sublayer_is_a_sum_and_a_normalisation():
    """Were a sub-layer to give nothing, what went in would come out, normalised."""
    x, source = 3 + 2 * random(2, 5, 16), random(2, 7, 16)
    normalised = reference.layer_norm((1, 0), x.reshape(-1, 16)).reshape(x.shape)
    for block, arguments in (
        (kt.EncoderBlock(16, 2, 31), [x]),
        (kt.DecoderBlock(16, 2, 31), [x, source]),
    ):
        block.build((2, 5, 16))
        for weight in block.weights:
            if len(weight.shape) > 1:
                weight.assign(ops.zeros(weight.shape))
        np.testing.assert_allclose(block(*arguments), normalised, atol=1e-4)


def test_the_top_encoders_output_makes_the_keys_and_values_of_every_decoder():
    model = small()
    source, target = np.array([[3, 5, 9]]), np.array([[1, 4, 7, 8, 2]])
    memory = model.encode(source)
    expected = array(model({"source": source, "target": target}))
    np.testing.assert_array_equal(model.decode(target, memory), expected)
    kernels = []
    for block, (key, value) in zip(model.decoder.blocks, memory.blocks, strict=True):
        weights = of_attention(block.cross_attention)
        kernels.append(weights["key"][0])
        for projected, name in ((key, "key"), (value, "value")):
            joined = array(projected).transpose(0, 2, 1, 3).reshape(1, 3, 16)
            product = array(memory.encoder_output) @ weights[name][0]
            np.testing.assert_allclose(joined, product, atol=1e-5)
    assert (kernels[0] != kernels[1]).any()


def test_the_decoder_sees_earlier_positions_only_and_hides_the_others_before_the_softmax():
    """Hidden after it, what is left of a row would add up to less than 1."""
    block = kt.DecoderBlock(16, 2, 31)
    _, scores = block(random(1, 5, 16), random(1, 7, 16), return_attention_scores=True)
    own = array(scores["self"])
    assert (np.triu(own, k=1) == 0).all()
    np.testing.assert_allclose(own.sum(axis=-1), 1, atol=1e-6)


# The final layers


def test_a_vocabulary_of_10000_words_gives_10000_logits():
    model = small(target_vocabulary_size=10_000)
    logits = model({"source": np.array([[3, 5]]), "target": np.array([[1, 4, 7]])})
    assert logits.shape == (1, 3, 10_000)
    probabilities = softmax(logits)
    assert (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(-1), array(logits).argmax(-1))


def test_the_cell_with_the_highest_probability_is_chosen():
    """The 5 of the figure is a word of another vocabulary than the one below, where it ends."""

    def step(tokens, index, ancestry, state):
        return ops.one_hot(ops.full_like(tokens, 5), 7), state

    found = kt.beam_search(
        step, (), ops.array([3]), length=3, bos_id=0, eos_id=6, pad_id=1, beam_size=1
    )
    assert array(found.ids).tolist() == [[[5, 5, 5]]]
    assert not found.finished[0, 0]


# Training


@pytest.mark.parametrize(
    ("vocabulary_size", "loss"),
    [(6, 1.791759), (10_000, 9.210340), (30_000, 10.308953), (50_000, 10.819778)],
)
def test_a_model_that_knows_nothing_has_the_loss_of_even_chances(vocabulary_size, loss):
    labels = ids_of(PAIRS["je suis étudiant <eos>"], WORDS)[None]
    uniform = ops.zeros((1, 5, vocabulary_size))
    value = kt.TokenCrossEntropy(label_smoothing=0.0, pad_id=-1)(labels, uniform)
    assert abs(float(value) - loss) < 1e-5
    assert abs(math.log(vocabulary_size) - loss) < 1e-6


def ids_of(sentence, vocabulary):
    return np.array([vocabulary.index(word) for word in sentence.split()])


def test_the_six_words_are_numbered_in_order_and_the_last_one_ends():
    assert [WORDS.index(word) for word in ("a", "am", "i", "thanks", "student", "<eos>")] == [
        *range(6)
    ]
    assert ids_of("i am a student <eos>", WORDS).tolist() == [2, 1, 0, 4, 5]


def test_am_is_one_hot_at_index_1():
    """And that one-hot target is what the loss compares with: only its cell counts."""
    one_hot = np.eye(6)[WORDS.index("am")]
    assert one_hot.tolist() == [0, 1, 0, 0, 0, 0]
    logits = random(1, 1, 6)
    expected = -(one_hot * np.log(softmax(logits)[0, 0])).sum()
    loss = kt.smoothed_cross_entropy(np.array([[WORDS.index("am")]]), logits)
    assert abs(float(loss[0, 0]) - expected) < 1e-6


def test_word_0_counts_where_no_id_is_padding():
    logits = random(1, 5, 6)
    labels = np.array([[2, 1, 0, 4, 5]])
    expected = -np.log(softmax(logits)[0, np.arange(5), labels[0]]).mean()
    loss = kt.TokenCrossEntropy(label_smoothing=0.0, pad_id=-1)(labels, logits)
    assert abs(float(loss) - expected) < 1e-6


def batch_of(pairs):
    """Sources, targets that start with `<eos>`, and labels; -1 is no label."""
    source, target, labels = np.zeros((len(pairs), 4), int), [], np.full((len(pairs), 5), -1)
    for row, (french, english) in enumerate(pairs.items()):
        numbers = ids_of(english, WORDS)
        source[row, : len(french.split())] = ids_of(french, FRENCH)
        target.append(np.pad([EOS, *numbers[:-1]], (0, 5 - len(numbers))))
        labels[row, : len(numbers)] = numbers
    return {"source": source, "target": np.array(target)}, labels


def translator():
    keras.utils.set_random_seed(0)
    model = kt.Transformer(
        len(FRENCH), 1, 32, 2, 61, dropout_rate=0.0, target_vocabulary_size=len(WORDS)
    )
    loss = kt.TokenCrossEntropy(label_smoothing=0.0, pad_id=-1)
    model.compile(keras.optimizers.Adam(0.003), loss, jit_compile=False)
    return model


@pytest.fixture(scope="module")
def untrained():
    model = translator()
    model.build()
    return model


@pytest.fixture(scope="module")
def trained():
    model = translator()
    inputs, labels = batch_of(PAIRS)
    model.losses_seen = []
    for _ in range(80):
        model.reset_metrics()  # Keras 3.13 does not: its losses are means of all batches so far
        model.losses_seen.append(model.train_on_batch(inputs, labels))
    return model


def search(model, french, **options):
    """No id of the six words is padding, so -1 fills up."""
    source = ops.array(batch_of({french: PAIRS[french]})[0]["source"])
    return kt.generate(
        model, source, ops.array([5]), length=5, bos_id=EOS, eos_id=EOS, pad_id=-1, **options
    )


def write(model, french):
    """The ids of the words that the model writes by itself."""
    found = search(model, french, beam_size=1)
    ids = ops.convert_to_numpy(found.ids)[0, 0].tolist()
    assert found.finished[0, 0]
    return ids[: ids.index(EOS) + 1]


def test_an_untrained_model_says_anything_about_merci(untrained):
    """Its loss is near that of even chances, but not it."""
    inputs, labels = batch_of({"merci <eos>": "thanks <eos>"})
    logits = array(untrained(inputs))[0, 0]
    assert labels[0, 0] == 3
    assert 0.5 < -math.log(softmax(logits)[3]) < 4
    assert logits.std() > 0.1


def test_the_first_steps_lower_the_loss(trained):
    losses = [float(loss) for loss in trained.losses_seen]
    assert math.log(6) / 2 < losses[0] < math.log(6) * 2  # guessing among six words: ln 6
    assert losses[1] < losses[0]
    assert losses[-1] < 0.05


def test_the_words_come_one_by_one_and_the_end_symbol_ends(trained):
    """Each is fed to the bottom decoder for the next one: four words and the end."""
    assert write(trained, "je suis étudiant <eos>") == [2, 1, 0, 4, 5]
    assert write(trained, "merci <eos>") == [3, 5]


def test_the_target_distributions_are_five_by_six():
    inputs, labels = batch_of({"je suis étudiant <eos>": "i am a student <eos>"})
    assert labels.tolist() == [[2, 1, 0, 4, 5]]
    assert np.eye(6)[labels[0]].shape == (5, 6)
    assert inputs["target"].tolist() == [[5, 2, 1, 0, 4]]  # shifted right by one


def test_the_fifth_distribution_has_most_on_the_end_symbol(trained):
    inputs, _ = batch_of({"je suis étudiant <eos>": "i am a student <eos>"})
    probabilities = softmax(trained(inputs))[0]
    assert probabilities.shape == (5, 6)
    assert probabilities.argmax(-1).tolist() == [2, 1, 0, 4, 5]
    assert probabilities[4, EOS] > 0.9


def test_even_unlikely_words_keep_a_little_probability(trained):
    probabilities = softmax(trained(batch_of(PAIRS)[0]))
    assert (probabilities > 0).all()
    assert probabilities.min() < 0.01


@pytest.mark.parametrize("french", PAIRS)
def test_greedy_decoding_keeps_the_most_probable_word_of_each_step(trained, french):
    """The same words as choosing again and again from logits of the whole target so far."""
    source = batch_of({french: PAIRS[french]})[0]["source"]
    chosen = []
    while EOS not in chosen:
        logits = trained({"source": source, "target": np.array([[EOS, *chosen]])})
        chosen.append(int(array(logits)[0, -1].argmax()))
    assert write(trained, french) == chosen


@pytest.mark.parametrize("french", PAIRS)
def test_two_beams_write_two_translations_the_better_one_first(trained, french):
    found = search(trained, french, beam_size=2, top_beams=2)
    first, second = (row[row != -1].tolist() for row in ops.convert_to_numpy(found.ids)[0])
    assert first == ids_of(PAIRS[french], WORDS).tolist() != second
    assert found.scores[0, 0] > found.scores[0, 1]
