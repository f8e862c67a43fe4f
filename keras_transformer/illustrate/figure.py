"""Self-contained HTML figures and the numbers that they show."""

import base64
import dataclasses
import functools
import hashlib
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure, or a page of several, that notebooks display and that can be saved as one file.

    Attributes:
        title: Title of the page.
        body: HTML of the figure, already escaped.
        data: A dict of the numbers that the figure shows, as arrays or lists.
        height: Height in a notebook, in pixels.
    """

    title: str
    body: str = dataclasses.field(repr=False)
    data: dict = dataclasses.field(repr=False)
    height: int = 620

    def document(self) -> str:
        """Returns a complete HTML page with inline styles and script, which loads nothing else."""
        script = (TEMPLATES / "attention.js").read_text(encoding="utf-8")
        digest = hashlib.sha256(script.encode("utf-8")).digest()
        return render(
            "document.html",
            title=self.title,
            body=safe(self.body),
            style=safe((TEMPLATES / "style.css").read_text(encoding="utf-8")),
            script=safe(script),
            script_hash=base64.b64encode(digest).decode("ascii"),
        )

    def save(self, path: str | Path) -> None:
        """Writes the page to a file."""
        Path(path).write_text(self.document(), encoding="utf-8", errors="replace", newline="\n")

    def _repr_html_(self) -> str:
        """Returns the page in a sandboxed frame, for notebooks."""
        return render("notebook.html", document=self.document(), height=self.height)


def render(template: str, **values) -> str:
    """Renders a template of this package. Every value is escaped unless marked as `safe`."""
    return _environment().get_template(template).render(**values)


def safe(html: str):
    """Marks HTML that this package generated, so that it is not escaped again."""
    _environment()  # raises an ImportError that says what to install
    from markupsafe import Markup

    return Markup(html)


@functools.cache
def _environment():
    try:
        import jinja2
    except ImportError as error:
        raise ImportError(
            'Figures need matplotlib and jinja2: pip install ".[illustrate]"'
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "share": _share}
    return environment


def _number(number: float, digits: int = 2) -> str:
    """Formats a number with a typographic minus sign, and none before zero."""
    text = f"{number:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _share(share: float) -> str:
    """Formats a probability, with enough digits to show whether it is 0."""
    if share == 0:
        return "0"
    if share >= 0.005:
        return f"{share:.2f}"
    return f"{share:.4f}".rstrip("0") if share >= 0.00005 else "<0.0001"
