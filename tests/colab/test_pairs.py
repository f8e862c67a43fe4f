"""Each notebook is what its text makes, uses public names, and can be set in one cell."""

import ast
import re

import nbformat
import pytest

import keras_transformer as kt
from colab.pairs import FOLDER, NAMES, make_notebook, serialize, with_settings

every_notebook = pytest.mark.parametrize("name", NAMES)
LESSONS = {"BiasByDistance"}  # the layers that notebooks may define
MACHINE_PATH = re.compile(r"(?<![\w.:}/)])/[a-z]\w*/\w")  # absolute: of somebody's machine


def text_of(name):
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def tree_of(name):
    return ast.parse(text_of(name))


def settings_of(name):
    """The names that the first cell of code sets, with the source of their values."""
    cell = next(cell for cell in make_notebook(name).cells if cell.cell_type == "code")
    found = {}
    for node in ast.parse(cell.source).body:
        assert isinstance(node, ast.Assign), "the settings cell holds settings alone"
        found[ast.unparse(node.targets[0])] = ast.unparse(node.value)
    return found


def test_there_are_five():
    assert NAMES == [
        "draw_images", "export_and_serve", "illustrated_transformer", "train_on_gpus",
        "train_on_tpu",
    ]  # fmt: skip
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)


@every_notebook
def test_a_notebook_is_what_its_text_makes(name):
    found = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert found == serialize(make_notebook(name)), "write it anew: python -m colab.pairs"


@every_notebook
def test_a_notebook_is_valid_and_was_not_run(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in notebook.cells] == [
        f"cell-{number:02}" for number in range(len(notebook.cells))
    ]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@every_notebook
def test_a_notebook_starts_with_words_and_every_cell_of_code_parses(name):
    cells = make_notebook(name).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    for cell in cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)


@every_notebook
def test_settings_are_in_one_cell_and_install_nothing_by_themselves(name):
    settings = settings_of(name)
    assert (settings["PACKAGE"], settings["SMALL"]) == ("''", "False")
    if name == "train_on_tpu":
        assert (settings["REQUIRE_TPU"], settings["BACKEND"]) == ("True", "'jax'")
    elsewhere = [
        node.id
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    assert all(elsewhere.count(setting) == 1 for setting in set(settings) - {"(SOURCE, TARGET)"})


@every_notebook
def test_settings_change_their_cell_alone(name):
    before = make_notebook(name).cells
    after = with_settings(make_notebook(name), SMALL=True, PACKAGE=".").cells
    changed = [
        (one.source, other.source)
        for one, other in zip(before, after, strict=True)
        if one.source != other.source
    ]
    (only,) = changed
    assert only[1] != only[0]
    assert "\nPACKAGE = '.'\n" in only[1]
    assert "\nSMALL = True\n" in only[1]


@every_notebook
def test_names_of_the_package_are_public(name):
    used = {
        node.attr
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "kt"
    }
    assert used
    assert used <= set(kt.__all__)


@every_notebook
def test_no_layer_is_defined_but_those_of_a_lesson(name):
    classes = [node for node in ast.walk(tree_of(name)) if isinstance(node, ast.ClassDef)]
    bases = {one.name: [ast.unparse(base) for base in one.bases] for one in classes}
    layers = {name for name, of in bases.items() if of != ["RuntimeError"]}
    assert layers <= LESSONS


@every_notebook
def test_no_path_is_that_of_a_machine(name):
    assert MACHINE_PATH.search('open("/home/me/x")')
    assert not MACHINE_PATH.findall(text_of(name))


def test_a_notebook_and_the_results_tell_the_same_of_where_heads_look():
    results = (FOLDER.parent / "docs" / "results.md").read_text(encoding="utf-8")
    figures = re.findall(r"[\d.]+ %", text_of("illustrated_transformer"))
    assert figures
    assert set(figures) <= set(re.findall(r"[\d.]+ %", results))


def test_the_packages_for_a_tpu_are_those_of_the_requirements():
    lines = (FOLDER / "requirements-tpu.txt").read_text(encoding="utf-8").splitlines()
    (listed,) = [
        node.value
        for node in tree_of("train_on_tpu").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TENSORFLOW_ON_TPU"
    ]
    found = [node.value for node in ast.walk(listed) if isinstance(node, ast.Constant)]
    assert sorted(found) == sorted(line for line in lines if line and line[0] != "#")
