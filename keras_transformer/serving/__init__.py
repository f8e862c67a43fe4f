"""Files of any length, and engines that translate without Keras.

Inputs in parts, outputs that grow by whole lines and can be resumed; CTranslate2. Names are
imported when they are first used: files need no backend.
"""

import importlib

_MODULES = {
    "CTranslate2Translator": "engines",
    "GrowingFile": "growing_output",
    "Shard": "text_sources",
    "TextSource": "text_sources",
    "growing_file": "growing_output",
}
__all__ = ["CTranslate2Translator", "GrowingFile", "Shard", "TextSource", "growing_file"]


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
