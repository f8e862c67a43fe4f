"""Counts the tokens of each expert after training, with the losses that keep all busy and without.

    python -m benchmarks.expert_balance --output runs/balance

Trains the architecture `experts` on the phrasebook twice, with its recipe but for `--epochs`: once
with the balancing losses, weighed by `--balance-weight`, and once without. Then both read sentences
that were never seen. The tables have, for each mixture of experts, the share of each expert in the
sum of the gates of all real tokens, source or target, as a multiple of the even share.

Recipes are written to `OUTPUT/NAME.yaml`, runs to `OUTPUT/NAME`. Finished runs are not trained
again, and interrupted ones go on.
"""

from pathlib import Path

import yaml

from benchmarks.parser import make_parser
from benchmarks.runs import train_run, write_recipe
from benchmarks.turns import print_table

RECIPE = Path(__file__).parents[1] / "trainers" / "recipes" / "phrasebook.yaml"


def main(arguments=None):
    arguments = parse(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    settings |= {"architecture": "experts", "epochs": arguments.epochs}
    options = {"num_experts": arguments.num_experts, "k": arguments.k, "interval": 1}
    for name, weight in (("balanced", arguments.balance_weight), ("unbalanced", 0.0)):
        run = arguments.output / name
        own = {"architecture_options": options | {"balance_weight": weight}}
        write_recipe(run, yaml.safe_dump(settings | own, sort_keys=False))
        train_run(run)
        print(f"\n{name}: shares of the experts, as multiples of the even one")
        print_shares(shares_of(run, arguments.sentences))


def shares_of(run, sentences):
    """Returns the mean gates of each mixture of a run's model, by the name of its side and layer.

    Each is multiplied by the number of experts, so that an even share is 1.
    """
    import keras
    import numpy as np

    from keras_transformer import MixtureOfExperts, Translator, collect_gates
    from keras_transformer.data.phrasebook import phrasebook

    translator = Translator.load(run)
    model, pairs = translator.model, phrasebook().held_out["everyday"][:sentences]
    sources, targets = (list(side) for side in zip(*pairs, strict=True))
    source = [[*ids, translator.tokenizer.eos_id] for ids in translator.tokenizer.tokenize(sources)]
    bos_id = translator.target_tokenizer.bos_id
    target = [[bos_id, *ids] for ids in translator.target_tokenizer.tokenize(targets)]
    inputs = {"source": padded(source, model.pad_id), "target": padded(target, model.pad_id)}
    with collect_gates() as collected:
        model(inputs, training=False)
    shares = {}
    for side, ids in (("encoder", inputs["source"]), ("decoder", inputs["target"])):
        for number, block in enumerate(getattr(model, side).blocks):
            if isinstance(block.feed_forward, MixtureOfExperts):
                gates = keras.ops.convert_to_numpy(collected[block.feed_forward][0])
                real = gates[np.array(ids) != model.pad_id]
                shares[f"{side}, layer {number}"] = real.mean(axis=0) * real.shape[-1]
    return shares


def padded(rows, pad_id):
    """Returns rows of ids as an array, padded to the longest."""
    import numpy as np

    longest = max(map(len, rows))
    return np.array([row + [pad_id] * (longest - len(row)) for row in rows], "int32")


def print_shares(shares):
    lines = [[name, *(f"{share:.2f}" for share in values)] for name, values in shares.items()]
    experts = [f"expert {number}" for number in range(len(lines[0]) - 1)]
    print_table(["mixture", *experts], lines)


def parse(arguments):
    parser = make_parser("expert_balance", __doc__)
    option = parser.add_argument
    option("--output", type=Path, required=True, help="folder for recipes and runs")
    option("--config", type=Path, default=RECIPE, help="recipe of the plain model")
    option("--epochs", type=int, default=1)
    option("--num-experts", type=int, default=4)
    option("--k", type=int, default=1, help="experts of each token")
    option("--balance-weight", type=float, default=0.01)
    option("--sentences", type=int, default=500, help="held-out sentences to read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
