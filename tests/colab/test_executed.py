"""Every notebook runs from top to bottom, in a kernel, on a CPU, with its settings set small."""

import dataclasses
import importlib.util
import json
import math
import os
import re

import nbclient
import nbformat
import pytest

from colab.pairs import make_notebook, with_settings
from tests.conftest import QUICK_TO_COMPILE, ROOT

pytestmark = pytest.mark.slow

TRAINED = "'losses': history.history['loss'], 'texts': [one.text for one in translations]"


@dataclasses.dataclass(frozen=True)
class Executed:
    """A notebook with its outputs, and what a last cell, added here, found in the kernel."""

    notebook: nbformat.NotebookNode
    facts: dict

    def printed(self) -> str:
        """All that was printed."""
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        return "".join(one.text for one in outputs if one.output_type == "stream")

    def figures(self) -> list[str]:
        """The HTML that was shown."""
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        return [one.data["text/html"] for one in outputs if "text/html" in one.get("data", {})]


def execute(notebook, folder):
    environment = {name: text for name, text in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": QUICK_TO_COMPILE,
    }
    client = nbclient.NotebookClient(
        notebook, timeout=500, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment)


def run(name, folder, facts, **settings):
    """Runs a notebook with small settings.

    Args:
        name: The notebook.
        folder: Where it runs.
        facts: Python: a dict of what is to be known of the kernel's variables in the end.
        **settings: What stands in the settings cell.
    """
    notebook = with_settings(make_notebook(name), SMALL=True, **settings)
    asking = nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({facts}))", id="facts")
    notebook.cells.append(asking)
    execute(notebook, folder)
    facts = json.loads("".join(output.text for output in notebook.cells.pop().outputs))
    return Executed(notebook, facts)


def check_training(facts):
    losses = facts["losses"]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < 0.7 * losses[0]
    assert all(text.strip() for text in facts["texts"])


def test_the_article_is_illustrated(tmp_path):
    wanted = f"""{{{TRAINED}, 'plain': plain, 'relative': relative,
        'same_scores': float(np.abs(scores - seen['encoder'][0, 0, HEAD]).max()),
        'steps': float(np.abs(steps.data['Z'] - Z).max()), 'count': count,
        'by_hand': float(by_hand), 'loss': float(loss), 'differs': float(difference),
        'ahead': float(changes[:-1].max()), 'after': float(changes[-1]),
        'found': [one['ids'][-1] == tokenizer.eos_id for one in found],
        'beams': max(len(step.kept) for step in search_steps),
        'page': open(folder + '/page.html', encoding='utf-8').read()}}"""
    done = run("illustrated_transformer", tmp_path, wanted)
    facts = done.facts
    check_training(facts)
    assert len(done.figures()) == 8
    assert all("<iframe" in figure for figure in done.figures())
    assert facts["same_scores"] < 1e-5
    assert facts["steps"] < 1e-4
    assert facts["differs"] < 1e-5
    assert facts["loss"] == pytest.approx(facts["by_hand"], abs=1e-4)
    assert facts["ahead"] < 1e-5 < facts["after"]
    assert facts["count"] == 4
    assert facts["found"]
    assert all(facts["found"])
    assert facts["beams"] == 2
    assert facts["plain"] < 0.6
    assert facts["relative"] > 0.97
    assert "too wide" in facts["page"]


BACKENDS = ["jax", pytest.param("tensorflow", marks=pytest.mark.stood_for("the one on JAX"))]


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_as_on_a_tpu(backend, tmp_path):
    wanted = f"{{{TRAINED}, 'backend': keras.backend.backend(), 'scores': scores}}"
    settings = {"BACKEND": backend, "REQUIRE_TPU": False}
    done = run("train_on_tpu", tmp_path, wanted, **settings)
    check_training(done.facts)
    assert done.facts["backend"] == backend
    assert all(map(math.isfinite, done.facts["scores"].values()))
    assert "Training on one CPU." in done.printed()
    assert (tmp_path / "runs/tpu/run.json").is_file()


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_tpu_all_stops_with_a_sentence(backend, tmp_path):
    notebook = with_settings(make_notebook("train_on_tpu"), BACKEND=backend)
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        execute(notebook, tmp_path)
    *before, last = [cell for cell in notebook.cells if cell.get("execution_count")]
    assert not any(cell.outputs for cell in before)
    shown = [output for output in last.outputs if output.get("name") != "stderr"]
    (error,) = shown  # TensorFlow itself may write to stderr
    assert error.traceback == [error.evalue]
    assert re.fullmatch(
        r"There is no TPU here \(.+ finds no TPU: .+\): choose one under Runtime, Change runtime "
        r"type, and run all cells again, or set REQUIRE_TPU = False in the settings to run them on "
        r"what there is\.",
        error.evalue,
    )
    rest = notebook.cells[notebook.cells.index(last) + 1 :]
    assert sum(cell.cell_type == "code" for cell in rest) == 4


def test_training_on_several_devices(tmp_path):
    wanted = f"{{{TRAINED}, 'replicas': devices.replicas}}"
    done = run("train_on_gpus", tmp_path, wanted, CHECKOUT=str(ROOT))
    check_training(done.facts)
    assert done.facts["replicas"] == 2
    assert "There is no GPU: the CPU is split into 2 parts" in done.printed()
    printed = [float(loss) for loss in re.findall(r" - loss: ([\d.]+)", done.printed())]
    by_trainer, by_fit = printed[:5], printed[5:]
    assert by_fit == pytest.approx(by_trainer, abs=1e-3)
    for folder in ("by_trainer", "by_fit"):
        assert (tmp_path / "runs" / folder / "run.json").is_file()


def test_without_a_checkout_there_is_no_trainer(tmp_path):
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="set CHECKOUT in the settin"):
        execute(with_settings(make_notebook("train_on_gpus"), CHECKOUT="."), tmp_path)


def test_what_is_exported_says_the_same(tmp_path):
    wanted = """{'live': live, 'served': served, 'small': small['texts'], 'sizes': sizes,
        'reloaded': reloaded, 'other': other}"""
    facts = run("export_and_serve", tmp_path, wanted).facts
    assert all(text.strip() for text in facts["live"])
    assert facts["served"] == {"texts": facts["live"], "with_our_package": False}
    assert facts["reloaded"] == facts["live"]
    assert all(text.strip() for text in facts["small"])
    assert facts["sizes"][1] < 0.35 * facts["sizes"][0]
    engine = importlib.util.find_spec("ctranslate2") is not None
    assert len(facts["other"]) == (3 if engine else 0)
    assert all(text.strip() for text in facts["other"])
    assert (tmp_path / "exported/served/mine/1/saved_model.pb").is_file()


def test_images_are_drawn(tmp_path):
    wanted = "{'bits': [float(before), float(after)], 'shape': drawn.shape, 'page': page.body[:40],"
    wanted += "'kept': bool((completed[:, :4] == whole[:4]).all())}"
    facts = run("draw_images", tmp_path, wanted).facts
    assert facts["bits"][0] == pytest.approx(8, abs=1e-3)
    assert facts["bits"][1] < 8
    assert facts["shape"] == [4, 8, 8, 3]
    assert facts["kept"]
    assert facts["page"].startswith("<h1>An image, step by step</h1>")
