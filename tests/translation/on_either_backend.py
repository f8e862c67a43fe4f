"""Searches, fits and translates on the backend at hand.

`python -m tests.translation.on_either_backend FOLDER`

The folder holds a run to start from, `start`; what was found is written beside it.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from keras_transformer import (
    BleuCallback,
    Perplexity,
    TokenAccuracy,
    TokenCrossEntropy,
    TokenRate,
    Translator,
    WarmupSchedule,
    beam_search,
    make_shortlist,
)
from keras_transformer.decoding.beam_search import SearchLimits
from tests.decoding.languages import BOS, EOS, LIMITS, Language, rare_ends, search_in_turns

TEXTS = ["one two three", "", "four five six seven one two", "red cat", "dog", "street one"]
LONG = "one two three four five six seven. red cat dog street one two. three four five."


def batches():
    generator = np.random.default_rng(17)
    source, target = (generator.integers(4, 300, (11, n)).astype("int32") for n in (5, 8))
    source[3:7, 3:] = 0
    target[:, 0] = 1
    target[2:5, 4:] = 0
    return {"source": source, "target": target[:, :-1]}, target[:, 1:]


def compiled(function):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def searches():
    """What is found in a random language, by a batch and by a queue, eager and compiled."""
    language = Language(7, 13, 13, 11, change=rare_ends)

    def batch(limits):
        return beam_search(
            language.step, language.state(13, 3), limits, length=13, bos_id=BOS, eos_id=EOS,
            beam_size=3, top_beams=2,
        )  # fmt: skip

    def queue(limits):
        return search_in_turns(language, SearchLimits(limits), 4, beam_size=3, top_beams=2)[0]

    limits = keras.ops.convert_to_tensor(np.array(LIMITS, "int32"))
    return {
        f"{search.__name__}, {how}": [np.asarray(part).tolist() for part in run(limits)]
        for search in (batch, queue)
        for how, run in (("eager", search), ("compiled", compiled(search)))
    }


def work(folder):
    """What a run does before and after two epochs of training, from the same weights."""
    translator = Translator.load(folder / "start")
    model = translator.model
    before = translator.translate([*TEXTS, LONG])
    pairs = zip(TEXTS, reversed(TEXTS), strict=True)
    translator.shortlist = make_shortlist(translator, pairs, candidates=2, num_frequent=5, size=19)
    shortlisted = translator.translate(TEXTS)
    translator.shortlist = None
    imported = "tensorflow" in sys.modules
    schedule = WarmupSchedule(model.d_model, warmup_steps=2)
    model.compile(
        keras.optimizers.SGD(schedule),
        loss=TokenCrossEntropy(),
        metrics=[TokenAccuracy(), Perplexity()],
        jit_compile=keras.backend.backend() == "jax",
    )
    written = []

    def translate(texts):
        written.append([translation.text for translation in translator.translate(texts)])
        return written[-1]

    bleu = BleuCallback(translate, TEXTS, TEXTS, folder / "best.weights.h5")
    rate = TokenRate()
    inputs, labels = batches()
    history = model.fit(
        inputs, labels, batch_size=11, epochs=2, shuffle=False, verbose=0, callbacks=[bleu, rate]
    ).history
    after = translator.translate([*TEXTS, LONG])
    return {
        "backend": keras.backend.backend(),
        "tensorflow_imported": imported,
        "shortlisted": [[t.text, t.score, t.finished] for t in shortlisted],
        "before": [[t.text, t.score, t.finished] for t in before],
        "after": [[t.text, t.score, t.finished] for t in after],
        "written": written,
        "tokens": rate.tokens,
        **{name: history[name] for name in ("loss", "accuracy", "perplexity", "val_bleu")},
        "weights": [float(np.abs(weights).sum()) for weights in model.get_weights()],
    }


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "searches.json").write_text(json.dumps(searches()))
    (place / "found.json").write_text(json.dumps(work(place)))
