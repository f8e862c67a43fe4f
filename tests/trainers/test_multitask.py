"""Runs of several tasks in one model: texts with commands, and images with classes."""

import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf
import yaml

from keras_transformer import MultiModel, Tokenizer, Translator, export
from keras_transformer.data import ImageBatches
from tests.checkpoints.interrupted import InterruptAt, Interrupted
from tests.trainers.conftest import TINY, once, toy_pairs
from tests.trainers.test_resume import more_callbacks
from trainers.multitask import PROGRAM, main
from trainers.multitask_recipe import MultitaskRecipe
from trainers.recipe_file import plain_values, read_recipe, recipe_from_values, write_recipe
from trainers.task_images import open_images, read_digits
from trainers.tasks import parse_tasks

QUICK = once(
    *TINY, "--epochs", "2", "--steps-per-epoch", "7", "--checkpoint-steps", "2",
    "--tensorboard", "false", "--compile-with-xla", "false", "--max-shapes", "1",
    "--tokens-per-batch", "512", "--dropout-rate", "0.3",
)  # fmt: skip
STRIPES = {"name": "stripes", "corpus": "images", "file": "stripes.npz", "num_classes": 2}
STRIPES |= {"image_size": 6, "weight": 4}


def text_task(name, command, **options):
    files = {f"{part}_{side}": f"{part}.{code}" for part in ("train", "validation")
             for side, code in (("source", "en"), ("target", name))}  # fmt: skip
    return {"name": name, "corpus": "files", "command": command, **files, **options}


