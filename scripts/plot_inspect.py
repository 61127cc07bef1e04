#!/usr/bin/env python3
"""Draws what shine_inspect wrote: heat maps of each context's LoRA, layers down and projections across, for the size of
A B relative to W and its effective rank, and the singular values of every layer by projection.

    python3 scripts/plot_inspect.py OUTPUT/deltas.csv            # writes OUTPUT/deltas.png
    python3 scripts/plot_inspect.py OUTPUT/deltas.csv --plot lora.pdf
"""
import argparse
import csv
import math
import pathlib
import sys

PROJECTIONS = ["q", "k", "v", "o", "gate", "up", "down"]


def read_rows(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "relative_norm" not in rows[0]:
        sys.exit(f"{path}: not a deltas.csv of shine_inspect with at least one line")
    return rows


def singular_values(row):
    return [float(value) for key, value in row.items() if key.startswith("singular_value_") and value]


def grid(rows, key):
    """Values by layer and projection; NaN where there is none."""
    layers = 1 + max(int(row["layer"]) for row in rows)
    values = [[math.nan] * len(PROJECTIONS) for _ in range(layers)]
    for row in rows:
        values[int(row["layer"])][PROJECTIONS.index(row["projection"])] = float(row[key])
    return values


def whole_numbers(axis):
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def draw_heat_map(figure, axes, values, title, norm=None):
    image = axes.imshow(values, aspect="auto", norm=norm)
    axes.set_xticks(range(len(PROJECTIONS)), PROJECTIONS)
    axes.set(title=title, ylabel="layer")
    whole_numbers(axes.yaxis)
    figure.colorbar(image, ax=axes)


def draw_spectra(axes, rows):
    for index, projection in enumerate(PROJECTIONS):
        label = projection
        for row in rows:
            if row["projection"] != projection:
                continue
            values = singular_values(row)
            axes.plot(range(1, len(values) + 1), values, color=f"C{index}", alpha=0.5, label=label)
            label = None
    axes.set(title="singular values of A B", xlabel="number", yscale="log")
    whole_numbers(axes.xaxis)
    axes.legend()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deltas", type=pathlib.Path, help="deltas.csv of shine_inspect --output")
    parser.add_argument("--plot", type=pathlib.Path, help="file to write; by default deltas.png beside the CSV")
    arguments = parser.parse_args()
    try:
        import matplotlib
    except ImportError:
        sys.exit("plot_inspect.py: matplotlib is missing (pip install matplotlib)")
    matplotlib.use("Agg")
    import matplotlib.colors
    import matplotlib.pyplot as plt

    rows = read_rows(arguments.deltas)
    contexts = sorted({int(row["context"]) for row in rows})
    figure, grid_of_axes = plt.subplots(len(contexts), 3, figsize=(15, 4.5 * len(contexts)), squeeze=False)
    for context, (norm_axes, rank_axes, value_axes) in zip(contexts, grid_of_axes):
        own = [row for row in rows if int(row["context"]) == context]
        norms = grid(own, "relative_norm")
        positive = all(value > 0 for line in norms for value in line)
        draw_heat_map(figure, norm_axes, norms, f"context {context}: |A B| / |W|",
                      matplotlib.colors.LogNorm() if positive else None)
        draw_heat_map(figure, rank_axes, grid(own, "effective_rank"), "effective rank")
        draw_spectra(value_axes, own)
    figure.tight_layout()
    target = arguments.plot or arguments.deltas.with_suffix(".png")
    figure.savefig(target, dpi=120)
    print(target)


if __name__ == "__main__":
    main()
