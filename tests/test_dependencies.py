"""Who may import whom: the imports, read from the source without running it, hold the table.

strings --text--> ids --data--> batches --layers > models--> logits --training--> weights
strings <--text-- ids <---------------------- decoding <---------------------------'
"""

import ast
import dataclasses
import json

import pytest

from tests.conftest import ROOT, run_python

PACKAGE = "keras_transformer"
EVERYTHING = None

# Place: which other places of the package it may import.
MAY_IMPORT = {
    "forking": set(),
    "io": set(),
    "text": {"forking", "io"},
    "data": {"forking", "text", "io"},
    "replicas": set(),
    "keras_patches": set(),
    "layers": {"forking", "keras_patches", "replicas"},
    "training": {"forking", "replicas", "io", "keras_patches", "checkpoints"},
    "checkpoints": {"forking", "io", "keras_patches"},
    "models": {"forking", "layers", "training", "keras_patches"},
    "decoding": {"forking", "layers"},
    "translation": {
        "forking",
        "keras_patches",
        "checkpoints",
        "text",
        "models",
        "decoding",
        "layers",
        "io",
    },
    "distribution": {"forking", "keras_patches"},
    "formats": {
        "forking",
        "keras_patches",
        "text",
        "models",
        "layers",
        "decoding",
        "translation",
        "io",
    },
    "serving": {"forking", "text", "decoding", "translation", "formats", "illustrate", "io"},
    "illustrate": {"translation", "decoding", "layers"},
    "images": {"forking", "layers", "training", "models", "decoding", "translation", "io"},
    "cli": EVERYTHING,
    "__init__": EVERYTHING,
    "__main__": {"cli", "io"},
}
# Place: whether it may import TensorFlow or JAX. Not named: not at all.
MAY_IMPORT_A_BACKEND = {
    "text": "in functions",
    "data": "anywhere",
    "replicas": "in functions",
    "training/id_checks": "in functions",  # assertions in `tf.data`
    "training/train_step_jax": "in functions",  # gradients, which Keras has no word for
    "training/train_step_tensorflow": "in functions",
    "translation/compilation": "in functions",  # compiles for either backend
    "distribution": "anywhere",
    "formats": "in functions",
    "cli/program": "in functions",
    "__init__": "in functions",
}
# Keras' own modules: where `fit` fails, and nothing public mends it.
MAY_IMPORT_KERAS_OWN = {"keras_patches"}
BACKENDS = {"tensorflow", "tensorflow_text", "jax", "jaxlib", "torch"}
PROGRAMS = ("trainers", "benchmarks", "colab")


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module, or one name imported `from` it."""

    module: str
    name: str | None
    in_function: bool


def imports(source):
    """All imports of a source text but those for type checkers only."""
    found = []

    def visit(node, in_function):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, None, in_function) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found.extend(Import(module, alias.name, in_function) for alias in node.names)
        inner = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(ast.parse(source), False)
    return found


def files(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def name_of(path):
    return path.relative_to(ROOT).with_suffix("").as_posix()


def place_of(path):
    return path.relative_to(ROOT / PACKAGE).with_suffix("").parts[0]


def module_of(path):
    return path.relative_to(ROOT / PACKAGE).with_suffix("").as_posix()


def imported_place(one):
    """The place of the package that an import is from, or `None`."""
    parts = one.module.split(".")
    if parts[0] != PACKAGE:
        return None
    if len(parts) > 1:
        return parts[1]
    return home_of(one.name) if one.name else "__init__"


def public_names(parts):
    """`__all__` of a place, or of a folder in it; `None` for a module, where all are public."""
    init = ROOT.joinpath(*parts, "__init__.py")
    if not init.exists():
        return None
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def home_of(name):
    """Where a name that is imported from the package itself comes from."""
    for place in MAY_IMPORT:
        if not place.startswith("__") and name in (public_names([PACKAGE, place]) or ()):
            return place
    return name


def backends(one, place, path):
    allowed = MAY_IMPORT_A_BACKEND.get(place, MAY_IMPORT_A_BACKEND.get(module_of(path)))
    return allowed == "anywhere" or (allowed == "in functions" and one.in_function)


every_file = pytest.mark.parametrize("path", files(PACKAGE), ids=name_of)
every_program = pytest.mark.parametrize(
    "path", [path for folder in PROGRAMS for path in files(folder)], ids=name_of
)


def test_imports_are_found_wherever_they_stand():
    source = """
import a.b, c
if TYPE_CHECKING:
    import unseen
class X:
    from d import e
    def f(self):
        from ..g import h
