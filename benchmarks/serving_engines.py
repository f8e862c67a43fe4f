"""Engines that `benchmarks.serving` times: a run's `Translator` and its SavedModels."""

from benchmarks.worker import work

LIVE, XLA = "live", "saved_model xla"
OPTIONS = {XLA: ["--xla"], f"{XLA} int8": ["--xla", "--quantize", "int8"], "saved_model": []}
SEARCH = {"beam_size": 4, "length_penalty": 0.6}


def start_live(job):
    """Starts the `Translator` of a run."""
    from keras_transformer import Translator

    translator = Translator.load(job["folders"][LIVE])
    return make_prepare(lambda texts: [one.text for one in translator.translate(texts, **SEARCH)])


def start_saved_model(job):
    """Starts a SavedModel of the run."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    loaded = tf.saved_model.load(job["folders"][job["engine"]])
    serve = loaded.signatures["serving_default"]

    def translate(texts):
        translations = serve(text=tf.constant(texts))["translation"].numpy()
        return [translation.decode() for translation in translations[:, 0]]

    return make_prepare(translate)


def make_prepare(translate):
    """Returns a function that prepares a request, which translates several batches in a row."""

    def prepare(request):
        return lambda: [one for texts in request["requests"] for one in translate(texts)]

    return prepare


ENGINES = {LIVE: (start_live, ["tensorflow", "keras"])}
ENGINES |= {name: (start_saved_model, ["tensorflow", "tensorflow-text"]) for name in OPTIONS}

if __name__ == "__main__":
    work(ENGINES)
