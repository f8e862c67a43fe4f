"""Adapts pages and docstrings to mkdocs: a hook of mkdocs, and an extension of griffe."""

import re

import griffe

# Sections of docstrings that the Google style lacks, or whose first words it reads as a type.
SECTIONS = ("Call arguments", "Returns", "Example")


def on_page_markdown(markdown: str, **kwargs) -> str:
    """Drops `no-run`, a word for the tests, from the fences of Python blocks."""
    return re.sub(r"^```python no-run$", "```python", markdown, flags=re.MULTILINE)


class KerasDocstrings(griffe.Extension):
    """Rewrites docstrings in Keras' style before they are parsed as Google style."""

    def on_instance(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fence_doctests(write_out_sections(obj.docstring.value))


def write_out_sections(text: str) -> str:
    """Turns the sections that `SECTIONS` names into a bold title and Markdown.

    Example:

    >>> print(write_out_sections("Call arguments:\\n    ids: Token ids."))
    <BLANKLINE>
    **Call arguments**
    <BLANKLINE>
    - **`ids`**: Token ids.
    """
    result, inside = [], False
    for line in text.split("\n"):
        title, _, rest = line.partition(":")
        if title in SECTIONS and not rest.startswith("  "):
            result += ["", f"**{title}**", "", rest.strip()] if rest else ["", f"**{title}**", ""]
            inside = True
            continue
        inside = inside and (not line or line.startswith(" "))
        if inside:
            line = re.sub(r"^([\w*]+): ", r"- **`\1`**: ", line.removeprefix("    "))
        result.append(line)
    return "\n".join(result)


def fence_doctests(text: str) -> str:
    """Puts every doctest into a fenced block.

    Example:

    >>> fence_doctests(">" ">> 1 + 1\\n2\\n")
    '```pycon\\n>>> 1 + 1\\n2\\n```\\n'
    """
    return re.sub(r"^(>>> .*(?:\n.+)*)", r"```pycon\n\1\n```", text, flags=re.MULTILINE)
