"""What a user may get wrong: one line that says what came, what was expected, what to do."""

import contextlib
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from keras_transformer import Tokenizer, Transformer, Translator, add_adapter, save_adapter
from keras_transformer.__main__ import main as use
from keras_transformer.formats import import_marian
from tests.formats import marian_reference, marian_release
from trainers.translation import main as train

ROOT = Path(__file__).parents[1]
WORDS = ["one", "two", "three", "four", "five", "six", "seven"]
WORDS += ["un", "deux", "trois", "quatre", "cinq", "sept"]
LINES = [" ".join(WORDS[(i * 5 + j) % 13] for j in range(2 + i % 5)) for i in range(41)]
PAIR = "--train-source good.en --train-target good.fr"
SMALL = "--preset tiny --epochs 1"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with good and bad files and runs; no case may change what lies there."""
    folder = tmp_path_factory.mktemp("desk")
    with contextlib.chdir(folder):
        write_texts()
        write_recipes()
        write_runs()
    return folder


def write_texts():
    good = "".join(f"{line}\n" for line in LINES)
    texts = {
        "good.en": good,
        "good.fr": "".join(f"{line}\n" for line in reversed(LINES)),
        "short.fr": "".join(f"{line}\n" for line in LINES[:37]),
        "empty.txt": "",
        "blank.txt": " \n" * 41,
        "long.txt": "".join(f"{line} {line} {line} {line} {line}\n" for line in LINES),
        "latin.txt": "",
        "good.tsv": "".join(f"{line}\t{line}\n" for line in LINES),
    }
    for name, text in texts.items():
        Path(name).write_text(text, encoding="utf-8")
    Path("latin.txt").write_bytes(b"\xe9t\xe9\n" * 41)
    Path("one_bad_line.txt").write_bytes(b"one\n" * 6 + b"\xe9t\xe9\n" + b"two\n" * 34)
    Path("data.gz").write_bytes(b"no gzip\n")
    Path("wide.tsv").write_bytes("".join(f"{line}\t{line}\n" for line in LINES).encode("utf-16-le"))
    with tarfile.open("texts.tar.gz", "w:gz") as archive:
        archive.add("good.tsv")
    Path("cut.gz").write_bytes(gzip.compress(b"one\n" * 41)[:-9])


def write_recipes():
    recipes = {
        "twice": "epochs: 3\ncorpus: phrasebook\n'epochs': 5\n",
        "output": "output: elsewhere\n",
        "unknown_key": "corpus: phrasebook\nd_modell: 64\n",
        "wrong_type": "corpus: phrasebook\nepochs: many\n",
        "no_mapping": "- corpus\n- phrasebook\n",
        "no_yaml": "corpus: [phrasebook\n",
        "os_system": "corpus: os.system\n",
        "os_choice": "corpus: phrasebook\ntokenizer_type: os.system\n",
        "os_class": (
            "corpus:\n  class_path: os.system\n  init_args:\n    command: touch executed\n"
        ),
        "python_tag": "corpus: !!python/object/apply:os.system ['touch executed']\n",
        "python_name": "seed: !!python/name:os.system\n",
        "os_option": (
            "architecture_options:\n  class_path: os.system\n  init_args:\n    command: touch x\n"
        ),
        "an_import": "corpus: phrasebook\nimport: antigravity\n",
    }
    for name, text in recipes.items():
        Path(f"{name}.yaml").write_text(text)


def write_runs():
    tokenizer = Tokenizer.train(LINES, 283, model_type="bpe")
    smaller = Tokenizer.train(LINES, 281, model_type="bpe")
    model = Transformer(281, num_layers=1, d_model=6, num_heads=2, d_ff=7)
    Translator(model, smaller, max_source_length=17).save("run")
    damage = {
        "no_json": lambda run: (run / "run.json").unlink(),
        "bad_json": lambda run: (run / "run.json").write_text('{"format_version": 1,'),
        "list_json": lambda run: (run / "run.json").write_text("[1, 2]"),
        "other_version": lambda run: change(run, format_version=97),
        "no_sizes": lambda run: change(run, model={"d_modell": 6}),
        "odd_sizes": lambda run: change(run, model={"vocabulary_size": "many"}),
        "other_sizes": lambda run: change(run, d_ff=11),
        "no_weights": lambda run: (run / "model.weights.h5").unlink(),
        "cut_weights": lambda run: cut(run / "model.weights.h5"),
        "no_tokenizer": lambda run: (run / "tokenizer.model").unlink(),
        "cut_tokenizer": lambda run: cut(run / "tokenizer.model"),
        "more_ids": lambda run: tokenizer.save(run / "tokenizer.model"),
    }
    for name, do_damage in damage.items():
        shutil.copytree("run", f"runs/{name}")
        do_damage(Path("runs") / name)
    add_adapter(model, 3)
    save_adapter(model, "other_base.h5")
    marian_reference.write_checkpoint(Path("checkpoint"))
    import_marian("checkpoint").save("imported")
    marian_release.write_release(Path("release"))
    cut(marian_release.model_of(Path("release")))


def change(run, model=None, **changes):
    path = run / "run.json"
    description = json.loads(path.read_text())
    sizes = {name: changes.pop(name) for name in ("d_ff",) if name in changes}
    config = {**description["model"]["config"], **sizes}
    description["model"] = model or {**description["model"], "config": config}
    path.write_text(json.dumps({**description, **changes}))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


TRAINING = {
    "no option at all": ("", "required: output"),
    "nothing": ("--output new", "nothing to train on: give --train-source"),
    "no output": (PAIR, "output"),
    "unequal files": (
        "--train-source good.en --train-target short.fr --output new",
        "good.en has 41, short.fr has 37. Find the line",
    ),
    "unequal validation files": (
        f"{PAIR} --validation-source good.en --validation-target short.fr --output new",
        "good.en has 41, short.fr has 37. Find the line",
    ),
    "empty file": (
        "--train-source empty.txt --train-target good.fr --output new",
        "empty.txt is empty. Expected one sentence per line.",
    ),
    "not UTF-8": (
        "--train-source latin.txt --train-target good.fr --output new",
        "No line of latin.txt and good.fr holds a pair. Expected UTF-8",
    ),
    "text for gzip": ("--train-tsv data.gz --output new", "No line of data.gz holds a pair."),
    "damaged gzip": (
        "--train-tsv cut.gz --output new",
        "cut.gz is damaged: its compressed data cannot be read (Compressed file ended",
    ),
    "UTF-16 without a mark": (
        "--train-tsv wide.tsv --output new",
        "wide.tsv is UTF-16 without a byte order mark, or no text. Expected UTF-8. Convert it",
    ),
    "an archive": (
        "--train-tsv texts.tar.gz --output new",
        "texts.tar.gz is a tar archive. Expected UTF-8 text. Unpack it",
    ),
    "columns that are none": (
        "--train-tsv good.tsv --tsv-columns 2 --output new",
        "tsv_columns must be two different columns, counted from 1 and separated by a comma, such "
        "as 2,1. Received: 2",
    ),
    "more columns than there are": (
        "--train-tsv good.tsv --tsv-columns 1,3 --output new",
        "The problem of the first line: fewer than 3 columns.",
    ),
    "a missing file": (
        "--train-source missing.en --train-target good.fr --output new",
        "There is no file missing.en. Expected a text file",
    ),
    "over-long sentences only": (
        f"--train-source long.txt --train-target long.txt --max-length 3 --output new {SMALL}",
        "too long: 41",
    ),
    "empty sentences only": (
        "--train-source blank.txt --train-target blank.txt --output new",
        "None of the 82 sentences received has text that SentencePiece",
    ),
    "empty sentences on one side": (
        "--train-source good.en --train-target blank.txt --output new",
        "empty side: 41",
    ),
    "only a source": (
        "--train-source good.en --output new",
        "is a pair of files, --train-source and --train-target",
    ),
    "only a target": (
        "--train-target good.fr --output new",
        "is a pair of files, --train-source and --train-target",
    ),
    "more sources than targets": (
        f"{PAIR} --train-source good.en --output new",
        "Received: 2 of --train-source, 1 of --train-target. Give each as often as the other.",
    ),
    "fewer weights than corpora": (
        f"{PAIR} --train-tsv good.tsv --train-weight 2 --output new",
        "Received: 1 of --train-weight, 2 training corpora.",
    ),
    "more weights than corpora": (
        "--corpus phrasebook --train-weight 2 --train-weight 3 --output new",
        "Received: 2 of --train-weight, 1 training corpora.",
    ),
    "no weight": (
        f"{PAIR} --train-weight 0 --output new",
        "train_weight must be greater than 0. Received: 0. To train without a corpus, leave it out",
    ),
    "a weight that is no number": (f"{PAIR} --train-weight nan --output new", "nan"),
    "weights in another order": (
        f"--train-tsv good.tsv --train-weight 1 {PAIR} --train-weight 2 --output new",
        "Give every --train-source and --train-target before --train-tsv.",
    ),
    "an option twice": (
        f"{PAIR} --epochs 3 --output new --epochs=5",
        "--epochs is given twice: 3 and 5. Leave one out. (see",
    ),
    "an option twice, spelled in two ways": (
        f"{PAIR} --d-model 32 --d_model 48 --d-model=64 --output new",
        "--d-model is given 3 times: 32 and 48 and 64. Leave one out.",
    ),
    "a validation text of one side": (
        f"{PAIR} --validation-tsv good.tsv --validation-source good.tsv --output new",
        "1 of --validation-source, 0 of --validation-target. Give each as often as the other.",
    ),
    "an option before a recipe that has it": (
        f"{PAIR} --output new --config output.yaml",
        "--output new stands before --config output.yaml, which sets output, too. Give --config "
        "first",
    ),
    "a key twice": (
        "--config twice.yaml --output new",
        "twice.yaml is not a recipe: epochs is given twice, 3 and 5",
    ),
    "unknown corpus": (
        "--corpus europarl --output new",
        "corpus must be phrasebook, files or tfds:NAME. Received: europarl",
    ),
    "unknown tfds name": (
        "--corpus tfds:no_such_thing/de-en --data-folder data --output new",
        "tensorflow-datasets has no 'no_such_thing/de-en'",
    ),
    "unknown option": (f"{PAIR} --outptu new", "outptu"),
    "unknown key": (
        "--config unknown_key.yaml --output new",
        "unknown_key.yaml has an unknown option: d_modell. Expected one of those that",
    ),
    "wrong type": ("--config wrong_type.yaml --output new", "epochs"),
    "a list for a recipe": ("--config no_mapping.yaml --output new", "no_mapping.yaml"),
    "no YAML": ("--config no_yaml.yaml --output new", "no_yaml.yaml"),
    "missing recipe": ("--config missing.yaml --output new", "missing.yaml"),
    "os.system for a corpus": (
        "--config os_system.yaml --output new",
        "Received: os.system",
    ),
    "os.system for a choice": ("--config os_choice.yaml --output new", "tokenizer_type"),
    "os.system for a class": ("--config os_class.yaml --output new", "corpus"),
    "a tag that calls": ("--config python_tag.yaml --output new", "python_tag.yaml"),
    "a tag that names": ("--config python_name.yaml --output new", "python_name.yaml"),
    "os.system for an option of an architecture": (
        "--config os_option.yaml --output new",
        "The architecture transformer has no option class_path.",
    ),
    "a module in a recipe": (
        "--config an_import.yaml --output new",
        "an_import.yaml has the option import, which only a command line may have, since it runs "
        "code. Give --import antigravity yourself if you trust the module.",
    ),
    "a missing module": (
        f"{PAIR} --import not_there --output new",
        "There is no module not_there to --import: it is neither installed nor in the current",
    ),
    "a file for a module": (
        f"{PAIR} --import my_layers.py --output new",
        "such as my_layers for my_layers.py. Received: my_layers.py",
    ),
    "unknown architecture": (
        f"{PAIR} --architecture lstm --output new",
        "Received: lstm. To use one of your own, import the module that registers it (on the",
    ),
    "unknown option of an architecture": (
        f"{PAIR} --architecture-options kernel_size=5 --output new",
        "The architecture transformer has no option kernel_size. Its options, with their default "
        "values: none. Received: kernel_size='5'",
    ),
    "an option of an architecture without a value": (
        f"{PAIR} --architecture-options kernel_size --output new",
        "architecture_options must be of the form name=value, or a mapping in a recipe. Received: "
        "kernel_size",
    ),
    "a width that the groups of SliceNet do not divide": (
        f"{PAIR} --architecture slicenet --d-model 128 --output new",
        "d_model must be a multiple of all groups of the architecture slicenet, here 2-3, such as "
        "192 for 2-3; groups=1 takes any width. Received: d_model=128",
    ),
    "more kernels than dilations of SliceNet": (
        f"{PAIR} --architecture slicenet --architecture-options kernels=3-5 --output new",
        "must be as many, an even number, such as kernels=3-3-15-15 and dilations=1-1-1-8. "
        "Received: kernels=3-5, dilations=1-1-1-1",
    ),
    "positions of SliceNet": (
        f"{PAIR} --architecture slicenet --positions learned --output new",
        "The architecture slicenet has positions='paper' only: leave out `positions`. Received: "
        "positions='learned'",
    ),
    "an option of an architecture twice": (
        f"{PAIR} --architecture-options kernel_size=5 kernel_size=7 --output new",
        "architecture_options has kernel_size twice: 5 and 7. Leave one out.",
    ),
    "a bad number": (f"{PAIR} --epochs many --output new", "epochs"),
    "a negative number": (
        f"{PAIR} --epochs -3 --output new",
        "epochs must be at least 0. Received: -3",
    ),
    "smoothing too much": (
        f"{PAIR} --label-smoothing 1.5 --output new",
        "label_smoothing must be at least 0 and less than 1. Received: 1.5",
    ),
    "dropping all": (
        f"{PAIR} --dropout-rate 1.0 --output new",
        "dropout_rate must be less than 1. Received: 1.0",
    ),
    "dropping all scores": (
        f"{PAIR} --attention-dropout-rate 1 --output new",
        "attention_dropout_rate must be at least 0 and less than 1. Received: 1.0",
    ),
    "groups of heads that do not divide": (
        f"{PAIR} --architecture grouped_query --architecture-options num_key_value_heads=3 "
        "--num-heads 4 --output new",
        "equal sizes. Received: num_heads=4, num_key_value_heads=3",
    ),
    "positions twice": (
        f"{PAIR} --architecture rotary --positions learned --output new",
        "The architecture rotary has positions in its self-attentions and none in its embeddings: "
        "leave out `positions`. Received: positions='learned'",
    ),
    "positions of a recurrent model": (
        f"{PAIR} --architecture recurrent --positions learned --output new",
        "`positions` has no meaning in the architecture recurrent: the order of words is in the "
        "states. Leave it out. Received: positions='learned'",
    ),
    "scores dropped by a recurrent model": (
        f"{PAIR} --architecture recurrent --attention-dropout-rate 0.1 --output new",
        "`attention_dropout_rate` has no meaning in the architecture recurrent: it drops outputs",
    ),
    "an option of a recurrent model": (
        f"{PAIR} --architecture recurrent --architecture-options cell=gru --output new",
        "The architecture recurrent has no option cell. Its options, with their default values: "
        "none. Received: cell=",
    ),
    "an encoder and a decoder of a model with a decoder alone": (
        f"{PAIR} --architecture decoder_only --num-layers 2 --num-decoder-layers 3 --output new",
        "leave out `num_decoder_layers`. Received: num_decoder_layers=3",
    ),
    "two vocabularies of one sequence": (
        f"{PAIR} --architecture memory_compressed --shared-vocabulary false --output new",
        "with one vocabulary: use a shared tokenizer",
    ),
    "a group of a single token": (
        f"{PAIR} --architecture memory_compressed --architecture-options compression=1 "
        "--num-layers 2 --output new",
        "`compression` must be at least 2. Received: compression=1",
    ),
    "heads that do not divide": (
        f"{PAIR} --d-model 15 --num-heads 4 --output new",
        "Received: d_model=15, num_heads=4",
    ),
    "a batch that holds no sentence": (
        f"{PAIR} --tokens-per-batch 2 --output new",
        "`tokens_per_batch` must hold the longest sentence",
    ),
    "vocabulary too large": (
        f"{PAIR} --vocabulary-size 5003 --output new",
        "received 5003, the largest possible is",
    ),
    "vocabulary too small": (
        f"{PAIR} --vocabulary-size 101 --output new",
        "received 101, the smallest possible is",
    ),
    "a finished run": (
        f"{PAIR} --output run",
        "run holds a finished run. Give another --output, or --overwrite true",
    ),
    "a file for output": (f"{PAIR} --output good.en", "--output must be a folder; good.en is"),
    "a file above output": (f"{PAIR} --output good.en/new {SMALL}", "good.en"),
    "a bucket without its package": (
        f"{PAIR} --output gs://bucket/run",
        "gs://bucket/run needs a package: Please install gcsfs",
    ),
    "an unknown protocol": (
        f"{PAIR} --output none://bucket/run",
        "none://bucket/run has an unknown protocol. Expected a local path",
    ),
    "a URL with one slash": (
        f"{PAIR} --output gs:/bucket/run",
        "gs:/bucket/run looks like a URL that has lost a slash",
    ),
    "a text in a bucket": (
        "--train-tsv train.tsv --data-folder gs://bucket --output new",
        "gs://bucket/train.tsv needs a package: Please install gcsfs",
    ),
    "prepared data in a bucket": (
        "--corpus tfds:x/de-en --data-folder gs://bucket --output new",
        "data_folder of TFDS data must be on a local disk. Received: gs://bucket",
    ),
    "a recipe in a bucket": (
        "--config gs://bucket/recipe.yaml --output new",
        "gs://bucket/recipe.yaml needs a package: Please install gcsfs",
    ),
    "a start in a bucket": (
        f"{PAIR} --init-from gs://bucket/run --output new",
        "gs://bucket/run needs a package: Please install gcsfs",
    ),
    "a start of another architecture": (
        f"{PAIR} --init-from run --import tests.trainers.narrow --architecture narrow --output new",
        "init_from brings the architecture of its run, transformer. Received: narrow (factor=2, ",
    ),
    "nothing to go on from": (
        f"{PAIR} --init-from missing --output new",
        "missing does not exist, so it is not a finished run",
    ),
    "latents of packed rows": (
        f"{PAIR} --architecture latent --packed always --output new",
        "The architecture latent takes one pair a row: one of its latents would stand for words of",
    ),
    "an adapter of nothing": (
        f"{PAIR} --lora-rank 8 --output new",
        "lora_rank adapts a finished run. Received: lora_rank=8 without init_from.",
    ),
    "an adapter of a negative rank": (
        f"{PAIR} --init-from run --lora-rank -8 --output new",
        "lora_rank must be at least 0. Received: -8",
    ),
    "an adapter larger than the model": (
        f"{PAIR} --init-from run --lora-rank 7 --output new",
        "`rank` of an adapter must be at most 6, the smallest side of a matrix of this model.",
    ),
    "two learning rates": (
        f"{PAIR} --learning-rate 0.1 --learning-rate-scale 2 --output new",
        "Received: learning_rate=0.1 with learning_rate_scale. Leave one of the two out.",
    ),
    "damaged start": (
        f"{PAIR} --init-from runs/cut_weights --output new",
        "model.weights.h5 is damaged or belongs to another model",
    ),
}

TRANSLATE = "translate --run run"
EVALUATE = "--source good.en --reference good.fr"
USING = {
    "a missing module": (
        f"{TRANSLATE} --import not_there one",
        "There is no module not_there to --import: it is neither installed nor in the current",
    ),
    "a module for a folder": (f"{TRANSLATE} --import a/b one", "Received: a/b"),
    "no module": (f"{TRANSLATE} --import", "expected one argument (see"),
    "a run twice": (
        f"{TRANSLATE} --run=other one",
        "--run is given twice: run and other. Leave one out. (see python -m keras_transformer tra",
    ),
    "a flag twice": (f"{TRANSLATE} --scores one --scores", "--scores is given twice. Leave one o"),
    "no command": ("", "translate"),
    "no adapter": (
        "adapt --run run --adapter missing.h5 --output new",
        "There is no adapter missing.h5. Give the adapter.weights.h5 of a run",
    ),
    "weights for an adapter": (
        "adapt --run run --adapter run/model.weights.h5 --output new",
        "run/model.weights.h5 is damaged or not an adapter",
    ),
    "an adapter of another base": (
        "adapt --run imported --adapter other_base.h5 --output new",
        "other_base.h5 is the adapter of another base: of weights ",
    ),
    "a language that a model lacks": (
        "translate --run imported >>fra<<dog >>deu<<dog",
        "Text 2 starts with >>deu<<, a language code that the model does not have. It has >>fra<<.",
    ),
    "half a release": (
        "import --from release --output new",
        "is not a complete .npz file of numbers (File is not a zip file): it is truncated, damaged",
    ),
    "unknown command": ("transalte --run run", "transalte"),
    "no run": ("translate", "run"),
    "missing run": ("translate --run missing one", "missing does not exist, so it is not"),
    "a file for a run": (
        "translate --run good.en one",
        "good.en is a file, so it is not a finished run",
    ),
    "no run.json": (
        "translate --run runs/no_json one",
        "holds no run.json, so it is not a finished run",
    ),
    "damaged run.json": ("translate --run runs/bad_json one", "run.json is damaged"),
    "a list in run.json": ("translate --run runs/list_json one", "run.json is damaged"),
    "other version": (
        "translate --run runs/other_version one",
        "has format version 97; this package reads 1, 2, 3",
    ),
    "no sizes": ("translate --run runs/no_sizes one", "run.json does not describe a model"),
    "odd sizes": ("translate --run runs/odd_sizes one", "run.json does not describe a model"),
    "other sizes": (
        "translate --run runs/other_sizes one",
        "is damaged or belongs to another model",
    ),
    "no weights": (
        "translate --run runs/no_weights one",
        "model.weights.h5 is missing: copy the whole",
    ),
    "damaged weights": (
        "translate --run runs/cut_weights one",
        "weights.h5 is damaged or belongs to",
    ),
    "no tokenizer": ("translate --run runs/no_tokenizer one", "There is no tokenizer at"),
    "damaged tokenizer": ("translate --run runs/cut_tokenizer one", "cannot serve as a tokenizer"),
    "ids out of range": (
        "translate --run runs/more_ids one",
        "has 283 ids, but the model's source vocabulary has 281",
    ),
    "no beam": (f"{TRANSLATE} --beam-size 0 one", "`beam_size` must be at least 1. Received: 0"),
    "more results than beams": (
        f"{TRANSLATE} --beam-size 3 --top-beams 5 one",
        "Received: top_beams=5, beam_size=3",
    ),
    "no result": (f"{TRANSLATE} --top-beams 0 one", "Received: top_beams=0, beam_size=4"),
    "a beam and a half": (f"{TRANSLATE} --beam-size 1.5 one", "beam_size"),
    "a penalty below 0": (
        f"{TRANSLATE} --length-penalty -0.7 one",
        "`length_penalty` must be at least 0 and finite: 0 for no length normalization, 0.6 as in "
        "the paper. Received: -0.7",
    ),
    "a penalty that is no number": (f"{TRANSLATE} --length-penalty nan one", "length_penalty"),
    "a penalty without end": (f"{TRANSLATE} --length-penalty .inf one", "Received: inf"),
    "translations of nothing": (
        f"{TRANSLATE} --max-length 0 one",
        "`max_length` must be at least 1, since it includes EOS. Received: 0",
    ),
    "longer than the longest": (
        f"{TRANSLATE} --min-length 8 --max-length 7 one",
        "at most `max_length`. Received: min_length=8, max_length=7",
    ),
    "shorter than nothing": (
        f"{TRANSLATE} --min-length -1 one",
        "`min_length` must be at least 0 and at most `max_length`. Received: min_length=-1",
    ),
    "less than no repeats": (
        f"{TRANSLATE} --no-repeat-ngram-size -2 one",
        "`no_repeat_ngram_size` must be at least 0, where 0 allows repetition. Received: -2",
    ),
    "a prefix that is too long": (
        f"{TRANSLATE} --max-length 1 --prefix two one",
        "The prefix of text 1 has",
    ),
    "a cold sample": (
        f"{TRANSLATE} --sample --temperature 0 one",
        "`temperature` divides the logits: it must be greater than 0",
    ),
    "a sample of nothing": (
        f"{TRANSLATE} --sample --top-p 0 one",
        "greater than 0, at most 1, where 1 means all tokens. Received: 0.0",
    ),
    "a sample of more than all": (f"{TRANSLATE} --sample --top-p 1.5 one", "Received: 1.5"),
    "a sample of less than nothing": (
        f"{TRANSLATE} --sample --top-k -1 one",
        "at least 1, or 0 for all. Received: -1",
    ),
    "no samples": (
        f"{TRANSLATE} --sample --top-beams 0 one",
        "Received: top_beams=0",
    ),
    "score unequal files": (
        "score --run run --source good.en --target short.fr",
        "good.en has 41 lines, short.fr has 37: line n of one must be",
    ),
    "score a missing file": (
        "score --run run --source good.en --target missing.fr",
        "There is no file missing.fr. Expected a text file",
    ),
    "score what is not UTF-8": (
        "score --run run --source good.en --target one_bad_line.txt",
        "Line 7 of one_bad_line.txt is not UTF-8",
    ),
    "score text for gzip": (
        "score --run run --source data.gz --target good.fr",
        "data.gz has 1 lines, good.fr has 41",
    ),
    "score an archive": (
        "score --run run --source texts.tar.gz --target good.fr",
        "texts.tar.gz is a tar archive.",
    ),
    "score what was cut": (
        "score --run run --source cut.gz --target good.fr",
        "cut.gz is damaged: its compressed data cannot be read (Compressed file ended before",
    ),
    "score one side": ("score --run run --source good.en", "target"),
    "score a missing run": (
        "score --run missing --source good.en --target good.fr",
        "missing does not exist",
    ),
    "texts and files": (
        f"{TRANSLATE} --input good.en -- one",
        "Texts and --input contradict each other: leave one out.",
    ),
    "an output of standard input": (
        f"{TRANSLATE} --output new.fr",
        "--output can only be given with files: add --input.",
    ),
    "a shard of texts": (f"{TRANSLATE} --shard 1/2 one", "--shard can only be given with files"),
    "a resumed standard output": (
        f"{TRANSLATE} --input good.en --resume",
        "--resume can only be given with a file to write: add --output.",
    ),
    "a missing input": (f"{TRANSLATE} --input missing.en", "There is no file missing.en."),
    "an input that is not UTF-8": (
        f"{TRANSLATE} --input good.en one_bad_line.txt --output new.fr",
        "Line 7 of one_bad_line.txt is not UTF-8",
    ),
    "an input that was cut": (
        f"{TRANSLATE} --input cut.gz --output new.fr",
        "cut.gz is damaged: its compressed data cannot be read",
    ),
    "an output that exists": (
        f"{TRANSLATE} --input good.en --output good.fr",
        "good.fr already exists. Give another --output, or --overwrite.",
    ),
    "an output of something else": (
        f"{TRANSLATE} --input good.en --output short.fr --resume",
        "short.fr exists, but not its record .short.fr.progress.json, so what it was made from",
    ),
    "an output that is the input": (
        f"{TRANSLATE} --input empty.txt good.en --output ./good.en --overwrite",
        "--output good.en is a file that is read. Give another --output.",
    ),
    "a folder for an output": (
        f"{TRANSLATE} --input good.en --output runs",
        "--output must name a file. Received the folder runs",
    ),
    "an output in no folder": (
        f"{TRANSLATE} --input good.en --output no/new.fr",
        "The folder no of --output does not exist: create it first.",
    ),
    "a device for an output": (
        f"{TRANSLATE} --input good.en --output /dev/null --overwrite",
        "--output must name a file, which can grow. Received: /dev/null.",
    ),
    "a pipe for an input": (
        f"{TRANSLATE} --input /dev/null --output new.fr",
        "/dev/null is a pipe or a device, but this text is read more than once.",
    ),
    "an output in a bucket": (
        f"{TRANSLATE} --input good.en --output gs://bucket/new.fr",
        "gs://bucket needs a package: Please install gcsfs",
    ),
    "resumed and replaced": (
        f"{TRANSLATE} --input good.en --output new.fr --resume --overwrite",
        "--resume and --overwrite contradict each other: leave one out.",
    ),
    "a shard too many": (f"{TRANSLATE} --input good.en --shard 5/4", "Received: 5/4"),
    "a shard before the first": (f"{TRANSLATE} --input good.en --shard 0/4", "Received: 0/4"),
    "half a shard": (
        f"{TRANSLATE} --input good.en --shard 2",
        "--shard takes the number of a part and the number of all parts, from 1/4 to 4/4 for four.",
    ),
    "no buffer": (f"{TRANSLATE} --input good.en --buffer 0", "--buffer must be at least 1"),
    "files of a missing run": (
        "translate --run missing --input good.en --output new.fr",
        "missing does not exist, so it is not a finished run",
    ),
    "files without a beam": (
        f"{TRANSLATE} --input good.en --output new.fr --beam-size 0",
        "`beam_size` must be at least 1. Received: 0",
    ),
    "score a shard of standard input": (
        "score --run run --shard 1/2",
        "--shard can only be given with files: add --target.",
    ),
    "score one side of two": ("score --run run --target good.en", "--source, the file that is"),
    "evaluate without a beam": (f"evaluate --run run {EVALUATE} --beam-size 0", "Received: 0"),
    "evaluate below 0": (
        f"evaluate --run run {EVALUATE} --length-penalty -3",
        "`length_penalty` must be at least 0",
    ),
    "evaluate unequal files": (
        "evaluate --run run --source good.en --reference short.fr",
        "good.en has 41 lines, short.fr has 37: line n of one must be",
    ),
    "evaluate an empty file": (
        "evaluate --run run --source empty.txt --reference empty.txt",
        "empty.txt is empty: there is nothing to evaluate",
    ),
    "evaluate what is not UTF-8": (
        "evaluate --run run --source one_bad_line.txt --reference good.fr",
        "Line 7 of one_bad_line.txt is not UTF-8",
    ),
    "evaluate a missing file": (
        "evaluate --run run --source missing.en --reference good.fr",
        "missing.en",
    ),
    "evaluate against unequal files": (
        f"evaluate --run run {EVALUATE} --against short.fr",
        "short.fr of --against has 37 lines, good.en has 41: line n of one must be",
    ),
    "evaluate against nothing": (
        f"evaluate --run run {EVALUATE} --against missing.fr",
        "There is no file missing.fr. Expected a text file",
    ),
    "results over an input": (
        f"evaluate --run run {EVALUATE} --json good.en",
        "--json would overwrite good.en, which is read. Give another file.",
    ),
    "samples of an engine without them": (
        f"{TRANSLATE} --engine ctranslate2 --sample one",
        "--sample does not apply to --engine ctranslate2: leave one of them out.",
    ),
    "an unknown engine": (
        f"{TRANSLATE} --engine fast one",
        "`engine` must be one of keras, ctranslate2. Received: 'fast'",
    ),
    "nothing to choose among": (
        f"{TRANSLATE} --beam-size 1 --rescore run one",
        "--rescore needs translations to choose among: give --beam-size 2 or more. Received: 1",
    ),
    "one sample to choose": (
        f"{TRANSLATE} --sample --rescore run one",
        "--rescore needs translations to choose among: give --top-beams 2 or more. Received: 1",
    ),
    "a missing run to choose": (
        f"{TRANSLATE} --rescore missing one",
        "missing does not exist, so it is not a finished run.",
    ),
    "evaluate with a missing run to choose": (
        f"evaluate --run run {EVALUATE} --rescore missing",
        "missing does not exist, so it is not a finished run.",
    ),
    "a type of another engine": (
        f"{TRANSLATE} --compute-type int8 one",
        "`compute_type` is an option of the engine ctranslate2",
    ),
    "a run in a bucket": (
        "translate --run gs://bucket/run one",
        "gs://bucket/run needs a package: Please install gcsfs",
    ),
    "evaluate a text in a bucket": (
        "evaluate --run run --source gs://bucket/a.en --reference good.fr",
        "gs://bucket/a.en needs a package: Please install gcsfs",
    ),
    "export to a bucket": (
        "export --run run --output gs://bucket/served --format keras",
        "gs://bucket/served needs a package: Please install gcsfs",
    ),
    "import to a bucket": (
        "import --from marian --output gs://bucket/run",
        "gs://bucket/run needs a package: Please install gcsfs",
    ),
    "import from a bucket": (
        "import --from gs://bucket/marian --output new",
        "gs://bucket/marian needs a package: Please install gcsfs",
    ),
    "illustrate to a bucket": (
        "illustrate --run run --output gs://bucket/x.html one",
        "--output must be on a local disk. Received: gs://bucket/x.html",
    ),
    "serve a missing run": (
        "serve --run missing",
        "missing does not exist, so it is not a finished",
    ),
    "serve nothing": ("serve", "required: run"),
    "serve a damaged run": ("serve --run runs/cut_weights --port 0", "is damaged or belongs to"),
    "serve a run twice": ("serve --run run --run run", "run and run have the same name, run, by"),
    "serve at no port": (
        "serve --run run --port 70000",
        "--port must be from 0 (any free one) to 6",
    ),
    "serve elsewhere": (
        "serve --run run --host 203.0.113.7",
        "203.0.113.7, port 8000, cannot be served: Cannot assign requested address. Give another",
    ),
    "serve at no address": ("serve --run run --host no.such.host.invalid", "is no address of this"),
    "serve with no worker": ("serve --run run --workers 0", "--workers must be at least 1"),
    "serve without tokens": ("serve --run run --token-file empty.txt", "empty.txt holds no bearer"),
    "serve with a text for tokens": (
        "serve --run run --token-file good.en",
        "Token 1 of good.en must have at least 16 characters and no spaces. Make one with",
    ),
    "serve with a variable for tokens that is not set": (
        "serve --run run --token-file=",
        "irectory",
    ),
    "serve with a penalty beyond all numbers": (
        "serve --run run --length-penalty 1e308",
        "`length_penalty` must be from 0 to 10. Received: 1e+308",
    ),
    "serve with n-grams beyond all integers": (
        "serve --run run --no-repeat-ngram-size 100000000000000000000",
        "`no_repeat_ngram_size` must be from 0 to 1,000,000,000",
    ),
    "serve with a missing file of tokens": ("serve --run run --token-file no.txt", "no.txt"),
    "serve with a short queue": (
        "serve --run run --max-queue 3",
        "Received: a limit of 3 texts in the queue, 64 in a request",
    ),
    "serve no bytes": ("serve --run run --max-body 0", "The limit `body` must be greater than 0"),
    "serve for ever": ("serve --run run --max-seconds 1e10", "The limit `seconds` must be greater"),
    "serve no batch": ("serve --run run --batch-size 0", "The batch size must be at least 1"),
    "serve more hypotheses than beams": (
        "serve --run run --top-beams 5 --port 0",
        "at least 1, at most `beam_size`. Received: top_beams=5, beam_size=4",
    ),
    "serve with an unknown engine": (
        "serve --run run --engine fast --port 0",
        "`engine` must be one of keras, ctranslate2. Received: 'fast'",
    ),
    "evaluate a missing run": (f"evaluate --run missing {EVALUATE}", "missing does not exist"),
}

CASES = {
    **{f"train: {name}": (train, *case) for name, case in TRAINING.items()},
    **{f"use: {name}": (use, *case) for name, case in USING.items()},
}


def listing():
    """Every file and folder here, with what would change if it were written."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns if path.is_file() else 0)
        for path in Path().rglob("*")
    }


