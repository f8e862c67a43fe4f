import builtins
import html
import re

import numpy as np
import pytest

from keras_transformer.illustrate import Figure, attention_figure
from keras_transformer.illustrate.figure import TEMPLATES, render
from tests.conftest import ROOT, run_python
from tests.illustrate.conftest import random_attention

NASTY = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>&\"\u2028"


def test_it_can_be_imported_without_a_backend_and_without_what_draws():
    program = """
import sys, keras_transformer.illustrate
print(sorted({"keras", "tensorflow", "jax", "matplotlib", "jinja2"} & sys.modules.keys()))
"""
    assert run_python("-c", program).strip() == "[]"


def test_text_of_a_figure_cannot_leave_its_place():
    attention = random_attention(1, 2, [NASTY, "b"], [NASTY])
    document = attention_figure(attention).document()
    assert document.count("<script") == document.count("</script") == 2  # the data, the program
    assert "<img" not in document
    title = Figure(NASTY, "", {}).document()
    assert "<title>&lt;/script&gt;&lt;script&gt;alert(1)" in title
    assert title.count("<script") == 1


def test_a_document_may_load_nothing_and_run_nothing_but_its_own_script():
    document = Figure("", "", {}).document()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', document)[1]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}=';", policy)
    assert not re.search(r"(src|href)=[\"']?(?!data:)[a-z/]|@import|url\(", document)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", document))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of a format


def test_a_notebook_shows_it_in_a_frame_of_its_own():
    figure = Figure("<b>", "<p>&amp;</p>", {}, height=123)
    shown = figure._repr_html_()
    assert shown.count("<") == 2  # the frame and its end
    inside = re.search(r'srcdoc="([^"]*)" sandbox="allow-scripts"', shown)[1]
    assert html.unescape(inside) == figure.document()
    assert "height: 123px" in shown


def test_it_is_saved_as_one_file(tmp_path):
    figure = Figure("Ünïcode 🐈 \ud800", "<p>é</p>", {})
    figure.save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_bytes().decode("utf-8")
    assert text == figure.document().replace("\ud800", "?")


def test_numbers_are_printed_as_they_are_read():
    from keras_transformer.illustrate.figure import _number, _share

    assert [_number(x) for x in (-0.001, -1.5, 2)] == ["0.00", "−1.50", "2.00"]
    assert [_share(x) for x in (1.0, 0.005, 0.004, 0.00031, 1e-7)] == [
        "1.00",
        "0.01",
        "0.004",
        "0.0003",
        "<0.0001",
    ]


def test_without_jinja2_it_says_what_to_install(monkeypatch):
    from keras_transformer.illustrate import figure

    real = builtins.__import__

    def none_such(name, *arguments, **options):
        if name == "jinja2":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", none_such)
    figure._environment.cache_clear()
    with pytest.raises(ImportError, match=r'pip install "\.\[illustrate\]"'):
        render("document.html")
    monkeypatch.undo()


# The colours of the heads, held against a white and a dark page, as four kinds of eyes see them:
# Machado, Oliveira and Fernandes, 2009, severity 1: protan, deutan, tritan.
EYES = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ]
)
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
     [0.0193339, 0.119192, 0.9503041]]
)  # fmt: skip


def linear(colour):
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.clip(rgb, 0, 1) @ TO_XYZ.T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    lighter, darker = sorted([TO_XYZ[1] @ linear(one), TO_XYZ[1] @ linear(other)], reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_the_colours_of_heads_can_be_told_apart_by_every_eye(theme):
    style = (TEMPLATES / "style.css").read_text()
    roots = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", roots[theme]))
    heads = [colours[f"head-{i}"] for i in range(8)]
    assert all(contrast(head, colours["paper"]) >= 3 for head in heads)
    assert contrast(colours["ink"], colours["paper"]) > 12
    assert contrast(colours["faint"], colours["paper"]) > 4.5
    for eye in EYES:
        seen = [lab(eye @ linear(head)) for head in heads]
        for i, one in enumerate(seen):
            assert min([np.linalg.norm(one - other) for other in seen[:i]], default=99) > 18


def test_the_picture_of_the_readme_keeps_the_heads_apart():
    """Its few colours are those of the page: nothing else says which head a line is of."""
    Image = pytest.importorskip("PIL.Image")
    with Image.open(ROOT / "colab" / "attention.png") as file:
        drawn = np.array([colour for _, colour in file.convert("RGB").getcolors(256)])
    style = (TEMPLATES / "style.css").read_text()
    heads = [re.search(rf"--head-{head}: #(\w{{6}})", style)[1] for head in range(4)]
    heads = np.array([list(bytes.fromhex(head)) for head in heads])
    assert np.abs(heads[:, None] - drawn).max(axis=-1).min(axis=-1).max() <= 8
