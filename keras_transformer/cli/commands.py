"""Commands of the command line, one function each."""

import contextlib

from keras_transformer.cli.image_commands import illustrate_image
from keras_transformer.cli.inputs import (
    given_source,
    holds_language_model,
    refuse_options_of_translators,
)
from keras_transformer.cli.streams import (
    FileOptions,
    from_files,
    from_standard_input,
    read_pairs_from_standard_input,
    read_pipes,
    read_standard_input,
)
from keras_transformer.io import (
    has_file,
    local_file,
    local_path,
    locked_output,
    path_or_url,
    require_file,
)


def score(
    run: str,
    target: str = "",
    source: str = "",
    tokens: bool = False,
    engine: str = "keras",
    compute_type: str = "float32",
    output: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    shard: str = "",
    buffer: int = 4096,
) -> None:
    """Prints the log-probability of each line of a file, as a translation or as a text.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        target: Text file with the translation of each line; for a language model, with a text in
            each line. By default, standard input is read: a text and its translation in each line,
            separated by a tab; for a language model, a text.
        source: Text file with one sentence per line, plain or compressed. A language model needs
            none.
        tokens: Whether to print the log-probability of every token, too.
        engine: keras, or ctranslate2, which is faster on a CPU.
        compute_type: Of ctranslate2, such as int8.
        output: File to write, or its URL; compressed with the suffix .gz. It grows by whole lines.
        resume: Whether to go on with an unfinished --output.
        overwrite: Whether to replace an existing --output.
        shard: Part of the lines of the files, such as 2/4.
        buffer: Lines to read ahead, from which batches are made.
    """
    from keras_transformer import TextGenerator, Translator

    files = FileOptions(output or "", resume, overwrite, shard, buffer)
    is_language_model = holds_language_model(run)
    if is_language_model:
        given = {
            "source": source,
            "engine": engine != "keras",
            "compute-type": compute_type != "float32",
        }
        refuse_options_of_translators(given, "score --run RUN --target FILE")
    elif target:
        given_source(source)
    elif source:
        raise ValueError("A translator's run needs --target, too: the translation of each line.")
    files.check(has_files=bool(target), usage="--target")
    job = {"command": "score", "tokens": tokens, "engine": engine, "compute_type": compute_type}
    with _stream(files, source, target, run, is_language_model, job) as stream:
        if stream.finished:
            return
        if is_language_model:
            generator = TextGenerator.load(run)
            stream.answer(lambda texts, start: generator.score(texts), _score_lines(tokens))
        else:
            translator = Translator.load(run, engine, compute_type)
            stream.answer(
                lambda pairs, start: translator.score(*zip(*pairs, strict=True)),
                _score_lines(tokens),
            )


def _stream(files: FileOptions, source: str, target: str, run, is_language_model, job: dict):
    """Returns a context manager of the stream of files, or of standard input."""
    sides = [[path] for path in (source, target) if path]
    if not sides:
        read = read_standard_input if is_language_model else read_pairs_from_standard_input
        return contextlib.nullcontext(from_standard_input(files, read))
    paths = [require_file(path, read_again=False) for (path,) in sides]
    if all(path.is_file() for path in paths):
        return from_files(files, sides, run, job)
    if files.output or files.shard:
        for path in paths:
            require_file(path)  # says that a pipe cannot be read twice
    return contextlib.nullcontext(from_standard_input(files, lambda: read_pipes(*paths)))


def _score_lines(tokens: bool):
    """Returns a function of a score that returns its line."""

    def lines(score, number: int) -> list[str]:
        pairs = zip(score.tokens, score.token_log_probs, strict=True)
        columns = [f"{token} {log_prob:.4f}" for token, log_prob in pairs] if tokens else []
        return ["\t".join([f"{score.log_prob:.4f}", *columns])]

    return lines


def export(
    run: str,
    output: str,
    format: str = "saved_model",
    beam_size: int | None = None,
    top_beams: int | None = None,
    length_penalty: float | None = None,
    max_length: int | None = None,
    xla: bool = False,
    quantize: str | None = None,
    shortlist: bool = False,
) -> None:
    """Exports a finished run to a format of other programs. The run itself is not changed.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        output: Folder to write, or its URL. It is written atomically.
        format: saved_model (strings to strings, for TensorFlow and TensorFlow Serving), ctranslate2
            or keras. The options below only apply to saved_model.
        beam_size: Number of beams; 1 is greedy search. By default, 4.
        top_beams: Number of translations or continuations of each text, best first. By default, 1.
        length_penalty: Exponent of the length penalty; 0 disables it. By default, 0.6.
        max_length: Maximum tokens of a translation or continuation. By default, 50 more than the
            text has; 64 for a language model.
        xla: Whether to compile the search with XLA.
        quantize: int8 reduces the size to a quarter.
        shortlist: Whether to search with the run's shortlist.
    """
    from keras_transformer import TextGenerator, Translator, formats

    arguments = {
        "beam_size": beam_size,
        "top_beams": top_beams,
        "length_penalty": length_penalty,
        "max_length": max_length,
        "xla": xla or None,
        "quantize": quantize,
    }
    options = {name: value for name, value in arguments.items() if value is not None}
    if holds_language_model(run):
        refuse_options_of_translators({"shortlist": shortlist}, "export --run RUN --output FOLDER")
        formats.export(TextGenerator.load(run), output, format, **options)
        return
    if shortlist and format != "saved_model":
        raise ValueError(f"--shortlist only applies to saved_model. Received: --format {format}")
    translator = Translator.load(run, shortlist=True) if shortlist else Translator.load(run)
    formats.export(translator, output, format, **options)


