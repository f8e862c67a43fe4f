"""The command `evaluate`: translations against references, systems against each other."""

import dataclasses
from pathlib import Path

from keras_transformer.cli.inputs import (
    System,
    given_source,
    holds_language_model,
    read_lines,
    read_pairs,
    refuse_options_of_translators,
)
from keras_transformer.cli.rescoring import check_rescoring, make_rescorer
from keras_transformer.cli.search_commands import (
    BEAM_SIZE,
    progress_bar,
    warn_about_split_lines,
)
from keras_transformer.io import has_file, is_url, local_path, path_or_url

DEFAULTS = {  # of `evaluate`
    "beam_size": BEAM_SIZE,
    "length_penalty": 0.6,
    "bleu_tokenizer": "auto",
    "engine": "keras",
    "compute_type": "float32",
    "shortlist": False,
    "rescore": "",
}


def evaluate(
    run: str,
    reference: str,
    source: str = "",
    tag: str = "",
    words: str = "",
    beam_size: int = BEAM_SIZE,
    length_penalty: float = 0.6,
    moses: str = "",
    bleu_tokenizer: str = "auto",
    against: list[str] | None = None,
    json: str = "",
    engine: str = "keras",
    compute_type: str = "float32",
    shortlist: bool = False,
    rescore: str = "",
) -> None:
    """Translates a file and compares it with references, or measures a language model on a text.

    Args:
        run: Folder of a finished run, or its URL, such as s3://bucket/run.
        reference: Text file with the reference translation of each line. Of a language model, a
            text file, whose perplexity and bits per character are printed; its lines or paragraphs
            are documents, as in the training.
        source: Text file to translate, with one sentence per line, plain or compressed. This and
            the options below, but for --json, are not for language models.
        tag: Language to translate to, such as fr, of a run with several: every line is given the
            tag >>fr<<.
        words: Comma-separated words, such as il,elle, whose use is compared, too.
        beam_size: Number of beams; 1 is greedy search.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities.
        moses: Code of the target language, such as de. Adds the lower-cased BLEU over Moses tokens
            that many papers report (needs sacremoses).
        bleu_tokenizer: Tokenizer of sacreBLEU, such as 13a, zh, ja-mecab or char. auto chooses it
            by the run's target language, or by the script of the references.
        against: Other systems to compare the run with: run folders, or files of translations, one a
            line. Prints BLEU, chrF and TER with paired significance tests.
        json: File for all results.
        engine: keras, or ctranslate2, which is faster on a CPU.
        compute_type: Of ctranslate2, such as int8.
        shortlist: Whether the run, but none of --against, is searched with its shortlist.
        rescore: Another run, or its URL, whose scores choose among the translations of all beams of
            the run. A text of several parts stays as it is.
    """
    from keras_transformer import Translator
    from keras_transformer.cli import comparison_report
    from keras_transformer.training import evaluation
    from keras_transformer.training.bleu import make_bleu

    output = _json_path(json, [source, reference, *(against or [])], [run, *(against or [])])
    engines = {"engine": engine, "compute_type": compute_type}
    search = {"beam_size": beam_size, "length_penalty": length_penalty}
    if holds_language_model(run):
        texts = {"source": source, "tag": tag, "words": words, "moses": moses, "against": against}
        others = {"bleu_tokenizer": bleu_tokenizer, "rescore": rescore, "shortlist": shortlist}
        _refuse_for_language_model(texts, {**search, **engines, **others})
        return _measure(run, reference, output)
    check_rescoring(rescore, beam_size)
    if moses:
        evaluation.moses_tokens([], moses)  # fails now, not after an hour of translation
    compared_words = [word.strip() for word in words.split(",") if word.strip()]
    evaluation.word_agreement([], [], compared_words)  # fails now, likewise
    make_bleu(bleu_tokenizer)
    sources, references = read_pairs(given_source(source), reference)
    if not sources:
        raise ValueError(f"{source} is empty: there is nothing to evaluate.")
    sources = _with_tag(sources, tag)
    others = [_find_system(name, len(sources), source, reference) for name in against or []]
    translator = Translator.load(run, **engines, shortlist=shortlist)
    language = str(translator.about.get("target_language", ""))
    texts = _translate(translator, sources, search, rescore)
    systems = [System(str(run), "run", texts)]
    systems += [
        found or _system_of_run(name, sources, search, engines)
        for name, found in zip(against or [], others, strict=True)
    ]
    bleu = make_bleu(bleu_tokenizer, language, references)
    print("\n".join(evaluation.report(texts, references, compared_words, moses, bleu)))
    if against or output is not None:
        about = {"source": source, "reference": reference, "sentences": len(references)}
        about |= {"tag": tag, **search, **engines, "rescore": rescore, "shortlist": shortlist}
        results = comparison_report.assess(systems, references, compared_words, moses, bleu)
        _report_systems(results, about, bool(against), output)
    return None


