"""Engines that a translator may run on, by name."""

import pkgutil

KERAS = "keras"
FLOAT32 = "float32"
# The function that loads a run with each other engine. Engines are made of translators, so this
# folder cannot import them.
LOADERS = {"ctranslate2": "keras_transformer.serving.engines:load_ctranslate2"}


def load_with_engine(folder, engine: str, compute_type: str, shortlist: bool = False):
    """Loads a run with another engine than Keras; `None` for Keras.

    Args:
        folder: Path of the run folder, or its URL.
        engine: Name of the engine.
        compute_type: The type that the engine computes in.
        shortlist: Whether the search is to use a shortlist.

    Raises:
        ValueError: There is no such engine, Keras is given a type to compute in, or another engine
            a shortlist.
    """
    if engine != KERAS and engine not in LOADERS:
        raise ValueError(
            f"`engine` must be one of {', '.join([KERAS, *LOADERS])}. Received: {engine!r}"
        )
    if engine != KERAS and shortlist:
        raise ValueError(f"`shortlist` is an option of the engine {KERAS}. Received: {engine!r}")
    if engine != KERAS:
        return pkgutil.resolve_name(LOADERS[engine])(folder, compute_type)
    if compute_type != FLOAT32:
        raise ValueError(
            "`compute_type` is an option of the engine ctranslate2; Keras computes in the type of "
            f"the run. Received: {compute_type!r}"
        )
    return None