TEXTS = [text_task("fr", "fr", weight=3), text_task("back", "copy")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Texts to translate and to copy, and images with stripes along or across."""
    folder, pairs = tmp_path_factory.mktemp("tasks"), toy_pairs(140)
    for part, some in (("train", pairs[:127]), ("validation", pairs[127:])):
        for name, side in (("en", 0), ("fr", 1), ("back", 0)):
            (folder / f"{part}.{name}").write_text("".join(f"{pair[side]}\n" for pair in some))
    write_stripes(folder)
    return folder


def write_stripes(folder, seed=5):
    generator = np.random.default_rng(seed)
    classes = generator.integers(0, 2, 211)
    along = np.arange(6) % 2 * np.ones((6, 1))
    images = np.where(classes[:, None, None], along, along.T)
    images = 0.5 * images + 0.5 * generator.random((211, 6, 6))
    np.savez(folder / "stripes.npz", images=images[..., None], classes=classes)


def recipe_of(folder, tasks, name="recipe.yaml", **options):
    """Writes a recipe, whose files are those of the folder."""
    path = folder / name
    path.write_text(yaml.safe_dump({"tasks": tasks, "data_folder": str(folder), **options}))
    return ["--config", str(path)]


OPTIONS = {"architecture_options": {"body": "attention", "num_experts": 3}, "images_per_batch": 16}


@pytest.mark.slow
def test_a_run_of_three_tasks(folder, tmp_path, capsys):
    """It logs a score of each, translates what has a command, and goes on after an interruption."""
    command = [*recipe_of(folder, [*TEXTS, STRIPES], **OPTIONS), *QUICK, "--output"]
    assert main([*command, str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "Images of the task stripes: 169 to train on, 16 beside each batch of texts; 42 " in out
    assert re.search(r"Training text, 75.0% of each epoch, \S+ and \S+/train.fr >>fr<<:", out)
    scores = re.findall(r"val_image_accuracy: (\S+) .*val_bleu_fr: \S+ - val_bleu_copy: \S+", out)
    assert len(scores) == 2
    translator = Translator.load(tmp_path / "run")
    assert isinstance(translator.model, MultiModel)
    ids = [translator.tokenizer.token_to_id(tag) for tag in (">>copy<<", ">>fr<<")]
    assert translator.model.source_embedding.commands == ids
    texts = [">>fr<< one two", ">>copy<< one two", "one two"]
    wanted = [one.text for one in translator.translate(texts, beam_size=4)]
    export(translator, tmp_path / "exported", beam_size=4)
    program = tf.saved_model.load(tmp_path / "exported")
    found = program.signatures["serving_default"](tf.constant(texts))
    assert [text.decode() for text in found["translation"].numpy().ravel()] == wanted
    with more_callbacks(InterruptAt(12)), pytest.raises(Interrupted):
        main([*command, str(tmp_path / "again")])
    images = (folder / "stripes.npz").read_bytes()
    write_stripes(folder, seed=6)
    assert main([*command, str(tmp_path / "again")]) == 1
    assert "holds an interrupted run whose images have changed" in capsys.readouterr().err
    (folder / "stripes.npz").write_bytes(images)
    assert main([*command, str(tmp_path / "again")]) == 0
    assert "Resuming from step 11, epoch 2.\n" in capsys.readouterr().out
    weights = Translator.load(tmp_path / "again").model.get_weights()
    for one, other in zip(weights, translator.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_the_tasks_say_of_the_recipe(folder):
    tasks = [*TEXTS, STRIPES]
    recipe = read_recipe(PROGRAM, [*recipe_of(folder, tasks), "--output", "run"], MultitaskRecipe)
    assert recipe.corpus == "files"
    assert recipe.train_tag == recipe.validation_tag == (">>fr<<", ">>copy<<")
    assert recipe.train_target == ("train.fr", "train.back")
    assert recipe.train_weight == (3.0, 1.0)
    options = recipe.architecture_options
    assert (options["num_commands"], options["num_classes"], options["image_size"]) == (2, 2, 6)
    assert options["image_weight"] == 4
    assert recipe_from_values(plain_values(recipe), MultitaskRecipe) == recipe
    alone = MultitaskRecipe("run", tasks=[{"name": "all", "corpus": "phrasebook"}])
    assert (alone.train_tag, alone.image_task) == ((), None)
    assert recipe_from_values(plain_values(alone), MultitaskRecipe) == alone
    json.dumps(plain_values(recipe))
    write_recipe(alone, folder)
    assert read_recipe(PROGRAM, ["--config", str(folder / "recipe.yaml"), "--output", "run"],
                       MultitaskRecipe) == alone  # fmt: skip


def test_a_temperature_takes_the_place_of_weights(folder):
    tasks = [{**task, "weight": 1} for task in TEXTS]
    options = {"sampling_temperature": 2.0, "data_folder": str(folder)}
    assert MultitaskRecipe("run", tasks=tasks, **options).train_weight == ()
    with pytest.raises(ValueError, match="chooses the weights of texts: leave out the weight of"):
        MultitaskRecipe("run", tasks=TEXTS, **options)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([">>de<<", ">>fr<<"], "A training text starts with >>copy<<, a tag that the model does n"),
        ([">>copy<<", ">>de<<", ">>fr<<"], "Received: >>copy<<, >>fr<<, which are tokens 4, 6. L"),
        ([], "The commands of a multimodel are the first tokens of a vocabulary that was made for"),
    ],
)
def test_commands_are_tokens_of_the_vocabulary(tags, message, folder, tmp_path, capsys):
    texts = [source for source, _ in toy_pairs(140)]
    Tokenizer.train(texts, 285, tags=tags).save(tmp_path / "other.model")
    recipe = recipe_of(folder, TEXTS, architecture_options={"body": "attention", "num_experts": 0})
    other = ["--tokenizer", str(tmp_path / "other.model")]
    assert main([*recipe, *QUICK, *other, "--output", str(tmp_path / "run")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_digits_are_read_and_split():
    pytest.importorskip("sklearn", reason="the digits are those of scikit-learn")
    images, classes = read_digits()
    assert images.shape == (1797, 8, 8, 1)
    assert (images.min(), images.max()) == (0, 1)
    digits = {"name": "digits", "corpus": "digits"}
    text = {"name": "text", "corpus": "phrasebook"}
    recipe = MultitaskRecipe("run", tasks=[text, digits], images_per_batch=31)
    split = open_images(recipe, parts=2)
    assert (len(split.held_out), len(split.train.images)) == (359, 1438)
    assert split.train.batch_size == 32
    rows = {image.tobytes() for image in split.train.images}
    shared = sum(image.tobytes() in rows for image in split.held_out)
    assert shared == 0  # no image is there twice
    assert set(classes) == set(range(10))


def test_batches_of_images_are_permutations_one_after_the_other():
    images = np.arange(7.0).reshape(7, 1, 1, 1)
    batches = ImageBatches(images, np.arange(7), batch_size=3, seed=2)
    seen = np.concatenate([batches.batch(step)["image_class"] for step in range(7)])
    for epoch in range(3):
        assert sorted(seen[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert list(seen[:7]) != list(seen[7:14])
    one = batches.batch(5)
    np.testing.assert_array_equal(one["image"].ravel(), one["image_class"])
    other = ImageBatches(images, np.arange(7), batch_size=3, seed=2).batch(5)
    np.testing.assert_array_equal(other["image_class"], one["image_class"])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "There is nothing to train on: give a --config with tasks"),
        ([STRIPES], "tasks must have a text among them, such as corpus: phrasebook."),
        ([{"name": "fr", "wight": 2}], "A task is a mapping with the options"),
        ([{"name": "fr"}], "A task needs a corpus. Received: {'name': 'fr'}"),
        ([{"name": "fr", "corpus": "files"}], "The task fr has no data: give it train_source."),
        ([text_task("fr", "fr", weight=0)], "weight of the task fr must be greater than 0."),
        ([text_task("fr", "fr", weight="much")], "weight of the task fr must be a number."),
        ([text_task("fr", "f r")], "A tag is a language code of letters"),
        ([TEXTS[0], text_task("back", "")], "Each task of texts needs a command"),
        ([{**STRIPES, "command": "see"}], "A command stands at the start of a text, and the task"),
        ([*TEXTS, STRIPES, STRIPES], "give one task of images at most. Received: stripes and"),
        ([*TEXTS, {**STRIPES, "num_classes": 0}], "stripes has no data: give it num_classes."),
        ([*TEXTS, {"name": "more", "corpus": "phrasebook", "command": "en"}], "same corpus"),
        ([{"name": "a", "corpus": "phrasebook", "file": "x"}], "of the corpus phrasebook, has no"),
        ([text_task("fr", "fr", validation_target="")], "has one side of a validation text alone"),
        ([{"name": "a", "corpus": "speech"}], "corpus of the task a must be one of phrasebook"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(tasks, message, folder, tmp_path, capsys):
    recipe = recipe_of(tmp_path, tasks)
    assert main([*recipe, "--output", str(tmp_path / "run")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_source": "x.en"}, "The tasks say train_source: leave it out. Received: train_so"),
        ({"corpus": "phrasebook"}, "The tasks say corpus: leave it out. Received: corpus=phraseb"),
        ({"architecture_options": {"num_commands": 7}}, "The tasks say num_commands=2: leave it"),
        ({"architecture": "transformer"}, "The task stripes has images, which the architecture m"),
        ({"images_per_batch": 0}, "images_per_batch must be at least 1. Received: 0"),
    ],
)
def test_options_that_the_tasks_contradict_are_refused(options, message, tmp_path, capsys):
    recipe = recipe_of(tmp_path, [*TEXTS, STRIPES], **options)
    assert main([*recipe, "--output", str(tmp_path / "run")]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 7}, "must have images of shape (N, 7, 7, 1), 5 at least, and classes of"),
        ({"num_classes": 1}, "must have classes from 0 to 0, as num_classes says. Received: 0 to"),
        ({"file": "missing.npz"}, "must be a file of NumPy, .npz, with the arrays images and cla"),
        ({"file": "train.en"}, "must be a file of NumPy, .npz, with the arrays images and classes"),
    ],
)
def test_files_that_have_other_images_are_refused(change, message, folder):
    tasks = [*TEXTS, {**STRIPES, **change}]
    recipe = MultitaskRecipe("run", tasks=tasks, data_folder=str(folder))
    with pytest.raises(ValueError, match=re.escape(message)):
        open_images(recipe, 1)


def test_a_file_of_pickles_is_not_read(tmp_path):
    np.savez(tmp_path / "stripes.npz", images=np.array([{}], object), classes=np.zeros(1, int))
    recipe = MultitaskRecipe("run", tasks=[*TEXTS, STRIPES], data_folder=str(tmp_path))
    with pytest.raises(ValueError, match="must be a file of NumPy"):
        open_images(recipe, 1)


def test_a_task_is_a_mapping():
    with pytest.raises(ValueError, match="A task is a mapping with the options name, corpus, comm"):
        parse_tasks(["fr"])


def test_a_plain_recipe_has_no_images():
    names = {field.name for field in dataclasses.fields(MultitaskRecipe)}
    assert "image_task" not in names
    assert MultitaskRecipe("run").image_task is None
