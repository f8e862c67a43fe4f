"""Commands of the command line, one function each."""

import sys

from keras_transformer.io import (
    decode_lines,
    has_file,
    local_path,
    locked_output,
    path_or_url,
    read_raw_lines,
    require_file,
    strip_line_ends,
)

BEAM_SIZE = 4


def translate(
    run: str,
    text: list[str] | None = None,
    beam_size: int = BEAM_SIZE,
    top_beams: int = 1,
    length_penalty: float = 0.6,
    max_length: int | None = None,
    min_length: int = 0,
    prefix: str = "",
    no_repeat_ngram_size: int = 0,
    scores: bool = False,
    sample: bool = False,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
) -> None:
    """Translates texts, or the lines of standard input, and prints a line for each.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        text: Texts to translate. If none is given, the lines of standard input.
        beam_size: Number of beams; 1 is greedy search.
        top_beams: Number of translations to print for each text, best first. From 2 on, each line
            holds the number of the text, the score and the translation, separated by tabs.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities.
        max_length: Maximum tokens of a translation. By default, 50 more than the text has.
        min_length: Minimum tokens of a translation.
        prefix: Text that every translation starts with.
        no_repeat_ngram_size: Forbids a sequence of this many tokens to occur twice; 0 allows it.
        scores: Whether to print the score before each translation, separated by a tab.
        sample: Whether to sample --top-beams translations at random instead of searching for them.
        temperature: For --sample. Below 1 favours probable tokens, above 1 adds variety.
        top_k: For --sample. Draws from this many of the most probable tokens only; 0 for all.
        top_p: For --sample. Draws from the smallest set of most probable tokens whose total
            probability reaches this value; 1 for all.
        seed: For --sample. Seed of the random numbers.
    """
    from keras_transformer import Sampling, Translator

    sampling = Sampling(temperature, top_k, top_p, seed)
    if not sample and sampling != Sampling():
        raise ValueError(
            "--temperature, --top-k, --top-p and --seed only apply to sampling: add --sample."
        )
    if sample and beam_size != BEAM_SIZE:
        raise ValueError(
            "--beam-size only applies to beam search, and --sample draws --top-beams samples "
            "instead: leave one of the two out."
        )
    translator = Translator.load(run)
    name = "standard input"
    texts = text or decode_lines(strip_line_ends(sys.stdin.buffer, name), name)
    translations = translator.translate(
        texts,
        beam_size,
        top_beams,
        length_penalty,
        max_length=max_length,
        min_length=min_length,
        prefixes=[prefix] * len(texts),
        no_repeat_ngram_size=no_repeat_ngram_size,
        sampling=sampling if sample else None,
        progress=_progress(len(texts)),
    )
    _warn_about_split_lines(translator, translations)
    for number, translation in enumerate(translations, start=1):
        if top_beams == 1:
            score = f"{translation.score:.4f}\t" if scores else ""
            print(f"{score}{_one_line(translation.text)}")
        else:
            for hypothesis in translation.hypotheses:
                print(f"{number}\t{hypothesis.score:.4f}\t{_one_line(hypothesis.text)}")


def score(run: str, source: str, target: str, tokens: bool = False) -> None:
    """Prints the log-probability of each line of one file as the translation of another file's.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        source: Text file with one sentence per line, plain or .gz.
        target: Text file with the translation of each line.
        tokens: Whether to print the log-probability of every token, too.
    """
    from keras_transformer import Translator

    sources, targets = _read_pairs(source, target)
    for result in Translator.load(run).score(sources, targets):
        pairs = zip(result.tokens, result.token_log_probs, strict=True)
        columns = [f"{token} {log_prob:.4f}" for token, log_prob in pairs] if tokens else []
        print("\t".join([f"{result.log_prob:.4f}", *columns]))


def evaluate(
    run: str,
    source: str,
    reference: str,
    words: str = "",
    beam_size: int = BEAM_SIZE,
    length_penalty: float = 0.6,
    moses: str = "",
) -> None:
    """Translates a file and compares the translations with reference translations.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        source: Text file to translate, with one sentence per line, plain or .gz.
        reference: Text file with the reference translation of each line.
        words: Comma-separated words, such as il,elle, whose use is compared, too.
        beam_size: Number of beams; 1 is greedy search.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities.
        moses: Code of the target language, such as de. Adds the lower-cased BLEU over Moses tokens
            that many papers report (needs sacremoses).
    """
    from keras_transformer import Translator
    from keras_transformer.training import evaluation

    if moses:
        evaluation.moses_tokens([], moses)  # fails now, not after an hour of translation
    compared_words = [word.strip() for word in words.split(",") if word.strip()]
    evaluation.word_agreement([], [], compared_words)  # fails now, likewise
    sources, references = _read_pairs(source, reference)
    if not sources:
        raise ValueError(f"{source} is empty: there is nothing to evaluate.")
    translator = Translator.load(run)
    translations = translator.translate(
        sources, beam_size, length_penalty=length_penalty, progress=_progress(len(sources))
    )
    _warn_about_split_lines(translator, translations)
    texts = [translation.text for translation in translations]
    print("\n".join(evaluation.report(texts, references, compared_words, moses)))


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
        top_beams: Number of translations of each text, best first. By default, 1.
        length_penalty: Exponent of the length penalty; 0 disables it. By default, 0.6.
        max_length: Maximum tokens of a translation. By default, 50 more than the text has.
        xla: Whether to compile the search with XLA.
        quantize: int8 reduces the size to a quarter.
    """
    from keras_transformer import Translator, formats

    arguments = {
        "beam_size": beam_size,
        "top_beams": top_beams,
        "length_penalty": length_penalty,
        "max_length": max_length,
        "xla": xla or None,
        "quantize": quantize,
    }
    options = {name: value for name, value in arguments.items() if value is not None}
    formats.export(Translator.load(run), output, format, **options)


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


def _read_pairs(source: str, target: str) -> tuple[list[str], list[str]]:
    """Reads the lines of two parallel files, which must have the same number of lines."""
    files = [(path, require_file(path, read_again=False)) for path in (source, target)]
    sources, targets = (decode_lines(read_raw_lines(file), name) for name, file in files)
    if len(sources) != len(targets):
        raise ValueError(
            f"{source} has {len(sources)} lines, {target} has {len(targets)}: line n of one "
            "must be the translation of line n of the other."
        )
    return sources, targets


def _one_line(text: str) -> str:
    """Replaces line breaks by spaces."""
    return " ".join(text.splitlines())


def _warn_about_split_lines(translator, translations) -> None:
    """Warns of every line that was too long for the model and was split."""
    for number, translation in enumerate(translations, start=1):
        if translation.parts > 1:
            print(
                f"Line {number} is longer than the {translator.max_source_length} tokens that the "
                f"model reads: it was translated in {translation.parts} pieces.",
                file=sys.stderr,
            )


def _progress(lines: int):
    """Returns a callback that draws a progress bar; `None` for few lines or without a terminal."""
    if lines < 100 or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = tqdm(total=lines, unit="line", file=sys.stderr)

    def update(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return update
