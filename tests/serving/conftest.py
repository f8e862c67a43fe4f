"""The tokenizer that the tests of `translation` have."""

from tests.translation.conftest import tokenizer

__all__ = ["tokenizer"]
