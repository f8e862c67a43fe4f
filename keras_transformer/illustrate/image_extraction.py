"""Extraction of what an image model sees, and how sure it is, as it draws an image."""

import numpy as np
from keras import ops

from keras_transformer.illustrate.image_steps import DrawingStep
from keras_transformer.layers import AttentionMask


def drawing_of(generator, image, image_class, small, places, layer) -> dict:
    """Returns the steps of drawing an image at some of its places.

    Args:
        generator: `ImageGenerator`.
        image: Integer array of shape `(h, w, channels)`.
        image_class: Its class, or `None`.
        small: The small image that is enlarged, `(h', w', channels)`, or `None`.
        places: Places in the order of generation.
        layer: Index of the layer whose attention is shown.

    Returns:
        A dict of the arguments of `image_steps_figure`.
    """
    model, embedding = generator.model, generator.model.target_embedding
    classes = None if image_class is None else [image_class]
    ids, _ = embedding.to_ids(image[None], classes)
    inputs = {"target": ids}
    if small is not None:
        inputs["source"] = model.source_embedding.read(small[None])
    outputs, scores = model(inputs, training=False, return_attention_scores=True)
    attended = ops.convert_to_numpy(scores["decoder"][layer])[0].mean(axis=0)
    seen = visible(model.decoder.blocks[layer].self_attention.attention, len(ids[0]))
    channels = embedding.grid[1] // image.shape[1]
    pixels = embedding.order // [1, channels]  # row and column of each cell, as it is drawn
    bits = generator.bit_maps(image[None], classes, None if small is None else small[None])[0]
    is_categorical = outputs.shape[-1] == embedding.first_cell + embedding.num_levels
    steps = []
    for place in places:
        share = np.zeros(image.shape[:2])
        lit = np.zeros(image.shape[:2], bool)
        # A position reads the cell before it, and the first one the start of the image.
        before = pixels[:place]
        np.add.at(share, tuple(before.T), attended[place, 1 : place + 1])
        lit[tuple(before[seen[place, 1 : place + 1]].T)] = True
        probabilities = None
        if is_categorical:
            logits = ops.cast(outputs[0, place, embedding.first_cell :], "float32")
            probabilities = ops.convert_to_numpy(ops.softmax(logits))
        row, column = (int(n) for n in pixels[place])
        channel = int(embedding.order[place, 1] % channels) if is_categorical else None
        steps.append(DrawingStep(place, row, column, channel, lit, share, probabilities))
    number = np.zeros(embedding.grid)
    number[tuple(embedding.order.T)] = np.arange(len(pixels))
    number = number.reshape(*image.shape[:2], -1)[..., 0]
    return {"image": image, "pixels": pixels, "order": number, "bits": bits, "steps": steps}


def visible(attention, length: int) -> np.ndarray:
    """Returns which positions each position of a causal attention may see, `(T, T)`."""
    positions = ops.arange(length, dtype="int32")
    seen = AttentionMask(causal=True).expand(length)
    near = attention.sees(positions[None, :, None], positions[None, None])
    seen = seen if near is None else ops.logical_and(seen, near)
    return ops.convert_to_numpy(seen)[0]
