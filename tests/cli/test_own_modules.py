"""`--import MODULE`: modules of a user, imported before anything is loaded."""

import sys

import pytest

from keras_transformer.__main__ import COMMANDS, parse
from keras_transformer.cli import import_modules
from tests.conftest import ROOT, python_process

FAILING = {
    "undefined_name": ("x = y", r": NameError: name 'y' is not defined \(.*_name.py, line 1\)$"),
    "bad_syntax": ("\nx = (", r": SyntaxError: '\(' was never closed \(bad_syntax.py, line 2\)$"),
    "other_missing": ("import no_such", r"ModuleNotFoundError: No module named 'no_such' \(.*line"),
    "it_exits": ("import sys; sys.exit(3)", r": SystemExit: 3 \(.*it_exits.py, line 1\)$"),
    "fails_deep": ("import keras\n\nkeras.ops.reshape([1, 2], (3,))", r"fails_deep.py, line 3\)$"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, which is not on Python's path, and modules forgotten afterwards."""
    (tmp_path / "here_alone.py").write_text("import sys\nNAMES = ['here']\n")
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "inner.py").write_text("import here_alone\nhere_alone.NAMES += 'x'")
    for name, (text, _) in FAILING.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) is None:
            continue
        if sys.modules[name].__file__.startswith(str(tmp_path)):
            del sys.modules[name]


def test_modules_of_the_current_folder_are_found_in_their_order(folder):
    import_modules(["here_alone", "a_package.inner", "json"])
    assert sys.modules["here_alone"].NAMES == ["here", "x"]


def test_without_modules_nothing_changes(folder):
    before = list(sys.path)
    import_modules([])
    assert sys.path == before


@pytest.mark.parametrize("name", FAILING)
def test_a_module_that_fails_is_named_with_its_line(folder, name):
    with pytest.raises(ValueError, match=f"^The module {name} could not .*{FAILING[name][1]}"):
        import_modules([name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not_there", "^There is no module not_there to --import: .* current folder, /"),
        ("not_there.inner", "^There is no module not_there to --import: "),
        ("a_package.not_there", r"^There is no module a_package\.not_there to --import: "),
        ("here_alone.inner", r"^There is no module here_alone\.inner to --import: "),
        ("here_alone.py", r"such as my_layers for my_layers\.py\. Received: here_alone\.py$"),
        ("./here_alone.py", "takes the name of a Python module"),
        ("a_package/inner", "takes the name of a Python module"),
        (".here_alone", "takes the name of a Python module"),
        ("here-alone", "takes the name of a Python module"),
        ("", "takes the name of a Python module"),
    ],
)
def test_what_is_no_module_is_refused(folder, name, message):
    with pytest.raises(ValueError, match=message):
        import_modules([name])


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"import"}))
def test_every_command_that_loads_a_run_takes_modules(command):
    required = {
        "translate": [], "generate": [], "serve": [], "illustrate": ["--output", "x", "one"],
        "export": ["--output", "x"], "sample-images": ["--output", "x.png"],
        "adapt": ["--adapter", "a", "--output", "x"],
        "score": ["--source", "a", "--target", "b"], "evaluate": ["--source", "a", "--reference",
        "b"], "shortlist": ["--source", "a", "--target", "b"],
    }  # fmt: skip
    more = ["--import", "a.b", "--import=c"]
    function, options, modules = parse([command, "--run", "run", *more, *required[command]])
    assert function is COMMANDS[command]
    assert modules == ["a.b", "c"]
    assert "import" not in options
    assert parse([command, "--run", "run", *required[command]])[2] == []


@pytest.mark.slow
@pytest.mark.parametrize("safe_path", ["", "1"])
def test_a_program_imports_from_the_folder_where_it_is_run(tmp_path, safe_path):
    """Before the run is loaded; with `PYTHONSAFEPATH`, Python itself would not."""
    (tmp_path / "greets.py").write_text("raise ImportError('greetings')")
    program = f"import os; os.chdir({str(tmp_path)!r}); import runpy, sys; "
    program += "sys.argv[1:] = ['translate', '--run', 'missing', '--import', 'greets', 'one']; "
    program += "runpy.run_module('keras_transformer', run_name='__main__')"
    environment = {"PYTHONSAFEPATH": safe_path, "PYTHONPATH": str(ROOT)}
    result = python_process("-c", program, **environment)
    assert result.returncode == 1
    assert result.stderr == (
        "python -m keras_transformer: error: The module greets could not be imported: ImportError: "
        f"greetings ({tmp_path}/greets.py, line 1)\n"
    )
