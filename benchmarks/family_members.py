"""The members of the family that `benchmarks.family` compares, and their sizes.

Every member is an architecture of the catalogue, with as many weights as the paper's Transformer of
the same recipe: one of its sizes is fitted.
"""

import dataclasses
from collections.abc import Callable

TOLERANCE = 0.05  # largest relative difference between the numbers of weights


@dataclasses.dataclass(frozen=True)
class Member:
    """An architecture and its sizes.

    Attributes:
        architecture: Name in the catalogue.
        fitted: The size that is chosen by the number of weights, `d_ff` or `d_model`; `""` for the
            model that the others are compared with.
        multiple: Integer that divides the fitted size.
        layers: Function from the number of layers of the recipe to that of this member.
    """

    architecture: str
    fitted: str = "d_ff"
    multiple: int = 8
    layers: Callable[[int], int] = lambda layers: layers


PLAIN = "transformer"
MEMBERS = {
    one.architecture: one
    for one in (
        Member(PLAIN, fitted=""),
        Member("rotary"),
        Member("relative"),
        Member("multi_query"),
        Member("convolutional"),
        Member("recurrent", "d_model", 4),
        Member("slicenet", "d_model", 6, layers=lambda layers: max(1, layers - 1)),
        Member("decoder_only", layers=lambda layers: 2 * layers - 1),
        Member("memory_compressed", layers=lambda layers: 2 * layers - 1),
    )
}


def fitted_settings(member, settings, count):
    """Returns the settings of a recipe for a member, as large as the plain model.

    Args:
        member: `Member`.
        settings: Dict: the settings of the plain model's recipe, with its sizes.
        count: Function from settings to the number of weights of their model.

    Raises:
        ValueError: No value of the fitted size makes the member as large within `TOLERANCE`.
    """
    if not member.fitted:
        return settings
    layers = member.layers(settings["num_layers"])
    changes = {"architecture": member.architecture, "num_layers": layers}
    wanted = count(settings)

    def of_size(number):
        return {**settings, **changes, member.fitted: number * member.multiple}

    counts = {}

    def is_smaller(number):
        counts[number] = count(of_size(number))
        return counts[number] < wanted

    low, high = 0, max(1, settings[member.fitted] // member.multiple)
    while is_smaller(high):
        low, high = high, 2 * high
    while high - low > 1:  # `low` is smaller, `high` is not
        middle = (low + high) // 2
        low, high = (middle, high) if is_smaller(middle) else (low, middle)
    best = min(counts, key=lambda number: abs(counts[number] - wanted))
    difference = counts[best] / wanted - 1
    if abs(difference) > TOLERANCE:
        raise ValueError(
            f"{member.architecture} cannot be made as large as the {PLAIN} of {wanted:,} weights: "
            f"the nearest, with {member.fitted}={best * member.multiple}, has {counts[best]:,} "
            f"({difference:+.1%}). Choose a recipe with a larger model."
        )
    return of_size(best)


def count_weights(settings):
    """Returns the number of weights of the model of a recipe."""
    import keras

    from trainers.model import make_model
    from trainers.recipe import Recipe

    recipe = Recipe(output=".", **settings)
    model = make_model(recipe, recipe.vocabulary_size, None)
    model.build()
    weights = model.count_params()
    keras.utils.clear_session()
    return weights
