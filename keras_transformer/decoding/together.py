"""Which models and tokenizers go together."""

from keras_transformer.decoding.shapes import EXTRA_LENGTH, padded_length


def check_vocabularies(model, tokenizer, target_tokenizer) -> None:
    """Raises ValueError if the model lacks ids of a tokenizer, or another id pads."""
    target_size = model.target_vocabulary_size or model.vocabulary_size
    for side, size, known in (
        ("source", model.vocabulary_size, tokenizer.vocabulary_size()),
        ("target", target_size, target_tokenizer.vocabulary_size()),
    ):
        if size < known:
            raise ValueError(
                f"The {side} tokenizer has {known} ids, but the model's {side} vocabulary has "
                f"{size}: use the tokenizer that the model was trained with."
            )

    pads = {model.pad_id, tokenizer.pad_id, target_tokenizer.pad_id}
    if len(pads) > 1:
        raise ValueError(
            "Model and tokenizers must pad with the same id, or padding would be read. Received: "
            f"model {model.pad_id}, source {tokenizer.pad_id}, target {target_tokenizer.pad_id}"
        )


def check_lengths(model, max_source_length: int) -> None:
    """Raises ValueError if no token fits, or the model has learnt too few positions."""
    if max_source_length < 2:
        raise ValueError(
            "`max_source_length` must be at least 2, a token and the end. "
            f"Received: {max_source_length}"
        )
    longest = padded_length(max_source_length) + EXTRA_LENGTH
    if model.positions == "learned" and longest > model.max_length:
        raise ValueError(
            f"The model has learnt {model.max_length} positions, but sources of up to "
            f"{max_source_length} tokens need {longest}. Lower `max_source_length` (--max-length), "
            "or use sinusoids."
        )
