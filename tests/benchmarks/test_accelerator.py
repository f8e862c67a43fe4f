"""The benchmark of training on accelerators, in its smallest setting, on a processor."""

import json

import pytest

from benchmarks import accelerator, turns
from tests.conftest import QUICK_TO_COMPILE, run_python

TOY = ("--sizes", "toy", "--rows", "3", "--length", "10", "--steps", "2", "--matrix", "64")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_ours_is_timed_on_jax_and_a_missing_engine_is_skipped_by_name(tmp_path, precision):
    """Without TensorFlow."""
    for name in ("tensorflow", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('there is no {name}')")
    file = tmp_path / "rows.json"
    options = (*TOY, "--precision", precision, "--repeats", "1", "--peak", "0.1", "--fused")
    printed = run_python(
        *("-m", "benchmarks.accelerator", *options, "--json", str(file)),
        PYTHONPATH=str(tmp_path),
        XLA_FLAGS=QUICK_TO_COMPILE,
    )
    assert "torch-compiled is skipped: there is no torch" in printed
    assert "toy: 3 rows of 10 + 10 tokens on cpu" in printed
    rows = json.loads(file.read_text())
    assert [row["engine"] for row in rows] == ["keras_transformer", "keras_transformer-fused"]
    for row in rows:
        assert row["target_tokens_per_second"] == pytest.approx(3 * 10 / row["step"])
        assert 0 < row["ceiling"] < 1


class Clock:
    """An engine that takes the next of some times for a pass."""

    def __init__(self, *seconds):
        self.seconds = iter(seconds)

    def ask(self, request):
        answers = {"ceiling": 2e12, "flops": 3e12, "device": "a clock", "memory": 5e9}
        for name, answer in answers.items():
            if name in request:
                return {"output": answer}
        return {"seconds": next(self.seconds)}


def test_shares_are_of_the_time_of_one_step(monkeypatch):
    """A step of 3 TFLOP takes 2 s: 1.5 TFLOP/s, of 2 measured and of 4 promised."""
    monkeypatch.setattr(turns, "PAUSE", 0)

    class Found:
        def __enter__(self):
            return {"keras_transformer": Clock(90, 20, 10, 30), "torch": Clock(80, 60, 40, 10)}

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(accelerator, "start_workers", lambda *_, **__: Found())
    options = ["--rows", "3", "--length", "5", "--steps", "10", "--repeats", "3", "--peak", "4"]
    ours, theirs = accelerator.time_size(accelerator.parse(options), "toy")
    assert (ours["step"], ours["ceiling"], ours["peak"]) == (2, 0.75, 0.375)
    assert (ours["target_tokens_per_second"], ours["first_pass"]) == (7.5, 90)
    assert (theirs["step"], theirs["times_ours"], theirs["gigabytes"]) == (4, 2, 5)
