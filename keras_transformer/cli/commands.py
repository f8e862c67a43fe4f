"""Commands of the command line, one function each."""

from keras_transformer.cli.inputs import (
    given_source,
    holds_language_model,
    read_lines,
    read_pairs,
    refuse_options_of_translators,
)
from keras_transformer.io import has_file, local_path, locked_output, path_or_url


def score(
    run: str,
    target: str,
    source: str = "",
    tokens: bool = False,
    engine: str = "keras",
    compute_type: str = "float32",
) -> None:
    """Prints the log-probability of each line of a file, as a translation or as a text.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        target: Text file with the translation of each line; for a language model, with a text in
            each line.
        source: Text file with one sentence per line, plain or .gz. A language model needs none.
        tokens: Whether to print the log-probability of every token, too.
        engine: keras, or ctranslate2, which is faster on a CPU.
        compute_type: Of ctranslate2, such as int8.
    """
    from keras_transformer import TextGenerator, Translator

    if holds_language_model(run):
        options = {
            "source": source,
            "engine": engine != "keras",
            "compute-type": compute_type != "float32",
        }
        refuse_options_of_translators(options, "score --run RUN --target FILE")
        texts = read_lines(target)
        results = TextGenerator.load(run).score(texts)
    else:
        sources, targets = read_pairs(given_source(source), target)
        results = Translator.load(run, engine, compute_type).score(sources, targets)
    for result in results:
        pairs = zip(result.tokens, result.token_log_probs, strict=True)
        columns = [f"{token} {log_prob:.4f}" for token, log_prob in pairs] if tokens else []
        print("\t".join([f"{result.log_prob:.4f}", *columns]))


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
    kind = TextGenerator if holds_language_model(run) else Translator
    formats.export(kind.load(run), output, format, **options)


def illustrate(
    run: str,
    text: str,
    output: str,
    reference: str = "",
    beam_size: int = 2,
    length_penalty: float = 0.6,
) -> None:
    """Writes an HTML page that shows, figure by figure, how the model translates a sentence.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        text: The sentence to translate.
        output: HTML file to write, on a local disk. It is self-contained.
        reference: Reference translation. By default, the translation of the model is used.
        beam_size: Number of beams, and of translations that are shown.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities.
    """
    from keras_transformer import Translator
    from keras_transformer.illustrate import page

    output = local_path(output, "--output")
    if output.is_dir():
        raise ValueError(f"--output must name an .html file. Received the folder {output}")
    if not output.parent.is_dir():
        raise ValueError(f"The folder {output.parent} of --output does not exist: create it first.")
    page(Translator.load(run), text, reference, beam_size, length_penalty).save(output)


def import_(checkpoint: str, output: str) -> None:
    """Converts a Marian checkpoint, such as an OPUS-MT model, to a run.

    Args:
        checkpoint: Folder of the checkpoint, or its URL, passed as --from.
        output: Folder of the run to write, or its URL.
    """
    from keras_transformer.formats import import_marian

    output = path_or_url(output)
    with locked_output(output, "import"):
        if has_file(output, "run.json"):
            raise ValueError(f"{output} holds a finished run. Give another --output.")
        import_marian(checkpoint).save(output)
