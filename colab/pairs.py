"""Writes each notebook, `NAME.ipynb`, from its paired text, `NAME.py`.

    python -m colab.pairs

Edit the text only. The same text always gives the same bytes: cell ids are numbers, and outputs and
execution counts are left out.
"""

from pathlib import Path

import jupytext
import nbformat

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != Path(__file__).name)


def make_notebook(name: str) -> nbformat.NotebookNode:
    """Converts a paired text to a notebook."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return nbformat.from_dict({**notebook, "nbformat": 4, "nbformat_minor": 5})


def serialize(notebook: nbformat.NotebookNode) -> str:
    """Returns the content of a notebook's `.ipynb` file."""
    return nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def with_settings(notebook: nbformat.NotebookNode, **settings) -> nbformat.NotebookNode:
    """Sets values in the settings cell of a notebook, which is its first code cell."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    lines = cell.source.split("\n")
    for name, value in settings.items():
        (index,) = [n for n, line in enumerate(lines) if line.startswith(f"{name} = ")]
        lines[index] = f"{name} = {value!r}"
    cell.source = "\n".join(lines)
    return notebook


if __name__ == "__main__":
    for name in NAMES:
        (FOLDER / f"{name}.ipynb").write_text(serialize(make_notebook(name)), encoding="utf-8")
