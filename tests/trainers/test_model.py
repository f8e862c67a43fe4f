"""The model that a recipe asks for, and how it is compiled."""

import keras
import pytest

from keras_transformer import Adafactor, Transformer, WarmupSchedule
from trainers.model import compile_model
from trainers.recipe import Recipe


@pytest.mark.parametrize("name", ["adam", "adafactor"])
def test_the_optimizer_is_the_recipes(name):
    recipe = Recipe(output="run", optimizer=name).completed(1009, 17)
    model = Transformer(13, 1, d_model=8, num_heads=2, d_ff=11)
    model.build()
    compile_model(recipe, model, jit_compile=False)
    schedule = WarmupSchedule(8, recipe.warmup_steps or 1, recipe.learning_rate_scale)
    wanted = {"adam": keras.optimizers.Adam(schedule, 0.9, 0.98, 1e-9), "adafactor": Adafactor()}
    assert type(model.optimizer) is type(wanted[name])
    assert model.optimizer.get_config() | {"name": ""} == wanted[name].get_config() | {"name": ""}
    assert model.optimizer.built
