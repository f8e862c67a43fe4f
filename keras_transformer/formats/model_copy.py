"""A model of its own with the same weights."""


def copy_of(model):
    """A copy that was never compiled: what is done to it leaves the original as it is.

    Args:
        model: A built `Transformer`.
    """
    copy = type(model).from_config(model.get_config())
    copy.build()
    copy.set_weights(model.get_weights())
    return copy
