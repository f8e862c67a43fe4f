"""Export to a TensorFlow SavedModel: strings in, strings out."""

from keras_transformer.formats.saved_model.export import export_saved_model

__all__ = ["export_saved_model"]
