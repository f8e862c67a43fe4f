"""The Latent Transformer: targets as latents, latents from the source, words all at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_transformer as kt
from keras_transformer.decoding import generate, generate_all
from keras_transformer.decoding.latent_search import words_of
from keras_transformer.models import create_model
from keras_transformer.models.latent_transformer import BOS, END, FIRST, PAD
from keras_transformer.translation.scoring import score_targets
from tests.weights import randomize

V, D = 23, 12
SIZES = {"num_layers": 2, "d_model": D, "num_heads": 2, "d_ff": 17, "dropout_rate": 0.0}
OPTIONS = {"bits": 6, "startup_steps": 0}
IDS = {"bos_id": 1, "eos_id": 2}


def make_model(**options):
    model = create_model("latent", {**OPTIONS, **options}, vocabulary_size=V, **SIZES)
    model.build()
    return randomize(model)


def make_batch(lengths, seed=1):
    """Sources of 7 tokens, and targets of these lengths, EOS included."""
    generator = np.random.default_rng(seed)
    source = generator.integers(4, V, (len(lengths), 7)).astype("int32")
    labels = generator.integers(4, V, (len(lengths), max(lengths))).astype("int32")
    for row, length in enumerate(lengths):
        labels[row, length - 1 :] = 0
        labels[row, length - 1] = 2
    target = np.concatenate([np.ones((len(lengths), 1), "int32"), labels[:, :-1]], axis=1)
    target[labels == 0] = 0
    return {"source": source, "target": target}, labels


@pytest.mark.parametrize("bottleneck", ["quantizer", "hashing"])
def test_eight_words_are_one_latent(bottleneck):
    model, (inputs, _) = make_model(bottleneck=bottleneck), make_batch([1, 8, 9, 17])
    latents = ops.convert_to_numpy(model._autoencode(inputs["target"], False).latents)
    assert (latents >= FIRST).sum(axis=-1).tolist() == [1, 1, 2, 3]
    assert (latents < FIRST + 2**6).all()
    assert model.words_per_latent == 8


def test_latents_are_the_codes_of_the_vectors_that_pass():
    """Also in a step of training, in which the codebooks move."""
    model, (inputs, _) = make_model(), make_batch([3, 17])
    books = model.bottleneck.codebooks
    model.bottleneck.decay = 0.5
    before = np.array(books)
    found = model._autoencode(inputs["target"], True)
    assert np.abs(np.array(books) - before).max() > 0.01
    books.assign(before)
    real = np.array(found.latents) != PAD
    vectors = model.bottleneck.embed(ops.maximum(found.latents - FIRST, 0))
    np.testing.assert_allclose(np.array(found.vectors)[real], np.array(vectors)[real], atol=1e-5)


def test_padding_does_not_matter():
    model, (inputs, _) = make_model(), make_batch([3, 13])
    wanted = model(inputs)
    longer = {name: np.pad(ids, ((0, 0), (0, 11))) for name, ids in inputs.items()}
    np.testing.assert_allclose(model(longer)[:, :13], wanted, atol=1e-4)
    alone = model({name: ids[:1] for name, ids in inputs.items()})
    np.testing.assert_allclose(alone[0, :3], wanted[0, :3], atol=1e-4)


@pytest.mark.parametrize("bottleneck", ["quantizer", "hashing"])
def test_the_words_of_latents_are_those_of_the_target_that_has_them(bottleneck):
    model, (inputs, _) = make_model(bottleneck=bottleneck, halvings=2), make_batch([11, 4, 7])
    best = ops.convert_to_numpy(1 + ops.argmax(model(inputs)[..., 1:], axis=-1))  # no padding
    latents = ops.convert_to_numpy(model._autoencode(inputs["target"], False).latents)
    ended = np.pad(latents, ((0, 0), (0, 1)))
    ended[np.arange(3), (latents != PAD).sum(axis=-1)] = END
    words = ops.convert_to_numpy(model.words(ended[:, None], model.encode(inputs["source"])))
    assert words.shape == (3, 1, 16)
    for row, length in enumerate([11, 4, 7]):
        np.testing.assert_array_equal(words[row, 0, :length], best[row, :length])
        assert (words[row, 0, 4 * -(-length // 4) :] == 0).all()


@pytest.mark.parametrize("most", [2, 3, 7])
def test_a_pass_over_few_places_finds_the_same_words(most):
    """Of seven places, three are enough for the first two cases."""
    model, generator = make_model(), np.random.default_rng(most)
    latents = generator.integers(FIRST, FIRST + 2**6, (2, 2, 7)).astype("int32")
    for row, count in zip(latents.reshape(4, 7), (1, most, most - 1, 0), strict=True):
        row[count:] = PAD
        row[min(count, 6)] = END if count < 7 else row[6]
    memory, seen = model.encode(generator.integers(4, V, (2, 7))), []
    expected = model.words(ops.convert_to_tensor(latents), memory)
    words = model.words
    model.words = lambda ids, memory: seen.append(ids.shape[-1]) or words(ids, memory)
    actual = words_of(model, ops.convert_to_tensor(latents), memory)
    np.testing.assert_array_equal(actual, expected)
    assert seen == [7 if most == 7 else 3]


@pytest.mark.slow
def test_steps_of_the_search_are_those_of_whole_rows():
    """Greedy latents are those that the logits of the whole row prefer; m take m + 1 steps."""
    model, (inputs, _) = make_model(), make_batch([3, 5])
    memory = model.encode(inputs["source"])
    found = generate(model, inputs["source"], np.full(2, 32), length=32, beam_size=1, **IDS)
    seen = []
    decode_step = model.decode_step

    def spy(tokens, *arguments):
        seen.append(np.array(tokens)[:, 0])
        return decode_step(tokens, *arguments)

    model.decode_step = spy
    generate(model, inputs["source"], np.full(2, 32), length=32, beam_size=1, **IDS)
    rows = np.stack(seen, axis=1)
    counts = (rows >= FIRST).sum(axis=-1)
    assert rows.shape[1] == counts.max() + 1 <= 32 // 8 + 1  # and not 32
    assert (rows[:, 0] == BOS).all()
    logits = model.latent_logits(rows[:, 1:], memory.encoder_output, memory.mask)
    best = ops.convert_to_numpy(ops.argmax(logits, axis=-1))
    for row in range(2):
        m = counts[row]
        np.testing.assert_array_equal(best[row, :m], rows[row, 1 : m + 1])
    assert tuple(found.ids.shape) == (2, 1, 32)


def test_a_score_is_that_of_latents_and_of_words():
    """At the first word of each latent that of the latent, at the last word that of the end."""
    model, lengths = make_model(halvings=2), [11, 4, 7]
    inputs, labels = make_batch(lengths)
    inputs["target"] = np.where(labels > 0, inputs["target"], 0)
    scores = np.array(score_targets(model, inputs["source"], labels, bos_id=1))
    words = np.array(ops.log_softmax(model(inputs)))
    latents = np.array(model._autoencode(inputs["target"], False).latents)
    memory = model.encode(inputs["source"])
    for row, length in enumerate(lengths):
        wanted = words[row, np.arange(length), labels[row, :length]].astype("float64")
        m = -(-length // 4)
        for place in range(m + 1):
            logits = model.latent_logits(latents[:, :place], memory.encoder_output, memory.mask)
            chosen = latents[row, place] if place < m else END
            at = 4 * place if place < m else length - 1
            wanted[at] += float(ops.log_softmax(logits)[row, place, chosen])
        np.testing.assert_allclose(scores[row, :length], wanted, atol=1e-4)
        assert (scores[row, length:] == 0).all()


@pytest.mark.slow
def test_hypotheses_end_once_and_within_the_limit():
    model, (inputs, _) = make_model(halvings=2), make_batch([3, 5, 9, 2, 6], seed=4)
    limits = np.array([3, 9, 11, 1, 8])
    options = {"length": 11, "beam_size": 3, "top_beams": 3, **IDS}
    found = generate(model, inputs["source"], limits, **options)
    ids = ops.convert_to_numpy(found.ids)
    assert ids.shape == (5, 3, 11)
    for (row, beam), finished in np.ndenumerate(ops.convert_to_numpy(found.finished)):
        one = ids[row, beam].tolist()
        assert set(one[limits[row] :]) <= {0}
        assert one.count(2) == int(finished)
        if finished:
            assert set(one[one.index(2) + 1 :]) <= {0}
    others, complete = generate_all(
        model, inputs["source"], limits, slots=2, **options, length_penalty=0.6
    )
    np.testing.assert_array_equal(others.ids, ids)
    assert np.all(complete)


def test_padding_is_no_word():
    model, (inputs, _) = make_model(halvings=2), make_batch([3, 11])
    embeddings = model.target_embedding.tokens.embeddings
    embeddings.assign(embeddings * (1 + 99 * (np.arange(V) == 0)[:, None]))
    assert (ops.convert_to_numpy(ops.argmax(model(inputs), axis=-1)) == 0).any()
    latents = np.array([[[FIRST + 3, FIRST + 1, END], [FIRST + 2, END, PAD]]] * 2, "int32")
    words = ops.convert_to_numpy(model.words(latents, model.encode(inputs["source"])))
    assert (words != 0).sum(axis=-1).tolist() == [[8, 4]] * 2


@pytest.mark.slow
def test_what_does_not_fit_is_searched_again():
    model, (inputs, _) = make_model(halvings=1), make_batch([3, 5, 9])
    limits, options = np.array([11, 5, 4]), {"beam_size": 2, "slots": 2, **IDS}
    found, complete = generate_all(model, inputs["source"], limits, length=5, **options)
    finished = ops.convert_to_numpy(found.finished).all(axis=-1)
    assert ops.convert_to_numpy(complete).tolist() == [finished[0], True, True]
    assert not finished[0]
    _, complete = generate_all(model, inputs["source"], limits, length=11, **options)
    assert np.all(complete)


@pytest.mark.parametrize("of_words", [False, True])
def test_a_row_without_weight_teaches_nothing(of_words):
    model, (inputs, labels) = make_model(), make_batch([3, 13])
    model.compile("sgd", kt.TokenCrossEntropy(0.0))
    weight = np.array([1.0, 0.0], "float32")
    weight = np.repeat(weight[:, None], 13, axis=1) if of_words else weight
    both = model.batch_sums(inputs, labels, weight, False)
    inputs = {name: ids[:1] for name, ids in inputs.items()}
    alone = model.batch_sums(inputs, labels[:1], None, False)
    np.testing.assert_allclose(both, alone, rtol=1e-5)


@pytest.mark.slow
def test_the_prediction_of_latents_does_not_teach_what_they_are():
    """No gradient of its loss reaches compressor and bottleneck; that of the words does."""
    model, (inputs, _) = make_model(), make_batch([3, 13])
    inputs = {name: tf.constant(ids) for name, ids in inputs.items()}
    with tf.GradientTape(persistent=True) as tape:
        memory, mask, _ = model._encode(inputs["source"])
        found = model._autoencode(inputs["target"], False)
        of_latents = model._latent_sum(found.latents, memory, mask, False)
        of_words = ops.sum(model(inputs) ** 2)
    kernel = model.compressor.steps[0].kernel.value
    assert tape.gradient(of_latents, kernel) is None
    assert np.abs(tape.gradient(of_words, kernel)).max() > 0
    assert np.abs(tape.gradient(of_latents, model.latent_embedding.tokens.embeddings.value)).max()


def test_words_before_each_position_are_seen_until_the_start_up_is_over():
    """Then none are, and the words behind are."""
    model, (inputs, _) = make_model(startup_steps=4, bottleneck="hashing"), make_batch([8])
    found = model._autoencode(inputs["target"], False)
    real = ops.not_equal(found.latents, PAD)
    memory, mask, _ = model._encode(inputs["source"])

    def hidden(target):
        return np.array(model._find_words(found.vectors, real, memory, mask, target, True)[0])

    other = inputs["target"].copy()
    other[0, 5] = 4 if other[0, 5] != 4 else 5
    model.steps_seen.assign(0.0)
    first = hidden(inputs["target"])
    model.steps_seen.assign(0.0)
    differs = np.abs(first - hidden(other)).max(axis=(0, 2)) > 1e-5
    assert differs.tolist() == [False] * 5 + [True] * 3
    assert float(model.steps_seen) == 1
    model.steps_seen.assign(4.0)
    np.testing.assert_allclose(hidden(inputs["target"]), hidden(other), atol=1e-6)


@pytest.mark.slow
def test_it_comes_back_from_a_file(tmp_path):
    model, (inputs, _) = (
        make_model(mode="project", latent_layers=1, decay=0.75),
        make_batch([3, 13]),
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    assert len(loaded.latent_decoder.blocks) == 1
    assert loaded.bottleneck.decay == 0.75
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bottleneck": "none"}, "bottleneck of the architecture latent must be one of hashing,"),
        ({"bits": 7}, "bits of the architecture latent must be a multiple of num_slices"),
        ({"mode": "both"}, "`mode` must be 'slice' or 'project'"),
        ({"decay": 1.0}, r"`decay` must be at least 0 and less than 1\. Received: 1\.0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_model(**options)


def test_slices_are_those_of_a_quantizer():
    assert make_model(bottleneck="hashing", bits=7).bottleneck.num_codes == 2**7


@pytest.mark.parametrize(
    "option", [{"prefix": np.ones((1, 1), "int32")}, {"no_repeat_ngram_size": 2}]
)
def test_words_cannot_be_prescribed(option):
    model, (inputs, _) = make_model(), make_batch([3])
    options = {"length": 8, **IDS, **option}
    with pytest.raises(ValueError, match="finds all words at once: it knows no `prefix`"):
        generate(model, inputs["source"], np.full(1, 8), **options)


def test_packed_rows_are_refused():
    model, (inputs, labels) = make_model(), make_batch([3])
    inputs["target_segments"] = np.ones_like(inputs["target"])
    model.compile("sgd", kt.TokenCrossEntropy(0.0))
    for use in (model, lambda x: model.batch_sums(x, labels, None, True)):
        with pytest.raises(ValueError, match="takes one sentence pair a row"):
            use(inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bottleneck",
    ["quantizer", pytest.param("hashing", marks=pytest.mark.stood_for("that of a quantizer"))],
)
def test_it_learns_to_turn_words_round(bottleneck):
    """Each latent stands for two words, of 8 kinds; 2^8 codes."""
    keras.utils.set_random_seed(1)
    sizes = {"num_layers": 2, "d_model": 64, "num_heads": 4, "d_ff": 128, "dropout_rate": 0.0}
    options = {"bottleneck": bottleneck, "bits": 8, "halvings": 1, "startup_steps": 200}
    model = create_model("latent", options, vocabulary_size=12, **sizes)
    schedule = kt.WarmupSchedule(64, 400)
    model.compile(
        keras.optimizers.Adam(schedule, beta_2=0.98), kt.TokenCrossEntropy(0.0), jit_compile=True
    )

    def make(generator, count):
        labels = np.full((count, 9), 2, "int32")
        labels[:, :8] = generator.integers(4, 12, (count, 8))
        source = np.concatenate([labels[:, 7::-1], labels[:, 8:]], axis=1)
        target = np.concatenate([np.ones((count, 1), "int32"), labels[:, :-1]], axis=1)
        return {"source": source, "target": target}, labels

    def batches():
        generator = np.random.default_rng(1)
        while True:
            yield make(generator, 64)

    model.fit(batches(), steps_per_epoch=1500, shuffle=False, verbose=0)
    inputs, labels = make(np.random.default_rng(2), 200)
    rebuilt = ops.convert_to_numpy(ops.argmax(model(inputs), axis=-1))
    assert (rebuilt == labels).all(axis=-1).mean() > 0.9
    found = generate(model, inputs["source"], np.full(200, 10), length=10, beam_size=1, **IDS)
    exact = (ops.convert_to_numpy(found.ids)[:, 0, :9] == labels).all(axis=-1).mean()
    print(f"{bottleneck}: translated exactly {exact:.2f}")


@pytest.mark.slow
def test_a_translator_and_its_export_translate(tmp_path):
    """The latents are searched in batches like any tokens, in a SavedModel, too."""
    sentences = ["I am a student.", "I am tired.", "je suis étudiant"] * 3
    tokenizer = kt.Tokenizer.train(sentences, 280)
    model = create_model("latent", {**OPTIONS, "halvings": 1}, vocabulary_size=280, **SIZES)
    model.build()
    translator = kt.Translator(randomize(model), tokenizer, max_source_length=24)
    texts = ["I am a student.", "I am", "a student am I tired"]
    wanted = translator.translate(texts, beam_size=2, max_length=9)
    alone = [translator.translate([text], beam_size=2, max_length=9)[0] for text in texts]
    assert [one.text for one in wanted] == [one.text for one in alone]
    kt.export(translator, tmp_path / "exported", beam_size=2, max_length=9)
    program = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"]
    found = program(tf.constant(texts))["translation"].numpy().ravel()
    assert [text.decode() for text in found] == [one.text for one in wanted]
    translator.save(tmp_path / "run")
    loaded = kt.Translator.load(tmp_path / "run").translate(texts, beam_size=2, max_length=9)
    assert [one.text for one in loaded] == [one.text for one in wanted]
