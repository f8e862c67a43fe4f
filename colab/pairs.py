"""Writes each notebook, `NAME.ipynb`, from its paired text, `NAME.py`.

    python -m colab.pairs

Edit the text. The same text gives the same bytes: cells are named by their number, and there are
neither outputs nor execution counts.
"""

from pathlib import Path

import jupytext
import nbformat

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != Path(__file__).name)


def notebook_of(name: str) -> nbformat.NotebookNode:
    """The notebook that a text makes."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return nbformat.from_dict({**notebook, "nbformat": 4, "nbformat_minor": 5})


def written(notebook: nbformat.NotebookNode) -> str:
    """What stands in the notebook's file."""
    return nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def with_settings(notebook: nbformat.NotebookNode, **settings) -> nbformat.NotebookNode:
    """A notebook whose settings cell, the first of code, has other values; nothing else changes."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    lines = cell.source.split("\n")
    for name, value in settings.items():
        (place,) = [n for n, line in enumerate(lines) if line.startswith(f"{name} = ")]
        lines[place] = f"{name} = {value!r}"
    cell.source = "\n".join(lines)
    return notebook


if __name__ == "__main__":
    for name in NAMES:
        (FOLDER / f"{name}.ipynb").write_text(written(notebook_of(name)), encoding="utf-8")
