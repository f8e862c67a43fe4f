"""The engines of `benchmarks.serving`: a run's translator, and what was exported of it."""

from benchmarks.worker import work

LIVE, XLA = "live", "saved_model xla"
OPTIONS = {XLA: ["--xla"], f"{XLA} int8": ["--xla", "--quantize", "int8"], "saved_model": []}
SEARCH = {"beam_size": 4, "length_penalty": 0.6}


def live(job):
    from keras_transformer import Translator

    translator = Translator.load(job["folders"][LIVE])
    return answering(lambda texts: [one.text for one in translator.translate(texts, **SEARCH)])


def served(job):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    loaded = tf.saved_model.load(job["folders"][job["engine"]])
    serve = loaded.signatures["serving_default"]

    def translate(texts):
        found = serve(text=tf.constant(texts))["translation"].numpy()
        return [one.decode() for one in found[:, 0]]

    return answering(translate)


def answering(translate):
    """What makes requests ready: each is a list of texts, answered one after the other."""

    def prepare(request):
        return lambda: [one for texts in request["requests"] for one in translate(texts)]

    return prepare


ENGINES = {LIVE: (live, ["tensorflow", "keras"])}
ENGINES |= {name: (served, ["tensorflow", "tensorflow-text"]) for name in OPTIONS}

if __name__ == "__main__":
    work(ENGINES)
