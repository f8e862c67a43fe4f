"""Using a finished run: `python -m keras_transformer translate` and `evaluate`."""

import codecs
import gzip
import sys
from pathlib import Path

from keras_transformer import command_line

PROGRAM = "python -m keras_transformer"


def translate(run: Path, text: list[str] | None = None) -> None:
    """Translates texts, or the lines of standard input, and prints a line for each.

    Args:
        run: Folder of a finished run.
        text: Texts to translate; without any, lines are read from standard input.
    """
    from keras_transformer import Translator

    translator = Translator.load(run)
    texts = text or _read_lines("standard input", sys.stdin.buffer.read())
    for translation in translator.translate(texts, _progress(translator, texts)):
        print(" ".join(translation.text.splitlines()))


def evaluate(run: Path, source: Path, reference: Path, words: str = "") -> None:
    """Translates a file and compares the translations with a file of references.

    Args:
        run: Folder of a finished run.
        source: Text file to translate, a sentence a line, plain or .gz.
        reference: Its translation, line by line.
        words: Words, with commas between, whose use is compared too, such as il,elle.
    """
    from keras_transformer import Translator, evaluation

    sources = _read_lines(source, _read_file(source))
    references = _read_lines(reference, _read_file(reference))
    if len(sources) != len(references):
        raise ValueError(
            f"{source} has {len(sources)} lines, {reference} has {len(references)}: line n of one "
            "must be the translation of line n of the other."
        )
    if not sources:
        raise ValueError(f"{source} is empty: there is nothing to evaluate.")
    translator = Translator.load(run)
    translations = translator.translate(sources, _progress(translator, sources))
    wanted = [word.strip() for word in words.split(",") if word.strip()]
    print("\n".join(evaluation.report([t.text for t in translations], references, wanted)))


COMMANDS = {"translate": translate, "evaluate": evaluate}


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}. Expected a text file, a sentence a line."
        )
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


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


def _progress(translator, texts: list[str]):
    """Says which lines are cut, and shows a bar where a person watches and there is much to do."""
    for number, text in enumerate(texts, start=1):
        pieces = len(translator.split(text))
        if pieces > 1:
            print(
                f"Line {number} is longer than the {translator.max_source_length} tokens that the "
                f"model reads: it is translated in {pieces} pieces.",
                file=sys.stderr,
            )
    if len(texts) < 100 or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = tqdm(total=len(texts), unit="line", file=sys.stderr)

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
        if name == "translate":
            options.add_function_arguments(function, as_group=False, skip={"text"})
            options.add_argument("text", nargs="*", type=str, help="Texts to translate.")
        else:
            options.add_function_arguments(function, as_group=False)
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
