"""The very small model and the batches of the tests of training."""

from tests.training.conftest import make_model, pairs  # noqa: F401
