"""Programs of a recipe of images that are compiled for TPUs: drawing and training steps."""

from trainers.image_recipe import ImageRecipe

IMAGES = 16  # drawn at the same time


def make_image_programs(recipe: ImageRecipe) -> tuple:
    """Returns the model of a recipe, its batches, their operations, and its searches.

    The images are not read. See `Programs`.

    Raises:
        ValueError: The recipe enlarges images.
    """
    from trainers.image_data import empty_images
    from trainers.images import compile_model, make_generator
    from trainers.tpu_check import image_flops

    if recipe.enlarge:
        raise ValueError(
            "The operations of models that enlarge images cannot be counted by this check. "
            f"Received: enlarge={recipe.enlarge}"
        )
    data = empty_images(recipe)
    model = make_generator(recipe, data).model
    compile_model(recipe, model, jit_compile=True)
    ids, labels = model.embedding.to_ids(*_of_class(data))
    cells = ids.shape[1]
    seen = model.decoder.blocks[0].self_attention.attention.keys_compared(cells)

    def batch(images):
        return {"target": ((images, cells), "int32")}, ((images, *labels.shape[1:]), "int32")

    def flops(images):
        return image_flops(model, images, cells, seen)

    return model, batch, flops, lambda: make_drawing(model)


def _of_class(data):
    return data.train.images, data.train.classes if data.num_classes else None


def make_drawing(model) -> list[tuple]:
    """Lowers the search that draws images; returns name, images, HLO and operations, as a list.

    The operations are those of one step; see `search_flops`.
    """
    from keras_transformer.images import draw_ids
    from trainers.tpu_check import image_flops, lower_by_tensorflow

    def drawn(sources, prefix, seeds):
        return draw_ids(model, sources, prefix, seeds)

    shapes = ((IMAGES, 1), "int32"), ((IMAGES, 0), "int32"), ((IMAGES,), "int32")
    attention = model.decoder.blocks[0].self_attention
    keys, _ = attention.init_cache(1, 1, model.embedding.max_positions)
    flops = image_flops(model, IMAGES, 1, keys.shape[-1])
    return [("drawing", IMAGES, lower_by_tensorflow(drawn, *shapes), flops)]