def _refuse_for_language_model(given: dict, chosen: dict) -> None:
    """Raises a ValueError if options are given, or chosen, that a language model's run has not."""
    options = dict(given)
    for name, value in chosen.items():
        options[name.replace("_", "-")] = value != DEFAULTS[name]
    refuse_options_of_translators(options, "evaluate --run RUN --reference FILE [--json FILE]")


def _report_systems(results: list[dict], about: dict, compare: bool, output: Path | None) -> None:
    """Prints the table of several systems, and writes the file of all results."""
    from keras_transformer.cli import comparison_report

    if compare:
        print("\n".join(["", *comparison_report.table(results)]))
    if output is not None:
        about = about | {"significance": comparison_report.tests()}
        comparison_report.write_json(output, about | {"systems": results})


def _with_tag(sources: list[str], tag: str) -> list[str]:
    """Returns the sources with a tag at their start, if one is given."""
    from keras_transformer.text import tag_of

    return [f"{tag_of(tag)} {text}" for text in sources] if tag else sources


def _system_of_run(name: str, sources: list[str], search: dict, engines: dict) -> System:
    """Returns the translations by a run of --against."""
    from keras_transformer import Translator

    translator = Translator.load(path_or_url(name), **engines)
    return System(name, "run", _translate(translator, sources, search))


def _translate(translator, sources: list[str], search: dict, rescore: str = "") -> list[str]:
    """Returns the translations, chosen by the run `rescore` if there is one."""
    rescored = make_rescorer(rescore, search["length_penalty"])
    search = search | ({"top_beams": search["beam_size"]} if rescore else {})
    translations = translator.translate(sources, **search, progress=progress_bar(len(sources)))
    warn_about_split_lines(translator, translations)
    return [translation.text for translation in rescored(sources, translations)]


def _find_system(name: str, sources: int, source: str, reference: str) -> System | None:
    """Returns the translations in a file of --against; `None` for a run, which can be read.

    Raises:
        ValueError: The file has another number of lines or is the reference, or the folder is not a
            translator's run.
        FileNotFoundError: There is neither.
    """
    from keras_transformer.translation.run_folder import check_translator

    place = path_or_url(name)
    if place == path_or_url(reference):
        raise ValueError(f"{name} of --against is the --reference itself. Give translations.")
    is_run = has_file(place, "run.json") if isinstance(place, str) else place.is_dir()
    if is_run:
        check_translator(place)
        return None
    texts = read_lines(name)
    if len(texts) != sources:
        raise ValueError(
            f"{name} of --against has {len(texts)} lines, {source} has {sources}: line n of one "
            "must be the translation of line n of the other."
        )
    return System(name, "file", texts)


def _json_path(json: str, inputs: list[str], runs: list[str]) -> Path | None:
    """Returns the file of --json; `None` if there is to be none.

    Raises:
        ValueError: It is at a URL, is a folder or an input, or is in a folder that does not exist.
    """
    if not json:
        return None
    path = local_path(json, "--json")
    if path.is_dir():
        raise ValueError(f"--json must name a file. Received the folder {path}")
    if not path.parent.is_dir():
        raise ValueError(f"The folder {path.parent} of --json does not exist: create it first.")
    for name in inputs:
        if name and not is_url(name) and path.resolve() == path_or_url(name).resolve():
            raise ValueError(f"--json would overwrite {name}, which is read. Give another file.")
    for name in runs:
        if not is_url(name) and path.resolve().parent == path_or_url(name).resolve():
            raise ValueError(f"--json would overwrite a file of the run {name}. Give another file.")
    return path


def _measure(run: str, path: str, output: Path | None) -> None:
    """Prints how well a language model predicts a file, whose documents are as in its training."""
    from keras_transformer import TextGenerator
    from keras_transformer.cli import comparison_report
    from keras_transformer.data import TextFile

    generator = TextGenerator.load(run)
    texts = TextFile(path, generator.about.get("documents", "lines"))
    measures = generator.measure(texts)
    print(
        f"Perplexity {measures.perplexity:.2f}, {measures.bits_per_character:.3f} bits per "
        f"character ({len(texts):,} texts, {measures.tokens:,} tokens)"
    )
    if output is not None:
        results = {"reference": path, "name": str(run), "texts": len(texts)}
        results |= dataclasses.asdict(measures)
        results["perplexity"] = measures.perplexity
        results["bits_per_character"] = measures.bits_per_character
        comparison_report.write_json(output, results)
