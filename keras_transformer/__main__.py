"""Using a finished run: `python -m keras_transformer translate`, `score`, `evaluate`."""

import codecs
import gzip
import sys
from pathlib import Path

from keras_transformer import command_line

PROGRAM = "python -m keras_transformer"


def translate(
    run: Path,
    text: list[str] | None = None,
    beam_size: int = 4,
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
        top_beams: How many translations of each text are printed, best first: the text's number,
            score and translation, with tabs between.
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
    translator = Translator.load(run)
    texts = text or _read_lines("standard input", sys.stdin.buffer.read())
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
        pairs = zip(found.pieces, found.token_log_probs, strict=True)
        each = [f"{piece} {log_prob:.4f}" for piece, log_prob in pairs] if tokens else []
        print("\t".join([f"{found.log_prob:.4f}", *each]))


def evaluate(
    run: Path,
    source: Path,
    reference: Path,
    words: str = "",
    beam_size: int = 4,
    length_penalty: float = 0.6,
) -> None:
    """Translates a file and compares the translations with a file of references.

    Args:
        run: Folder of a finished run.
        source: Text file to translate, a sentence a line, plain or .gz.
        reference: Its translation, line by line.
        words: Words, with commas between, whose use is compared too, such as il,elle.
        beam_size: How many beginnings the search goes on with; 1 is greedy search.
        length_penalty: Strength of the length penalty; 0 compares log-probabilities.
    """
    from keras_transformer import Translator, evaluation

    sources, references = _read_pairs(source, reference)
    if not sources:
        raise ValueError(f"{source} is empty: there is nothing to evaluate.")
    translator = Translator.load(run)
    translations = translator.translate(
        sources, beam_size, length_penalty=length_penalty, progress=_progress(len(sources))
    )
    _warn_of_pieces(translator, translations)
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    print("\n".join(evaluation.report([t.text for t in translations], references, wanted)))


FLAGS = {  # options without a value
    "translate": {
        "scores": "Print scores too, before the translation, with a tab between.",
        "sample": "Draw --top-beams translations at random instead of searching for them.",
    },
    "score": {"tokens": "Print the log-probability of every token too."},
}
COMMANDS = {"translate": translate, "score": score, "evaluate": evaluate}


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}. Expected a text file, a sentence a line."
        )
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _read_pairs(source: Path, target: Path) -> tuple[list[str], list[str]]:
    """The lines of two files, as many of one as of the other."""
    sources, targets = (_read_lines(path, _read_file(path)) for path in (source, target))
    if len(sources) != len(targets):
        raise ValueError(
            f"{source} has {len(sources)} lines, {target} has {len(targets)}: line n of one "
            "must be the translation of line n of the other."
        )
    return sources, targets


def _read_lines(name, content: bytes) -> list[str]:
    """Lines of UTF-8 text; only a line feed ends a line, a byte order mark is no text."""
    content = content.removeprefix(codecs.BOM_UTF8)
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"Line {number} of {name} is not UTF-8 ({error.reason} at byte {error.start}). "
                "Convert it, for instance with iconv."
            ) from error
    return texts


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


def parse(arguments: list[str]):
    """The command that a command line names, and its options."""
    parser = command_line.make_parser(PROGRAM, "Uses a finished run.")
    commands = parser.add_subcommands(required=True, dest="command")
    for name, function in COMMANDS.items():
        options = command_line.make_parser(f"{PROGRAM} {name}", function.__doc__.splitlines()[0])
        flags = FLAGS.get(name, {})
        options.add_function_arguments(function, as_group=False, skip={"text", *flags})
        for flag, meaning in flags.items():
            options.add_argument(f"--{flag}", action="store_true", help=meaning)
        if name == "translate":
            options.add_argument("text", nargs="*", type=str, help="Texts to translate.")
        commands.add_subcommand(name, options, help=function.__doc__.splitlines()[0])
    parsed = parser.parse_args(command_line.with_underscores(arguments))
    return COMMANDS[parsed.command], parsed[parsed.command].as_dict()


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments

    def work() -> None:
        function, options = parse(arguments)
        sys.stdout.reconfigure(encoding="utf-8")  # as the input is read, whatever the locale
        function(**options)

    return command_line.run(PROGRAM, work)


if __name__ == "__main__":
    raise SystemExit(main())
