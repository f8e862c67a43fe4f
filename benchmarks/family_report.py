"""Table and figure of `benchmarks.family`."""

from benchmarks.family_members import PLAIN
from benchmarks.turns import print_table

COLUMNS = {
    "": lambda row: row["name"],
    "weights": lambda row: f"{row['weights']:,}",
    "training tokens/s": lambda row: f"{row['training_tokens']:,.0f}",
    "times plain": lambda row: f"{row['speed']:.2f}",
    "first step": lambda row: f"{row['first_step']:.1f} s",
    "memory": lambda row: f"{row['memory'] / 1e6:,.0f} MB",
    "validation loss": lambda row: f"{row['validation']['loss']:.3f}",
    "BLEU greedy": lambda row: f"{row['test']['greedy_bleu']:.2f}",
    "BLEU 4 beams": lambda row: f"{row['test']['beams_bleu']:.2f}",
    "exact": lambda row: f"{row['test']['beams_exact']:.2f} %",
    "coreference": lambda row: f"{row['coreference']['words']:.2f} %",
    "decoding 1": lambda row: f"{row['decoding_tokens_1']:,.0f}",
    "decoding 32": lambda row: f"{row['decoding_tokens_32']:,.0f}",
    "steps": lambda row: "{training:.0f}, {translation:.0f}".format(**row["sequential"]),
}


def print_results(results):
    """Prints a table with a row for each member; `times plain` compares training speeds."""
    plain, lines = results[PLAIN]["training_tokens"], []
    columns = [name for name in COLUMNS if name != "coreference" or name in results[PLAIN]]
    for name, result in results.items():
        row = {**result, "name": name, "speed": result["training_tokens"] / plain}
        lines.append([COLUMNS[column](row) for column in columns])
    print_table(columns, lines)


def draw_figure(results, path):
    """Draws validation BLEU against seconds of training, and speeds of translation."""
    from matplotlib.figure import Figure

    plot = Figure(figsize=(9.5, 4.2), layout="constrained")
    curves, bars = plot.subplots(1, 2, width_ratios=[3, 2])
    for name, result in results.items():
        seconds = [step * result["seconds_per_step"] for step, _ in result["bleu"]]
        values = [bleu for _, bleu in result["bleu"]]
        curves.plot(seconds, values, marker="o", markersize=3, label=name)
    curves.set(xlabel="seconds of training", ylabel="validation BLEU, greedy")
    curves.legend(loc="lower right", fontsize="small", frameon=False)
    for shift, batch in ((-0.2, 1), (0.2, 32)):
        places = [number + shift for number in range(len(results))]
        rates = [result[f"decoding_tokens_{batch}"] for result in results.values()]
        bars.barh(places, rates, height=0.38, label=f"batch {batch}")
    bars.set_yticks(range(len(results)), list(results))
    bars.invert_yaxis()
    bars.set(xlabel="output tokens a second, 4 beams")
    bars.legend(fontsize="small", frameon=False)
    for axis in (curves, bars):
        axis.spines[["top", "right"]].set_visible(False)
    plot.savefig(path)
