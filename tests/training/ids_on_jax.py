"""Runs with `KERAS_BACKEND=jax`: counts the ways in which an id out of range is found."""

from tests.training.conftest import small_model
from tests.training.test_id_checks import WAYS, spoilt


def is_found(way):
    model = small_model(jit_compile=True)
    try:
        model.fit(**WAYS[way](*spoilt("labels", -100)), verbose=0)
    except ValueError as error:
        return "`labels` holds the id -100 at (3, 4)." in str(error)
    return False


ways = ["arrays", "tf.data", "a generator", "a PyDataset", "validation tf.data"]
print(f"{sum(map(is_found, ways))} of {len(ways)} found")
