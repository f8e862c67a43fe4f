"""Descriptions of models as JSON values, from which they can be made again."""

from keras_transformer.layers.parts import deserialize_part, serialize_part

OMITTED = ("name", "trainable")  # of the model's config: they do not change what it computes


def describe_model(model):
    """Returns the class and the config of a model, nested in the form of Keras' own files.

    Args:
        model: A model such as `Transformer`, or of a subclass that is registered with Keras.

    Returns:
        A dict that can be written as JSON. It holds no weights.

    Raises:
        ValueError: The class of the model, or of one of its parts, is not registered with Keras.

    Example:

    >>> from keras_transformer.models import Transformer
    >>> describe_model(Transformer(11, num_layers=1, d_model=8, num_heads=2))["registered_name"]
    'keras_transformer>Transformer'
    """
    description = serialize_part(model)
    config = {key: value for key, value in description["config"].items() if key not in OMITTED}
    return {**description, "config": config}


def model_from_description(description):
    """Returns a new, built model, as `describe_model` described it.

    Args:
        description: Dict from `describe_model`.

    Raises:
        UnregisteredError: A class is not registered with Keras. No module is imported to find it.

    Example:

    >>> from keras_transformer.models import Transformer
    >>> model = Transformer(11, num_layers=1, d_model=8, num_heads=2)
    >>> model_from_description(describe_model(model)).num_heads
    2
    """
    model = deserialize_part(description)
    if not model.built:
        model.build()
    return model