@pytest.mark.parametrize("name", CASES)
def test_one_line_says_what_is_wrong(name, desk, capfd):
    main, arguments, expected = CASES[name]
    with contextlib.chdir(desk):
        before = listing()
        assert main(arguments.split()) not in (0, None)
        assert listing() == before
    error = capfd.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert error.startswith("python -m ")
    assert ": error: " in error
    assert len(error) < 500
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_program_ends_with_that_line_and_a_code(desk):
    """In a process of its own: what is not UTF-8 comes through standard input."""
    before = sorted(desk.rglob("*"))
    result = subprocess.run(
        [sys.executable, "-m", "keras_transformer", "translate", "--run", str(desk / "run")],
        input=b"one two\n\xe9t\xe9\n",
        capture_output=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout.count(b"\n") == 1  # what came before is answered
    assert result.stderr.decode() == (
        "python -m keras_transformer: error: Line 2 of standard input is not UTF-8 "
        "(invalid continuation byte at byte 0). Convert it, for instance with iconv.\n"
    )
    assert sorted(desk.rglob("*")) == before


def test_a_folder_that_was_there_keeps_nothing_of_a_run_that_failed(tmp_path, desk, capsys):
    (tmp_path / "new").mkdir()
    with contextlib.chdir(desk):
        wrong = f"{PAIR} --validation-source good.en --validation-target short.fr"
        assert train([*wrong.split(), "--output", str(tmp_path / "new")]) == 1
    assert list((tmp_path / "new").iterdir()) == []


def test_interrupting_is_no_traceback(desk, monkeypatch, capsys):
    def interrupt(self, texts, *numbers, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Translator, "translate", interrupt)
    assert use(["translate", "--run", str(desk / "run"), "one"]) == 130
    assert capsys.readouterr().err == "python -m keras_transformer: error: interrupted\n"


@pytest.mark.slow
def test_standard_input_may_end_without_a_line_feed(desk, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\r\n\ntwo")))
    assert use(["translate", "--run", str(desk / "run")]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 4
    assert lines[1] == ""