def illustrate(
    run: str,
    output: str,
    text: str = "",
    reference: str = "",
    beam_size: int | None = None,
    length_penalty: float | None = None,
    image: str = "",
    image_class: int | None = None,
    enlarge: str = "",
    seed: int | None = None,
) -> None:
    """Writes an HTML page that shows, figure by figure, how the model translates a sentence, or,
    step by step, how it draws an image.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        output: HTML file to write, on a local disk. It is self-contained.
        text: The sentence to translate.
        reference: Reference translation. By default, the translation of the model is used.
        beam_size: Number of beams, and of translations that are shown. By default, 2.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities. By
            default, 0.6.
        image: PNG file of the image, of a run that draws images. By default, the run draws one.
        image_class: Class of the image, passed as --class, from 0, of a run with classes.
        enlarge: PNG file of a small image, of a run that enlarges images.
        seed: Seed of the image that is drawn. By default, 0.
    """
    from keras_transformer import Translator
    from keras_transformer.illustrate import page
    from keras_transformer.translation.run_folder import run_kind

    output = local_path(output, "--output")
    if output.is_dir():
        raise ValueError(f"--output must name an .html file. Received the folder {output}")
    if not output.parent.is_dir():
        raise ValueError(f"The folder {output.parent} of --output does not exist: create it first.")
    of_texts = {"reference": reference, "beam_size": beam_size, "length_penalty": length_penalty}
    of_images = {"image": image, "class": image_class, "enlarge": enlarge, "seed": seed}
    is_of_images = run_kind(run) == "images"
    unwanted = {"text": text, **of_texts} if is_of_images else of_images
    given = [name for name, value in unwanted.items() if value not in (None, "")]
    if given:
        other = "draws images" if is_of_images else "translates: give it a sentence"
        options = ", ".join(name if name == "text" else f"--{name}" for name in given)
        raise ValueError(f"{run} {other}. Received: {options.replace('_', '-')}")
    if is_of_images:
        illustrate_image(run, image, image_class, enlarge, seed or 0).save(output)
        return
    chosen = {name: value for name, value in of_texts.items() if value is not None}
    page(Translator.load(run), text, **chosen).save(output)


def shortlist(
    run: str,
    source: str,
    target: str,
    candidates: int = 16,
    num_frequent: int = 64,
    size: int = 256,
    max_pairs: int = 200_000,
) -> None:
    """Adds a lexical shortlist to a run, for a faster search with --shortlist.

    Args:
        run: Folder of a finished run, on a local disk.
        source: Text file with sentences, plain or compressed, as a rule those of the training.
        target: Text file with their translations.
        candidates: Number of likely translations of each token.
        num_frequent: Number of frequent tokens that every translation may use.
        size: Number of tokens that a translation may use altogether.
        max_pairs: Number of sentence pairs to learn from at most.
    """
    from keras_transformer import Translator
    from keras_transformer.data import ParallelFiles
    from keras_transformer.translation import make_shortlist
    from keras_transformer.translation.run_folder import SHORTLIST, save_shortlist

    folder = local_path(run, "--run")
    pairs = ParallelFiles(source, target)
    translator = Translator.load(folder)  # says what is wrong before the folder is locked
    with locked_output(folder, "shortlist"):
        made = make_shortlist(
            translator,
            pairs,
            candidates=candidates,
            num_frequent=num_frequent,
            size=size,
            max_pairs=max_pairs,
        )
        save_shortlist(made, folder)
    print(f"{folder / SHORTLIST}: {made.size} tokens for each sentence")


def adapt(run: str, adapter: str, output: str) -> None:
    """Merges an adapter, trained with --lora-rank, into the run that it was trained from.

    Args:
        run: Folder of the finished run, or its URL, such as s3://bucket/run.
        adapter: File adapter.weights.h5 of the run that was trained from it, or its URL.
        output: Folder of the run to write, or its URL.
    """
    from keras_transformer import TextGenerator, Translator, load_adapter, merge_adapter

    with _new_run(output, "adapt"):
        kind = TextGenerator if holds_language_model(run) else Translator
        loaded = kind.load(run)
        load_adapter(loaded.model, local_file(path_or_url(adapter)))
        merge_adapter(loaded.model)
        loaded.save(output)


def import_(checkpoint: str, output: str) -> None:
    """Converts a Marian checkpoint, such as an OPUS-MT model, to a run.

    Args:
        checkpoint: Folder of the checkpoint, or its URL, passed as --from: that of a
            `MarianMTModel`, with config.json, or of a release of Marian's, with decoder.yml.
        output: Folder of the run to write, or its URL.
    """
    from keras_transformer.formats import import_marian

    with _new_run(output, "import"):
        import_marian(checkpoint).save(output)


@contextlib.contextmanager
def _new_run(output: str, work: str):
    """Returns a context manager that locks the folder of a run to write, which must be new."""
    output = path_or_url(output)
    with locked_output(output, work):
        if has_file(output, "run.json"):
            raise ValueError(f"{output} holds a finished run. Give another --output.")
        yield
