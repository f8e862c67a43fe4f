"""Command line for finished runs: `python -m keras_transformer translate`, `generate`, `score`,
`evaluate`, `export`, `import`, `adapt`, `shortlist`, `illustrate`, `serve` and `sample-images`.
"""

import os
import sys

from keras_transformer.cli import (
    add_import_option,
    commands,
    evaluation,
    image_commands,
    import_modules,
    join_repeated,
    name_each_value,
    program,
    refuse_repeated,
    search_commands,
    serving,
)
from keras_transformer.io import path_or_url

PROGRAM = "python -m keras_transformer"
OF_FILES = {
    "resume": "Go on with an unfinished --output.",
    "overwrite": "Replace an existing --output.",
}
SHORTLIST = "Choose among likely translations of a text's words only; see the command shortlist."
FLAGS = {  # options without a value
    "translate": {
        "scores": "Print the score before each translation, separated by a tab.",
        "sample": "Sample --top-beams translations at random instead of searching for them.",
        "shortlist": SHORTLIST,
        **OF_FILES,
    },
    "generate": {
        "scores": "Print the score before each text, separated by a tab.",
        "sample": "Sample --top-beams texts at random instead of searching for them.",
        **OF_FILES,
    },
    "score": {"tokens": "Also print the log-probability of every token.", **OF_FILES},
    "export": {
        "xla": "Compile the search with XLA: faster, once every shape is compiled.",
        "shortlist": "Search with the run's shortlist.",
    },
    "evaluate": {"shortlist": "Search the run, but none of --against, with its shortlist."},
    "serve": {"shortlist": SHORTLIST},
}
POSITIONALS = {
    "translate": {
        "nargs": "*",
        "default": None,
        "help": "Texts to translate. If none is given, the lines of standard input.",
    },
    "generate": {
        "nargs": "*",
        "default": None,
        "help": "Prompts to continue. If none is given, the lines of standard input.",
    },
    "illustrate": {
        "nargs": "?",
        "default": "",
        "help": "The sentence to translate. An image model has none.",
    },
}
KEYWORDS = {"from": "checkpoint", "class": "image_class"}  # of Python: no names of parameters
GIVEN_OTHERWISE = {"text", "checkpoint", "modules", "image_class"}  # parameters, not options
LISTS = ("import", "against", "input")  # options that may be given again
LISTS_OF = {"serve": ("run",)}  # of one command
COMMANDS = {
    "translate": search_commands.translate,
    "generate": search_commands.generate,
    "score": commands.score,
    "evaluate": evaluation.evaluate,
    "export": commands.export,
    "import": commands.import_,
    "adapt": commands.adapt,
    "shortlist": commands.shortlist,
    "illustrate": commands.illustrate,
    "serve": serving.serve,
    "sample-images": image_commands.sample_images,
}


def parse(arguments: list[str]):
    """Parses a command line.

    Returns:
        A tuple of the function of its command, that function's arguments, and the names of modules
        to import first.
    """
    flags = {flag for flags in FLAGS.values() for flag in flags}
    arguments = program.with_underscores(arguments)
    for name in ("against", "input"):
        arguments = name_each_value(arguments, name)
    lists = (*LISTS, *LISTS_OF.get(arguments[0] if arguments else "", ()))
    refuse_repeated(arguments, may_repeat=lists, flags=flags)
    parser = program.make_parser(PROGRAM, "Translates with finished runs, and converts them.")
    subcommands = parser.add_subcommands(required=True, dest="command")
    for name, function in COMMANDS.items():
        summary = (function.__doc__ or name).splitlines()[0]  # `python -OO` has no docstrings
        subparser = program.make_parser(f"{PROGRAM} {name}", summary)
        flags = FLAGS.get(name, {})
        subparser.add_function_arguments(function, as_group=False, skip={*GIVEN_OTHERWISE, *flags})
        for flag, description in flags.items():
            subparser.add_argument(f"--{flag}", action="store_true", help=description)
        if name == "import":  # of a checkpoint; it loads no run
            subparser.add_argument(
                "--from", type=str, required=True, help="Folder or URL of a Marian checkpoint."
            )
        else:
            add_import_option(subparser)
        if name in ("sample-images", "illustrate"):
            subparser.add_argument("--class", type=int, help="Class of the images, from 0.")
        if name in POSITIONALS:
            subparser.add_argument("text", type=str, **POSITIONALS[name])
        subcommands.add_subcommand(name, subparser, help=summary)
    arguments = join_repeated(arguments, lists)
    parsed = parser.parse_args(arguments)
    options = parsed[parsed.command].as_dict()
    modules = options.pop("import", [])
    for keyword, parameter in KEYWORDS.items():
        if keyword in options:
            options[parameter] = options.pop(keyword)
    places = {name: options[name] for name in ("run", "output") if options.get(name)}
    options |= {name: path_or_url(place) for name, place in places.items() if type(place) is str}
    if parsed.command == "serve":  # workers import them again
        options["modules"] = modules
    return COMMANDS[parsed.command], options, modules


def main(arguments: list[str] | None = None) -> int:
    """Runs a command line and returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["export"] and "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # SavedModels need it; any backend reads a run

    def work() -> int | None:
        function, options, modules = parse(arguments)
        import_modules(modules)
        sys.stdout.reconfigure(encoding="utf-8")  # as for the input, whatever the locale
        return function(**options)

    command = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    return program.run(PROGRAM, work, command)


if __name__ == "__main__":
    raise SystemExit(main())
