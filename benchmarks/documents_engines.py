"""Models that `benchmarks.documents` times on long documents, each in a separate process.

`python -m benchmarks.documents_engines` starts one; `benchmarks.worker` defines the protocol.
"""

import resource

from benchmarks.training_engines import dispatch
from benchmarks.worker import work

TARGET_LENGTH = 32  # positions of a translation, EOS included
DOCUMENTS = 2  # of a timed step
COMPRESSED = "memory_compressed"
NAMES = (COMPRESSED, "decoder_only")


def compile_for_documents(model, learning_rate):
    """Compiles a model, with a step that is compiled by XLA.

    Args:
        model: The model.
        learning_rate: Float, or a schedule.
    """
    import keras

    import keras_transformer as kt

    model.compile(
        keras.optimizers.Adam(learning_rate, beta_2=0.98),
        kt.TokenCrossEntropy(0.1, model.pad_id),
        metrics=[kt.TokenAccuracy(model.pad_id)],
        jit_compile=True,
    )


def make_model(trained, architecture, **options):
    """Returns a built model of an architecture, of the sizes of a trained one, without dropout.

    No document is seen twice.
    """
    from keras_transformer import create_model

    first = trained.decoder.blocks[0]
    model = create_model(
        architecture,
        options,
        vocabulary_size=trained.vocabulary_size,
        num_layers=len(trained.decoder.blocks),
        d_model=first.d_model,
        num_heads=first.num_heads,
        d_ff=first.d_ff,
        dropout_rate=0.0,
    )
    model.build()
    return model


def start(job):
    """Starts the model of `job["run"]`, with the attention that the engine's name says."""
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    from keras_transformer import Translator

    name = job["engine"]
    model = make_model(Translator.load(job["run"]).model, name, **job["options"].get(name, {}))
    compile_for_documents(model, 1e-4)
    generator = np.random.default_rng(0)
    source, target, labels = (
        generator.integers(4, 99, (DOCUMENTS, length)).astype("int32")
        for length in (job["length"], TARGET_LENGTH, TARGET_LENGTH)
    )

    def steps(count):
        def run():
            for _ in range(count):
                model.train_on_batch({"source": source, "target": target}, labels)

        return run

    def memory(_):
        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    return dispatch({"steps": steps, "memory": memory})


ENGINES = dict.fromkeys(NAMES, (start, ("keras", "tensorflow")))

if __name__ == "__main__":
    work(ENGINES)
