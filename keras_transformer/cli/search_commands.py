"""Commands that search: `translate` and `generate`, and what they print."""

import sys

from keras_transformer.io import decode_lines, strip_line_ends

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
    engine: str = "keras",
    compute_type: str = "float32",
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
        engine: keras, or ctranslate2, which is faster on a CPU.
        compute_type: Of ctranslate2, such as int8.
    """
    from keras_transformer import Sampling, Translator

    sampling = Sampling(temperature, top_k, top_p, seed)
    _check_sampling_options(sample, sampling, beam_size)
    translator = Translator.load(run, engine, compute_type)
    texts = _given_or_read(text)
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
        progress=progress_bar(len(texts)),
    )
    warn_about_split_lines(translator, translations)
    _print_results(translations, top_beams, scores)


def generate(
    run: str,
    text: list[str] | None = None,
    beam_size: int = BEAM_SIZE,
    top_beams: int = 1,
    length_penalty: float = 0.6,
    max_length: int = 64,
    min_length: int = 0,
    no_repeat_ngram_size: int = 0,
    scores: bool = False,
    sample: bool = False,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
) -> None:
    """Continues prompts, or the lines of standard input, and prints a line for each.

    Args:
        run: Folder of a finished run of a language model, or its URL, such as s3://bucket/run.
        text: Prompts to continue. If none is given, the lines of standard input.
        beam_size: Number of beams; 1 is greedy search.
        top_beams: Number of texts to print for each prompt, best first. From 2 on, each line holds
            the number of the prompt, the score and the text, separated by tabs.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities.
        max_length: Maximum tokens after the prompt.
        min_length: Minimum tokens after the prompt.
        no_repeat_ngram_size: Forbids a sequence of this many tokens to occur twice; 0 allows it.
        scores: Whether to print the score before each text, separated by a tab.
        sample: Whether to sample --top-beams texts at random instead of searching for them.
        temperature: For --sample. Below 1 favours probable tokens, above 1 adds variety.
        top_k: For --sample. Draws from this many of the most probable tokens only; 0 for all.
        top_p: For --sample. Draws from the smallest set of most probable tokens whose total
            probability reaches this value; 1 for all.
        seed: For --sample. Seed of the random numbers.
    """
    from keras_transformer import Sampling, TextGenerator

    sampling = Sampling(temperature, top_k, top_p, seed)
    _check_sampling_options(sample, sampling, beam_size)
    generator = TextGenerator.load(run)
    texts = _given_or_read(text)
    results = generator.generate(
        texts,
        beam_size,
        top_beams,
        length_penalty,
        max_length=max_length,
        min_length=min_length,
        no_repeat_ngram_size=no_repeat_ngram_size,
        sampling=sampling if sample else None,
        progress=progress_bar(len(texts)),
    )
    _print_results(results, top_beams, scores)


def _check_sampling_options(sample: bool, sampling, beam_size: int) -> None:
    """Raises a `ValueError` if options of sampling and of beam search are mixed."""
    if not sample and sampling != type(sampling)():
        raise ValueError(
            "--temperature, --top-k, --top-p and --seed only apply to sampling: add --sample."
        )
    if sample and beam_size != BEAM_SIZE:
        raise ValueError(
            "--beam-size only applies to beam search, and --sample draws --top-beams samples "
            "instead: leave one of the two out."
        )


def _given_or_read(texts: list[str] | None) -> list[str]:
    """Returns the texts of the command line, or else the lines of standard input."""
    name = "standard input"
    return texts or decode_lines(strip_line_ends(sys.stdin.buffer, name), name)


def _print_results(results, top_beams: int, scores: bool) -> None:
    """Prints a line for each result, or for each of its hypotheses."""
    for number, result in enumerate(results, start=1):
        if top_beams == 1:
            score = f"{result.score:.4f}\t" if scores else ""
            print(f"{score}{one_line(result.text)}")
        else:
            for hypothesis in result.hypotheses:
                print(f"{number}\t{hypothesis.score:.4f}\t{one_line(hypothesis.text)}")


def one_line(text: str) -> str:
    """Replaces line breaks by spaces."""
    return " ".join(text.splitlines())


def warn_about_split_lines(translator, translations) -> None:
    """Warns of every line that was too long for the model and was split."""
    for number, translation in enumerate(translations, start=1):
        if translation.parts > 1:
            print(
                f"Line {number} is longer than the {translator.max_source_length} tokens that the "
                f"model reads: it was translated in {translation.parts} pieces.",
                file=sys.stderr,
            )


def progress_bar(lines: int):
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
