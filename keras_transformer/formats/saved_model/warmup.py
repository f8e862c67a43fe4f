"""Warm-up requests for TensorFlow Serving.

They are a TFRecord file of `PredictionLog` messages
(`tensorflow_serving/apis/prediction_log.proto`). To avoid a dependency on the package
`tensorflow-serving-api`, the few fields that are needed are encoded here.
"""

from pathlib import Path

# Field numbers of the messages.
PREDICT_LOG, REQUEST, MODEL_SPEC, SIGNATURE_NAME, INPUTS, KEY, VALUE = 6, 1, 1, 3, 2, 1, 2


def write_warmup(path: Path, tokenizer, shapes: list[tuple[int, int]], name: str = "text") -> None:
    """Writes one request for each shape.

    Args:
        path: The file to write.
        tokenizer: `Tokenizer` of the source language.
        shapes: Pairs of the number of texts in a request and the number of tokens in each text,
            EOS, or BOS, included.
        name: The input of the default signature.
    """
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as file:
        for size, length in shapes:
            file.write(prediction_log([text_of(tokenizer, length)] * size, name))


def text_of(tokenizer, length: int) -> str:
    """Returns a repeated word that has `length` tokens with EOS, or a few less."""
    ids = range(tokenizer.vocabulary_size())
    word = next((word for id in ids if (word := _whole_word(tokenizer, id))), "a")
    count = (length - 1) // max(1, len(tokenizer.tokenize(word)))
    return " ".join([word] * count)


def _whole_word(tokenizer, id: int) -> str | None:
    """Returns the word that a token stands for, or `None` if it is not a whole word."""
    token = tokenizer.id_to_token(id)
    return token[1:] if token[:1] == "▁" and token[1:].isalpha() else None


def prediction_log(texts: list[str], name: str) -> bytes:
    """Encodes a `PredictionLog` of one request to the default signature."""
    import tensorflow as tf

    tensor = tf.make_tensor_proto(texts, tf.string).SerializeToString()
    entry = _field(KEY, name.encode()) + _field(VALUE, tensor)
    model = _field(SIGNATURE_NAME, b"serving_default")
    request = _field(MODEL_SPEC, model) + _field(INPUTS, entry)
    return _field(PREDICT_LOG, _field(REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """Encodes a length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encodes an integer in base 128, as protocol buffers do."""
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + _varint(high) if high else bytes([low])
