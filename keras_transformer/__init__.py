"""The Transformer of *The Illustrated Transformer* on Keras 3: layers, training, translation.

Names are imported when they are first used, so that `import keras_transformer` costs nothing
and loads no backend.
"""

import importlib

from keras_transformer import forking as forking  # watches for forks from now on

__version__ = "0.1.0"

# Folders whose public names are names of the package too, in the order in which they are searched:
# `text` first, which needs no backend.
_FLAT = (
    "text",
    "layers",
    "training",
    "checkpoints",
    "models",
    "decoding",
    "translation",
    "formats",
)
_FOLDERS = (*_FLAT, "data", "serving", "illustrate", "images")


def __getattr__(name):
    if name in _FOLDERS:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__all__":
        return __dir__()
    if not name.startswith("_"):
        for folder in _FLAT:
            module = importlib.import_module(f"{__name__}.{folder}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    names = (importlib.import_module(f"{__name__}.{folder}").__all__ for folder in _FLAT)
    return sorted([*_FOLDERS, *(name for some in names for name in some)])
