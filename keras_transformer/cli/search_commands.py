"""Commands that search: `translate` and `generate`, and what they print."""

import contextlib
import sys
from collections.abc import Callable

from keras_transformer.cli.rescoring import check_rescoring, make_rescorer
from keras_transformer.cli.streams import (
    FileOptions,
    Stream,
    fingerprint_of_run,
    fingerprint_of_shortlist,
    from_files,
    from_standard_input,
)
from keras_transformer.io import path_or_url

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
    shortlist: bool = False,
    rescore: str = "",
    input: list[str] | None = None,
    output: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    shard: str = "",
    buffer: int = 4096,
) -> None:
    """Translates texts, or the lines of standard input or of files, a line for each.

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
        shortlist: Whether to choose among likely translations of the text's words only, which is
            faster; for a run with a shortlist, made by the command shortlist.
        rescore: Another run, or its URL, whose scores choose among the translations of all beams,
            or of all samples. A text that is translated in several parts stays as it is.
        input: Text files to read, one after the other, plain or compressed, or their URLs.
        output: For --input. File to write, or its URL; compressed with the suffix .gz. It grows by
            whole lines.
        resume: Whether to go on with an unfinished --output.
        overwrite: Whether to replace an existing --output.
        shard: For --input. Part of the lines, such as 2/4. The outputs of 1/4 to 4/4, put together
            in order, are that of all lines.
        buffer: Lines to read ahead, from which batches are made.
    """
    from keras_transformer import Sampling, Translator

    sampling = Sampling(temperature, top_k, top_p, seed)
    _check_sampling_options(sample, sampling, beam_size, engine, shortlist)
    options = {
        "beam_size": beam_size,
        "top_beams": top_beams,
        "length_penalty": length_penalty,
        "max_length": max_length,
        "min_length": min_length,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "sampling": sampling if sample else None,
    }
    candidates = top_beams if sample else beam_size
    check_rescoring(rescore, candidates, sample)
    engines = {"engine": engine, "compute_type": compute_type}
    job = {"command": "translate", "prefix": prefix, "scores": scores, **options, **engines}
    job |= _fingerprints(run, shortlist, rescore) if output else {}
    files = FileOptions(output or "", resume, overwrite, shard, buffer)
    with _stream(files, text, input, run, job) as stream:
        if stream and stream.finished:
            return
        translator = Translator.load(run, engine, compute_type, shortlist)
        rescored = make_rescorer(rescore, length_penalty)
        options["top_beams"] = max(candidates, top_beams) if rescore else top_beams

        def search(texts: list[str], start: int = 0, progress=None) -> list:
            given = {**options, "prefixes": [prefix] * len(texts), "start": start}
            found = translator.translate(texts, progress=progress, **given)
            warn_about_split_lines(translator, found, start)
            return rescored(texts, found)

        _answer(stream, text, search, lambda one, n: _lines(one, n, top_beams, scores))


def _fingerprints(run, shortlist: bool, rescore: str) -> dict:
    """Returns what identifies the files that translations depend on, beside the run."""
    found = {"shortlist": fingerprint_of_shortlist(path_or_url(run))} if shortlist else {}
    return found | ({"rescore": fingerprint_of_run(path_or_url(rescore))} if rescore else {})


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
    input: list[str] | None = None,
    output: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    shard: str = "",
    buffer: int = 4096,
) -> None:
    """Continues prompts, or the lines of standard input or of files, a line for each.

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
        input: Text files to read, one after the other, plain or compressed, or their URLs.
        output: For --input. File to write, or its URL; compressed with the suffix .gz. It grows by
            whole lines.
        resume: Whether to go on with an unfinished --output.
        overwrite: Whether to replace an existing --output.
        shard: For --input. Part of the lines, such as 2/4. The outputs of 1/4 to 4/4, put together
            in order, are that of all lines.
        buffer: Lines to read ahead, from which batches are made.
    """
    from keras_transformer import Sampling, TextGenerator

    sampling = Sampling(temperature, top_k, top_p, seed)
    _check_sampling_options(sample, sampling, beam_size)
    options = {
        "beam_size": beam_size,
        "top_beams": top_beams,
        "length_penalty": length_penalty,
        "max_length": max_length,
        "min_length": min_length,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "sampling": sampling if sample else None,
    }
    files = FileOptions(output or "", resume, overwrite, shard, buffer)
    job = {"command": "generate", "scores": scores, **options}
    with _stream(files, text, input, run, job) as stream:
        if stream and stream.finished:
            return
        generator = TextGenerator.load(run)

        def search(prompts: list[str], start: int = 0, progress=None) -> list:
            return generator.generate(prompts, start=start, progress=progress, **options)

        _answer(stream, text, search, lambda one, n: _lines(one, n, top_beams, scores))


def _check_sampling_options(
    sample: bool, sampling, beam_size: int, engine: str = "keras", shortlist: bool = False
) -> None:
    """Raises a `ValueError` if options of sampling and of beam search or the engine are mixed."""
    if not sample and sampling != type(sampling)():
        raise ValueError(
            "--temperature, --top-k, --top-p and --seed only apply to sampling: add --sample."
        )
    if sample and beam_size != BEAM_SIZE:
        raise ValueError(
            "--beam-size only applies to beam search, and --sample draws --top-beams samples "
            "instead: leave one of the two out."
        )
    if sample and shortlist:
        raise ValueError("--shortlist only applies to beam search: leave it or --sample out.")
    if sample and engine == "ctranslate2":
        raise ValueError("--sample does not apply to --engine ctranslate2: leave one of them out.")


def _stream(files: FileOptions, text: list[str] | None, input: list[str] | None, run, job: dict):
    """Returns a context manager of the stream of a command; of `None` if texts are given."""
    files.check(has_files=bool(input), usage="--input")
    if text and input:
        raise ValueError("Texts and --input contradict each other: leave one out.")
    if input:
        if job["sampling"]:
            job = {**job, "sampling": repr(job["sampling"])}
        return from_files(files, [input], run, job)
    return contextlib.nullcontext(None if text else from_standard_input(files))


def _answer(stream: Stream | None, text: list[str] | None, search: Callable, to_lines) -> None:
    """Prints the results of texts, or writes those of a stream."""
    if stream is None:
        results = search(text, progress=progress_bar(len(text)))
        for number, result in enumerate(results, start=1):
            for line in to_lines(result, number):
                print(line)
        return
    search([])  # refuses options before anything is read
    stream.answer(search, to_lines)


def _lines(result, number: int, top_beams: int, scores: bool) -> list[str]:
    """Returns the line of a result, or those of its hypotheses."""
    if top_beams == 1:
        score = f"{result.score:.4f}\t" if scores else ""
        return [f"{score}{one_line(result.text)}"]
    best = result.hypotheses[:top_beams]
    return [f"{number}\t{one.score:.4f}\t{one_line(one.text)}" for one in best]


def one_line(text: str) -> str:
    """Replaces line breaks by spaces."""
    return " ".join(text.splitlines())


def warn_about_split_lines(translator, translations, start: int = 0) -> None:
    """Warns of every line that was too long for the model and was split."""
    for number, translation in enumerate(translations, start + 1):
        if translation.parts > 1:
            print(
                f"Line {number} is longer than the {translator.max_source_length} tokens that the "
                f"model reads: it was translated in {translation.parts} pieces.",
                file=sys.stderr,
            )


def progress_bar(count: int, unit: str = "line", least: int = 100):
    """Returns a callback that draws a progress bar; `None` for few units or without a terminal."""
    if count < least or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = tqdm(total=count, unit=unit, file=sys.stderr)

    def update(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return update