"""
    assert imports(source) == [
        Import("a.b", None, False),
        Import("c", None, False),
        Import("d", "e", False),
        Import("..g", "h", True),
    ]


@every_file
def test_a_place_imports_only_what_is_before_it_on_the_road(path):
    place = place_of(path)
    assert place in MAY_IMPORT, f"say in the table what {place} may import"
    allowed = MAY_IMPORT.get(module_of(path), MAY_IMPORT[place])
    for one in imports(path.read_text(encoding="utf-8")):
        assert not one.module.startswith("."), "imports of the package are written in full"
        other = imported_place(one)
        assert other in (None, place) or allowed is EVERYTHING or other in allowed, one


@every_file
def test_a_backend_is_imported_only_where_the_table_says(path):
    for one in imports(path.read_text(encoding="utf-8")):
        if one.module.split(".")[0] in BACKENDS:
            assert backends(one, place_of(path), path), one


@every_file
def test_the_package_does_not_import_its_programs_or_tests(path):
    for one in imports(path.read_text(encoding="utf-8")):
        assert one.module.split(".")[0] not in (*PROGRAMS, "tests"), one


@every_file
def test_keras_is_used_by_its_public_names(path):
    if module_of(path) in MAY_IMPORT_KERAS_OWN:
        return
    for one in imports(path.read_text(encoding="utf-8")):
        assert not one.module.startswith(("keras.src", "tensorflow.keras", "tensorflow.python")), (
            one
        )


def graph_of_modules():
    """Module of the package: the modules that it imports, anywhere in its source."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files(PACKAGE)
    }
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {}
    for name, path in names.items():
        found = set()
        for one in imports(path.read_text(encoding="utf-8")):
            longer = f"{one.module}.{one.name}"
            found |= {longer} & names.keys() or {one.module} & names.keys()
        graph[name] = found - {name}
    return graph


def test_no_imports_go_in_a_circle():
    """Not within a folder, not through a folder's `__init__`, not in functions either."""
    graph = graph_of_modules()
    graph.pop(PACKAGE)  # imports everything, when asked, and is imported by nothing
    assert graph["keras_transformer.translation.run_folder"] > {"keras_transformer.text"}
    while leaves := [name for name, found in graph.items() if not found & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, f"each of these imports another of these: {sorted(graph)}"


def test_a_class_name_stands_for_one_class():
    homes = {}
    for path in (path for folder in (PACKAGE, *PROGRAMS) for path in files(folder)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, set()).add(name_of(path))
    assert not {name: where for name, where in homes.items() if len(where) > 1}


def private_attributes_of_others(path):
    """Attributes that start with one `_`, of objects that are not of the module's own classes.

    What a module's own classes define may be used anywhere in it; `_replace` and `_asdict` are the
    public methods of named tuples.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {"_replace", "_asdict", "_fields"}
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    own |= {node.name for node in ast.walk(tree) if isinstance(node, functions)}
    own |= {ast.unparse(node.target) for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    of_self = {"self", "cls"}
    own |= {
        node.attr
        for node in attributes
        if isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in of_self
    }
    return {
        node.attr
        for node in attributes
        if node.attr.startswith("_") and not node.attr.endswith("__") and node.attr not in own
    }


@pytest.mark.slow
def test_private_names_of_others_are_used_in_one_place():
    found = {name_of(path): private_attributes_of_others(path) for path in files(PACKAGE)}
    assert {name for name, attributes in found.items() if attributes} == {
        f"{PACKAGE}/keras_patches"
    }


@pytest.mark.slow
def test_ids_are_searched_without_strings():
    """`decoding` needs neither a tokenizer's library nor what makes a translator of it."""
    program = """
import keras_transformer.decoding
strings = ["sentencepiece", "tensorflow_text"]
strings += [f"keras_transformer.{place}" for place in ("text", "models", "translation")]
print(json.dumps([name for name in strings if name in sys.modules]))
"""
    assert json.loads(run_python("-c", LOADED + program)) == []


@every_program
def test_programs_use_public_names_only(path):
    for one in imports(path.read_text(encoding="utf-8")):
        parts = one.module.split(".")
        if parts[0] != PACKAGE:
            continue
        assert not any(part.startswith("_") for part in (*parts, one.name or "")), one
        if len(parts) > 1:
            public = public_names(parts)
            assert len(parts) == 2 or public is not None, f"{one.module} is a file inside a place"
            assert public is None or one.name in public, one


@every_program
def test_programs_touch_no_underscore_names_of_others(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            assert own or node.attr.endswith("__"), ast.unparse(node)


@pytest.mark.parametrize("folder", [PACKAGE, *PROGRAMS])
def test_no_module_is_a_drawer_for_everything(folder):
    drawers = {"utils", "util", "common", "helpers", "misc"}
    assert not drawers & {path.stem for path in files(folder)}


def test_every_public_name_can_be_had_from_the_package():
    import keras_transformer as kt

    for name in kt.__all__:
        value = getattr(kt, name)
        home = home_of(name)
        assert name == home or value is getattr(getattr(kt, home), name)
        assert name == home or name in public_names([PACKAGE, home])
    assert dir(kt) == kt.__all__


def test_a_name_that_is_not_there_is_an_attribute_error():
    import keras_transformer as kt

    with pytest.raises(AttributeError, match="'keras_transformer' has no attribute 'Transfomer'"):
        _ = kt.Transfomer


LOADED = f"""
import json, sys
def loaded(): return sorted(set({sorted(BACKENDS | {"keras"})}) & sys.modules.keys())
"""


def test_importing_the_package_loads_no_backend():
    """Nor does the command lines' module, nor the tokenizer, which needs one in a graph only."""
    program = """
import keras_transformer
first = loaded()
import keras_transformer.cli.program
keras_transformer.Tokenizer
print(json.dumps([first, loaded()]))
"""
    assert json.loads(run_python("-c", LOADED + program)) == [[], []]
