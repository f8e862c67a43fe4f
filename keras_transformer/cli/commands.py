"""What can be done with runs: a function for each command of the command line."""

import sys
from pathlib import Path

from keras_transformer.io import decoded, existing_file, raw_lines, without_ends

BEAM_SIZE = 4


def translate(
    run: Path,
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
        run: Folder of a finished run.
        text: Texts to translate; without any, lines are read from standard input.
        beam_size: How many beginnings the search goes on with; 1 is greedy search.
        top_beams: How many translations of each text are printed, best first; from 2 on, the text's
            number, score and translation, with tabs between.
        length_penalty: Strength of the length penalty; 0 compares log-probabilities.
        max_length: The most tokens of a translation; 50 more than the text has, if not given.
        min_length: The fewest tokens of a translation.
        prefix: What every translation must start with.
        no_repeat_ngram_size: So many tokens in a row never occur twice; 0 allows it.
        scores: Whether scores are printed too, before the translation, with a tab between.
        sample: Whether translations are drawn at random (--top-beams of them) instead of searched.
        temperature: For --sample: below 1 for what is probable, above 1 for variety.
        top_k: For --sample: draw from that many tokens only; 0 for all.
        top_p: For --sample: draw from the most probable tokens that have this probability together.
        seed: For --sample: where random numbers start.
    """
    from keras_transformer import Sampling, Translator

    sampling = Sampling(temperature, top_k, top_p, seed)
    if not sample and sampling != Sampling():
        raise ValueError("--temperature, --top-k, --top-p and --seed are for --sample: add it.")
    if sample and beam_size != BEAM_SIZE:
        raise ValueError(
            "--beam-size is for searching, --sample draws --top-beams times: leave one out."
        )
    translator = Translator.load(run)
    name = "standard input"
    texts = text or decoded(without_ends(sys.stdin.buffer, name), name)
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
    _warn_of_pieces(translator, translations)
    for number, translation in enumerate(translations, start=1):
        if top_beams == 1:
            score = f"{translation.score:.4f}\t" if scores else ""
            print(f"{score}{_one_line(translation.text)}")
        else:
            for one in translation.hypotheses:
                print(f"{number}\t{one.score:.4f}\t{_one_line(one.text)}")


def score(run: Path, source: Path, target: Path, tokens: bool = False) -> None:
    """Prints how probable the model finds each line of a file as the translation of another's.

    Args:
        run: Folder of a finished run.
        source: Text file, a sentence a line, plain or .gz.
        target: Its translation, line by line.
        tokens: Whether the log-probability of every token is printed too.
    """
    from keras_transformer import Translator

    sources, targets = _read_pairs(source, target)
    for found in Translator.load(run).score(sources, targets):
        pairs = zip(found.tokens, found.token_log_probs, strict=True)
        each = [f"{piece} {log_prob:.4f}" for piece, log_prob in pairs] if tokens else []
        print("\t".join([f"{found.log_prob:.4f}", *each]))


def evaluate(
    run: Path,
    source: Path,
    reference: Path,
    words: str = "",
    beam_size: int = BEAM_SIZE,
    length_penalty: float = 0.6,
    moses: str = "",
) -> None:
    """Translates a file and compares the translations with a file of references.

    Args:
        run: Folder of a finished run.
        source: Text file to translate, a sentence a line, plain or .gz.
        reference: Its translation, line by line.
        words: Words, with commas between, whose use is compared too, such as il,elle.
        beam_size: How many beginnings the search goes on with; 1 is greedy search.
        length_penalty: Strength of the length penalty; 0 compares log-probabilities.
        moses: Code of the target language, such as de, to have BLEU of lower-cased text with Moses'
            tokens too, which many papers report (needs sacremoses).
    """
    from keras_transformer import Translator
    from keras_transformer.training import evaluation

    if moses:
        evaluation.moses_tokens([], moses)  # rather now than after an hour of translating
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    evaluation.word_agreement([], [], wanted)  # the same
    sources, references = _read_pairs(source, reference)
    if not sources:
        raise ValueError(f"{source} is empty: there is nothing to evaluate.")
    translator = Translator.load(run)
    translations = translator.translate(
        sources, beam_size, length_penalty=length_penalty, progress=_progress(len(sources))
    )
    _warn_of_pieces(translator, translations)
    texts = [translation.text for translation in translations]
    print("\n".join(evaluation.report(texts, references, wanted, moses)))


def export(
    run: Path,
    output: Path,
    format: str = "saved_model",
    beam_size: int | None = None,
    top_beams: int | None = None,
    length_penalty: float | None = None,
    max_length: int | None = None,
    xla: bool = False,
    quantize: str | None = None,
) -> None:
    """Writes a finished run in a format that other programs read; the run stays as it is.

    Args:
        run: Folder of a finished run.
        output: Folder to write. It appears whole or not at all.
        format: saved_model (strings to strings, for TensorFlow and TensorFlow Serving), ctranslate2
            or keras. The options below are for saved_model.
        beam_size: How many beginnings the search goes on with; 1 is greedy search, 4 if not given.
        top_beams: How many translations each text gets, best first; 1 if not given.
        length_penalty: Strength of the length penalty; 0 for none, 0.6 if not given.
        max_length: The most tokens of a translation; 50 more than the text has, if not given.
        xla: Whether XLA compiles the search.
        quantize: int8 for a quarter of the size.
    """
    from keras_transformer import Translator, formats

    given = {
        "beam_size": beam_size,
        "top_beams": top_beams,
        "length_penalty": length_penalty,
        "max_length": max_length,
        "xla": xla or None,
        "quantize": quantize,
    }
    options = {name: value for name, value in given.items() if value is not None}
    formats.export(Translator.load(run), output, format, **options)


def illustrate(
    run: Path,
    text: str,
    output: Path,
    reference: str = "",
    beam_size: int = 2,
    length_penalty: float = 0.6,
) -> None:
    """Writes a page that shows, figure by figure, how the model translates a sentence.

    Args:
        run: Folder of a finished run.
        text: The sentence.
        output: HTML file to write; it holds all that it needs.
        reference: How the sentence should be translated; the model's own translation if empty.
        beam_size: How many beginnings the search goes on with, and translations it shows.
        length_penalty: Strength of the length penalty; 0 compares log-probabilities.
    """
    from keras_transformer import Translator
    from keras_transformer.illustrate import page

    if output.is_dir():
        raise ValueError(f"{output} is a folder: give --output the name of an .html file.")
    if not output.parent.is_dir():
        raise ValueError(f"There is no folder {output.parent} for --output: make it first.")
    page(Translator.load(run), text, reference, beam_size, length_penalty).save(output)


def import_(checkpoint: Path, output: Path) -> None:
    """Makes a run of a Marian checkpoint, such as an OPUS-MT model.

    Args:
        checkpoint: Folder of the checkpoint, given as --from.
        output: Folder of the run to write.
    """
    from keras_transformer.formats import import_marian

    if (output / "run.json").exists():
        raise ValueError(f"{output} holds a finished run. Give another --output.")
    import_marian(checkpoint).save(output)


def _read_pairs(source: Path, target: Path) -> tuple[list[str], list[str]]:
    """The lines of two files, as many of one as of the other."""
    files = (existing_file(path, read_again=False) for path in (source, target))
    sources, targets = (decoded(raw_lines(path), path) for path in files)
    if len(sources) != len(targets):
        raise ValueError(
            f"{source} has {len(sources)} lines, {target} has {len(targets)}: line n of one "
            "must be the translation of line n of the other."
        )
    return sources, targets


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _warn_of_pieces(translator, translations) -> None:
    """Says which lines were cut."""
    for number, translation in enumerate(translations, start=1):
        if translation.parts > 1:
            print(
                f"Line {number} is longer than the {translator.max_source_length} tokens that the "
                f"model reads: it was translated in {translation.parts} pieces.",
                file=sys.stderr,
            )


def _progress(lines: int):
    """A bar, where a person watches and there is much to do."""
    if lines < 100 or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = tqdm(total=lines, unit="line", file=sys.stderr)

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show
