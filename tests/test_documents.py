"""Documents: examples in docstrings and pages run, commands parse, links and names exist."""

import doctest
import importlib
import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import keras
import pytest
import yaml

import keras_transformer as kt
from tests.conftest import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "keras_transformer").rglob("*.py")
)
PAGES = [ROOT / "README.md", ROOT / "colab/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
MAX_README_LINES = 170
FENCE = re.compile(r"^```(\w*) ?([\w-]*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
NOT_PARSED = {"curl", "docker", "grep", "source"}  # programs whose options are not known here
# Pages without options of other programs.
OWN_OPTIONS = ("training", "language_model", "distributed", "tpu", "formats", "serving")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def text_of(path):
    return path.read_text(encoding="utf-8")


def blocks(text, language):
    """The fenced blocks of a language in a Markdown text, with the word after the language."""
    return [(block, word) for kind, word, block in FENCE.findall(text) if kind == language]


def prose(text):
    """A Markdown text without its fenced blocks."""
    return FENCE.sub("", text)


def code_spans(text):
    """The inline code of a Markdown text, each in one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


every_page = pytest.mark.parametrize("path", PAGES, ids=name_of)
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)


# Docstrings


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_do_what_they_say(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs={"keras": keras}).failed == 0


@pytest.mark.parametrize("place", ["layers", "models"])
def test_every_public_class_and_function_shows_an_example(place):
    home = getattr(kt, place)
    for name in home.__all__:
        if inspect.isclass(getattr(home, name)) or inspect.isfunction(getattr(home, name)):
            assert ">>>" in inspect.getdoc(getattr(home, name)), name


def test_a_wrong_example_would_be_noticed():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 1


# Python blocks


def run_blocks(path):
    """Runs a page's Python blocks in one namespace, which is returned; some are only compiled."""
    run = os.environ.get("KERAS_TRANSFORMER_PHRASEBOOK_RUN", "")
    names = {"__name__": path.stem}
    for block, word in blocks(text_of(path), "python"):
        assert word in ("", "no-run"), word
        if '"runs/phrasebook"' in block and (Path(run) / "run.json").is_file() and run:
            block = block.replace("runs/phrasebook", run)
        code = compile(block, name_of(path), "exec")
        if not word and '"runs/phrasebook"' not in block:  # `make demo` makes that run
            exec(code, names)
    return names


@pytest.mark.slow
@every_page
def test_python_blocks_run(path, capsys):
    names = run_blocks(path)
    printed = capsys.readouterr().out
    if path == ROOT / "README.md":
        assert names["language_model"].output_shape == (None, None, 1000)
        if os.environ.get("KERAS_TRANSFORMER_PHRASEBOOK_RUN"):
            assert "Je suis étudiant." in printed
    if path.name == "extending.md":
        for shape in ("(3, 2, 5, 5)", "(1, 2, 2, 3)", "(1, 1, 2, 2, 3)"):
            assert f"{shape}\n" in printed
        assert names["classifier"].output_shape == (None, 2)
        tokenizer = names["CharacterTokenizer"]("abc ")
        assert tokenizer.detokenize(tokenizer.tokenize(["a cab"])) == ["a cab"]
        assert tokenizer.tokenize("a?") == [4, tokenizer.unk_id]


# Commands


def simple_commands(script):
    """The commands of a shell script as lists of words, without redirections and variables."""
    found = []
    for line in script.replace("\\\n", " ").split("\n"):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words, redirected = [], False
        for word in [*lexer, ";"]:
            if word in ("<", ">"):
                redirected = True
            elif word in ("|", "&&", ";"):
                found, words = [*found, words], []
            elif redirected:
                redirected = False
            elif words or not re.match(r"[A-Z_]+=", word):
                words.append(word)
    return [words for words in found if words]


def commands_of(path):
    """The commands of a page: its `bash` blocks, and inline code that starts like one."""
    text = text_of(path)
    scripts = [block for block, _ in blocks(text, "bash")]
    scripts += [span for span in code_spans(text) if re.match(r"python -m|make [a-z]|pytest", span)]
    return [words for script in scripts for words in simple_commands(script)]


def check_command(words):
    """Raises unless a command could be given: its program, options and files exist."""
    match words:
        case ["python", "-m", module]:
            assert importlib.util.find_spec(module), module
        case ["python", "-m", "trainers.translation" | "trainers.language_model", "--help"]:
            pass
        case ["python", "-m", module, *options]:
            check_options(module, options)
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", text_of(ROOT / "Makefile"), flags=re.MULTILINE), target
        case ["pip", "install", *options]:
            check_extras(options)
        case ["pytest", *options]:
            for option in options:
                assert "/" not in option or (ROOT / option).exists(), option
        case _:
            assert words[0] in NOT_PARSED, words


def check_options(module, options):
    if module == "keras_transformer":
        from keras_transformer.__main__ import COMMANDS, parse

        assert options[0] in COMMANDS
        if len(options) > 1:
            parse(options)
    elif module == "trainers.translation":
        from trainers.recipe_file import read_recipe

        read_recipe(module, options)
    elif module == "trainers.language_model":
        from trainers.language_recipe import LanguageRecipe
        from trainers.recipe_file import read_recipe

        read_recipe(module, options, LanguageRecipe)
    elif module == "trainers.multitask":
        from trainers.multitask_recipe import MultitaskRecipe
        from trainers.recipe_file import read_recipe

        read_recipe(module, options, MultitaskRecipe)
    elif module == "trainers.images":
        from trainers.image_recipe import ImageRecipe
        from trainers.recipe_file import read_recipe

        read_recipe(module, options, ImageRecipe)
    elif module == "trainers.tpu_check":
        from trainers.tpu_check.__main__ import read_check

        read_check(options)
    else:
        assert module.startswith("benchmarks."), module
        benchmark = importlib.import_module(module)
        parse = getattr(benchmark, "parse", None)
        if parse and list(inspect.signature(parse).parameters) == ["arguments"]:
            parse(options)
            return
        for option in options:
            assert not option.startswith("--") or f'"{option}"' in inspect.getsource(benchmark)


def check_extras(options):
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    for option in options:
        extras = re.fullmatch(r"\.\[(.*)\]", option)
        for extra in extras[1].split(",") if extras else []:
            assert extra in project["optional-dependencies"], extra
        assert not option.endswith(".txt") or (ROOT / option).is_file(), option


@every_document
def test_commands_are_ones_that_can_be_given(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(shutil, "which", lambda program: program)  # another environment's Python
    for words in commands_of(path):
        try:
            check_command(words)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{shlex.join(words)}: {error!r}")


def test_the_container_file_starts_what_there_is():
    """It cannot be built here."""
    from keras_transformer.__main__ import parse
    from keras_transformer.cli.serving import serve

    text = text_of(ROOT / "docs" / "serve.Containerfile").replace("\\\n", " ")
    lines = dict(line.split(maxsplit=1) for line in text.splitlines() if line[:1].isupper())
    command = json.loads(lines["ENTRYPOINT"]) + json.loads(lines["CMD"])
    assert command[:3] == ["python", "-m", "keras_transformer"]
    assert parse(command[3:])[0] is serve
    compile(json.loads(lines["HEALTHCHECK"].split("CMD ")[1])[2], "HEALTHCHECK", "exec")
    [package] = re.findall(r'"/package(\[.*?\])"', text)
    check_extras([f".{package}"])
    for source in re.findall(r"^COPY (.*) \S+$", text, flags=re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split()), source
    assert f"EXPOSE {inspect.signature(serve).parameters['port'].default}" in text


def test_shell_scripts_are_read_as_a_shell_does():
    script = "A=1 python -m a \\\n  --b 'c d' < e > f  # comment\nmake g | sort; h && i"
    assert simple_commands(script) == [
        ["python", "-m", "a", "--b", "c d"],
        ["make", "g"],
        ["sort"],
        ["h"],
        ["i"],
    ]


@pytest.mark.parametrize(
    "script",
    [
        "make nothing",
        "python -m trainers.translation --output runs/x --no-such-option 1",
        "python -m keras_transformer translate --runs x",
        "python -m benchmarks.training --no-such-option",
        "python -m trainers.nothing",
        'pip install ".[nothing]"',
        "pytest tests/nothing.py",
        "perl x",
    ],
)
def test_a_wrong_command_would_be_noticed(script):
    with pytest.raises((Exception, SystemExit)):
        check_command(*simple_commands(script))


def known_options():
    """All options of the command line and of the trainers."""
    from keras_transformer.__main__ import COMMANDS
    from trainers.language_recipe import LanguageRecipe
    from trainers.recipe import Recipe
    from trainers.tpu_check.__main__ import Check

    parts = [*COMMANDS.values(), Recipe, LanguageRecipe, Check]
    names = {name for part in parts for name in inspect.signature(part).parameters}
    return {f"--{name.replace('_', '-')}" for name in names} | {
        "--from",
        "--help",
        "--import",
        "--xla",
    }


@pytest.mark.parametrize("page", OWN_OPTIONS)
def test_options_exist(page):
    for span in code_spans(text_of(ROOT / f"docs/{page}.md")):
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", span if span.startswith("--") else ""):
            assert option in known_options() | {"--no-deps", "--preload"}, option


# Names, files and links


@every_document
def test_names_of_the_package_exist(path):
    text = text_of(path)
    for name in set(re.findall(r"\bkt\.([A-Za-z_]\w*)", text)):
        assert name in kt.__all__, name
    for dotted in set(re.findall(r"\bkeras_transformer((?:\.[A-Za-z_]\w*)+)", prose(text))):
        value, parts = kt, dotted[1:].split(".")
        for place, part in enumerate(parts, start=1):
            try:
                value = importlib.import_module(".".join(["keras_transformer", *parts[:place]]))
            except ModuleNotFoundError:
                value = getattr(value, part)


@every_document
def test_files_that_are_named_exist(path):
    homes = (ROOT, ROOT / "keras_transformer", ROOT / "trainers/recipes")
    for span in code_spans(text_of(path)):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.(py|yaml|txt|png|ipynb|md)", span):
            assert any((home / span).exists() for home in homes), span


def anchors_of(path):
    """The anchors of a page's headings that a code host and mkdocs both give them."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", prose(text_of(path)), flags=re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", title.lower())
        host, mkdocs = plain.replace(" ", "-"), re.sub(r"[\s-]+", "-", plain).strip("-")
        found |= {host} & {mkdocs}
    return found


@every_document
def test_links_lead_to_files_and_anchors(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text_of(path))):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        other = (path.parent / file).resolve() if file else path
        assert other.is_file(), target
        assert not anchor or anchor in anchors_of(other), target
        inside = ROOT / "docs" not in path.parents or ROOT / "docs" in [path, *other.parents]
        assert inside, f"{target} is not part of what mkdocs builds"


@every_document
def test_documents_have_no_gaps(path):
    assert not re.findall(r"@[A-Z0-9_]+@|TODO|TBD", text_of(path))


def test_the_readme_is_short():
    assert len(text_of(ROOT / "README.md").splitlines()) <= MAX_README_LINES


# The site


def test_every_page_is_in_the_navigation():
    def files(entry):
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [file for part in parts for file in files(part)]

    nav = yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(files(nav)) == sorted(pages)


@pytest.mark.parametrize("path", sorted((ROOT / "docs/api").glob("*.md")), ids=name_of)
def test_pages_of_the_api_have_every_public_name(path):
    """A function in a module of its own name has to be named: griffe finds the module first."""
    place = importlib.import_module(f"keras_transformer.{path.stem}")
    wanted = {place.__name__} | {
        f"{place.__name__}.{name}.{name}"
        for name in place.__all__
        if importlib.util.find_spec(f"{place.__name__}.{name}")
    }
    assert set(re.findall(r"^::: (\S+)$", text_of(path), flags=re.MULTILINE)) == wanted


def test_the_table_of_the_house_is_the_one_that_is_tested():
    from tests.test_dependencies import EVERYTHING, MAY_IMPORT

    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", text_of(ROOT / "docs/architecture.md"), re.M
    )
    shown = {name: set(re.findall(r"`(\w+)`", imports)) for name, imports in rows}
    places = {name: may for name, may in MAY_IMPORT.items() if not name.startswith("__")}
    assert shown == {name: set() if may is EVERYTHING else may for name, may in places.items()}


def test_the_hook_of_the_site_does_what_its_examples_say():
    pytest.importorskip("griffe", reason="needs the extra `docs`")
    spec = importlib.util.spec_from_file_location("adapt", ROOT / "docs/adapt.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert doctest.testmod(module).failed == 0
    assert module.on_page_markdown("```python no-run\nx\n```\n") == "```python\nx\n```\n"
