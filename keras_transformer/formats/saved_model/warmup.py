"""Requests that TensorFlow Serving warms up with, in its own format.

A TFRecord file of `PredictionLog` messages (`tensorflow_serving/apis/prediction_log.proto`). Their
package is no dependency: the few fields that are needed are written here, byte by byte.
"""

from pathlib import Path

PREDICT_LOG, REQUEST, MODEL_SPEC, SIGNATURE_NAME, INPUTS, KEY, VALUE = 6, 1, 1, 3, 2, 1, 2


def write_warmup(path: Path, tokenizer, shapes: list[tuple[int, int]]) -> None:
    """Writes a request for each shape.

    Args:
        path: The file to write.
        tokenizer: `Tokenizer` of the source.
        shapes: How many texts a request shall have, and how many tokens they shall have, EOS
            included.
    """
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as file:
        for size, length in shapes:
            file.write(prediction_log([text_of(tokenizer, length)] * size))


def text_of(tokenizer, length: int) -> str:
    """A text of `length` tokens with EOS, or a few less: one word, again and again."""
    ids = range(tokenizer.vocabulary_size())
    word = next((word for id in ids if (word := _word(tokenizer, id))), "a")
    count = (length - 1) // max(1, len(tokenizer.tokenize(word)))
    return " ".join([word] * count)


def _word(tokenizer, id: int) -> str | None:
    """The word that is a token, if it is one."""
    token = tokenizer.id_to_token(id)
    return token[1:] if token[:1] == "▁" and token[1:].isalpha() else None


def prediction_log(texts: list[str]) -> bytes:
    """A `PredictionLog` of one request for the default signature."""
    import tensorflow as tf

    tensor = tf.make_tensor_proto(texts, tf.string).SerializeToString()
    entry = _field(KEY, b"text") + _field(VALUE, tensor)
    model = _field(SIGNATURE_NAME, b"serving_default")
    request = _field(MODEL_SPEC, model) + _field(INPUTS, entry)
    return _field(PREDICT_LOG, _field(REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer whose content has a length of its own."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + _varint(high) if high else bytes([low])
