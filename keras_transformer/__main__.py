"""Runs, used and made: `python -m keras_transformer translate`, `score`, `evaluate`, `export`,
`import`, `illustrate`.
"""

import os
import sys
from pathlib import Path

from keras_transformer.cli import commands, program

PROGRAM = "python -m keras_transformer"
FLAGS = {  # options without a value
    "translate": {
        "scores": "Print scores too, before the translation, with a tab between.",
        "sample": "Draw --top-beams translations at random instead of searching for them.",
    },
    "score": {"tokens": "Print the log-probability of every token too."},
    "export": {"xla": "Let XLA compile the search: faster, once every shape is compiled."},
}
TEXTS = {  # what stands on the command line without a name
    "translate": {
        "nargs": "*",
        "default": None,
        "help": "Texts to translate; without any, the lines of standard input.",
    },
    "illustrate": {"help": "The sentence."},
}
COMMANDS = {
    "translate": commands.translate,
    "score": commands.score,
    "evaluate": commands.evaluate,
    "export": commands.export,
    "import": commands.import_,
    "illustrate": commands.illustrate,
}


def parse(arguments: list[str]):
    """The command that a command line names, and its options."""
    parser = program.make_parser(PROGRAM, "Uses a finished run.")
    names = parser.add_subcommands(required=True, dest="command")
    for name, function in COMMANDS.items():
        options = program.make_parser(f"{PROGRAM} {name}", function.__doc__.splitlines()[0])
        flags = FLAGS.get(name, {})
        options.add_function_arguments(
            function, as_group=False, skip={"text", "checkpoint", *flags}
        )
        for flag, meaning in flags.items():
            options.add_argument(f"--{flag}", action="store_true", help=meaning)
        if name == "import":
            options.add_argument(
                "--from",
                type=Path,
                required=True,
                help="Folder of a Marian checkpoint.",
            )
        if name in TEXTS:
            options.add_argument("text", type=str, **TEXTS[name])
        names.add_subcommand(name, options, help=function.__doc__.splitlines()[0])
    parsed = parser.parse_args(program.with_underscores(arguments))
    options = parsed[parsed.command].as_dict()
    if "from" in options:  # which cannot be the name of an argument
        options["checkpoint"] = options.pop("from")
    return COMMANDS[parsed.command], options


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["export"] and "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # whose format it is; a run is read by either

    def work() -> None:
        function, options = parse(arguments)
        sys.stdout.reconfigure(encoding="utf-8")  # as the input is read, whatever the locale
        function(**options)

    command = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    return program.run(PROGRAM, work, command)


if __name__ == "__main__":
    raise SystemExit(main())
