PYTHON ?= python3
VENV := .venv
RUN := runs/phrasebook
DATA ?= data/multi30k
IN_VENV := $(VENV)/bin/python
HELD_OUT := $(RUN)/held_out

.PHONY: help install demo lint test test-slow test-all test-matrix test-tpu-install multi30k clean

help:
	@echo "make demo        install into .venv, train on the built-in corpus, translate (5 minutes on 2 cores)"
	@echo "make test        check lint and format, run unit and conformance tests"
	@echo "make test-all    the same, then the slow system tests"
	@echo "make test-matrix run the tests with the oldest and newest supported TensorFlow and Keras"
	@echo "make docs        build the documentation site in site/"
	@echo "make multi30k    train English to German on DATA=$(DATA)"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check --editable ".[dev,hub,jax,ctranslate2,serve]"
	touch $@

install: $(VENV)/installed

demo: $(VENV)/installed
	$(IN_VENV) -m trainers.translation --config trainers/recipes/phrasebook.yaml \
	  --output $(RUN) --overwrite true
	@echo; echo "Everyday sentences that were never seen:"
	@$(IN_VENV) -m keras_transformer evaluate --run $(RUN) \
	  --source $(HELD_OUT)/everyday.en --reference $(HELD_OUT)/everyday.fr
	@echo; echo "What does it stand for? Pairs of nouns that never met in training:"
	@$(IN_VENV) -m keras_transformer evaluate --run $(RUN) \
	  --source $(HELD_OUT)/coreference.en --reference $(HELD_OUT)/coreference.fr --words il,elle
	@echo; echo "The sentences of The Illustrated Transformer:"
	@$(IN_VENV) -m keras_transformer translate --run $(RUN) "I am a student." \
	  "The animal didn't cross the street because it was too tired." \
	  "The animal didn't cross the street because it was too wide."

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

test: lint
	$(IN_VENV) -m pytest -n auto --dist loadfile -m "not slow"

# In two runs: a process keeps all programs that XLA has compiled, and only the second runs them long.
COMPILED := tests/benchmarks/test_latents.py tests/benchmarks/test_students.py
LONG := tests/system tests/colab tests/formats \
  $(filter-out $(COMPILED),$(wildcard tests/benchmarks/test_*.py)) \
  tests/layers/test_convolution_module.py tests/layers/test_relative_attention.py \
  tests/layers/test_semantic_hashing.py tests/layers/test_vector_quantizer.py \
  tests/models/test_multi_model.py tests/models/test_latent_transformer.py \
  tests/models/test_image_model.py
define run-slow
	$(IN_VENV) -m pytest -n 2 --dist loadfile -m slow --quick-to-compile --durations=20 \
	  tests $(LONG:%=--ignore=%)
	$(IN_VENV) -m pytest -n 2 --dist loadfile -m slow --durations=50 --no-loadscope-reorder $(LONG)
endef

test-slow: $(VENV)/installed-dev
	$(run-slow)

test-all: test
	$(run-slow)

.venv-oldest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
	  --editable ".[dev,jax,ctranslate2,serve]" "tensorflow==2.20.*" "tensorflow-text==2.20.*" "keras==3.13.*"
	touch $@

test-matrix: .venv-oldest/installed test
	.venv-oldest/bin/python -m pytest -n auto --dist loadfile -m "not slow"

.venv-tpu/installed: colab/requirements-tpu.txt
	$(PYTHON) -m venv .venv-tpu
	.venv-tpu/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	.venv-tpu/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  tensorflow-text==2.20.1 --editable .
	touch $@

test-tpu-install: .venv-tpu/installed $(VENV)/installed-dev
	KERAS_TRANSFORMER_TPU_PYTHON=.venv-tpu/bin/python \
	  $(IN_VENV) -m pytest -n 2 --dist loadfile -m slow tests/distribution/test_tpu_install.py

multi30k: $(VENV)/installed
	$(IN_VENV) -m trainers.translation --config trainers/recipes/multi30k_en_de.yaml \
	  --data-folder $(DATA) --output runs/multi30k_en_de

$(VENV)/installed-docs: $(VENV)/installed
	$(IN_VENV) -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@

.PHONY: docs
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(IN_VENV) -m mkdocs build --strict

clean:
	rm -rf $(VENV) .venv-oldest .venv-tpu runs build site *.egg-info .pytest_cache .ruff_cache
