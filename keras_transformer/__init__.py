"""The Transformer of *The Illustrated Transformer* on Keras 3: layers, training, translation.

Names are imported when they are first used, so that `import keras_transformer` costs nothing
and loads no backend.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "decoding": [
        "BeamSearch",
        "Hypotheses",
        "Hypothesis",
        "RunError",
        "Sampling",
        "Score",
        "Translation",
        "Translator",
        "beam_search",
        "generate",
        "generate_all",
        "sample",
    ],
    "formats": ["export", "import_marian"],
    "illustrate": [],
    "layers": [
        "AddAndNorm",
        "DecoderBlock",
        "Dropout",
        "EncoderBlock",
        "FeedForward",
        "MultiHeadAttention",
        "PositionalEmbedding",
        "causal_mask",
        "dot_product_attention",
        "padding_mask",
        "segment_mask",
        "sinusoids",
    ],
    "models": ["PRESETS", "Decoder", "Encoder", "Transformer"],
    "text": ["MarianTokenizer", "Tokenizer", "load_tokenizer"],
    "training": [
        "Adafactor",
        "BleuCallback",
        "KeepCheckpoints",
        "NoStopSignal",
        "Perplexity",
        "SaveState",
        "SavedState",
        "StateError",
        "StateFolder",
        "StopSignal",
        "Stopped",
        "TokenAccuracy",
        "TokenCrossEntropy",
        "TokenRate",
        "WarmupSchedule",
        "average_checkpoints",
        "resumable_fit",
        "smoothed_cross_entropy",
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, *_HOMES, "data"])


def __getattr__(name):
    if name in _HOME_OF:
        module = importlib.import_module(f"{__name__}.{_HOME_OF[name]}")
        return getattr(module, name)
    if name in (*_HOMES, "data"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
