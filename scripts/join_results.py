#!/usr/bin/env python3
"""Joins the results of the test programs (a summary.json in each folder) into tables and plots.

    scripts/join_results.py FOLDER .. [--output DIR] [--plots]

A row is what was tested with what: test x data set x model x method; runs that differ in the training's seed alone
become mean +- standard deviation over the seeds. Prints Markdown tables; --output writes them to DIR as tables.md,
scores.csv and perplexity.csv. --plots (needs matplotlib) writes, as PNG files: F1 per method, a figure a data set; F1
against the number of the turn, and against the mean length of the contexts where a model has several data sets;
perplexity against the length. A folder may also be one that holds such folders.
"""

import argparse
import csv
import io
import json
import math
import pathlib
import statistics
import sys

METHODS = ["naive", "in_context", "sft", "shine", "shuffled"]
SCORES = ["f1", "exact", "judge"]
PARTS = ["mean", "median", "p10", "p90"]
COSTS = ["prepare_seconds", "answer_seconds", "peak_bytes"]


def fail(message):
    sys.exit(f"join_results: error: {message}")


def find_summaries(folders):
    files = []
    for folder in map(pathlib.Path, folders):
        found = [folder] if folder.is_file() else sorted(folder.rglob("summary.json"))
        if not found:
            fail(f"{folder}: no summary.json in it (name folders that a test program has written)")
        files += [file for file in found if file not in files]
    return files


def read_summary(file):
    try:
        summary = json.loads(file.read_text())
        for key in ("test", "model", "data_set", "seed"):
            summary[key]
        summary["rows" if summary["test"] == "pretrain" else "methods"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        fail(f"{file}: not the summary of a test: {type(fault).__name__}: {fault}")
    return summary


def method_order(name):
    return METHODS.index(name) if name in METHODS else len(METHODS)


def group_scores(summaries):
    """{(test, data set, model, method): {seed: that run's method}}"""
    groups = {}
    for summary in summaries:
        for method in summary.get("methods", []):
            key = (summary["test"], summary["data_set"], summary["model"], method["method"])
            if summary["seed"] in groups.setdefault(key, {}):
                fail(f"two results of {' / '.join(key)} with seed {summary['seed']}: name one of the folders only")
            groups[key][summary["seed"]] = method
    return dict(sorted(groups.items(), key=lambda entry: (*entry[0][:3], method_order(entry[0][3]))))


def group_perplexities(summaries):
    """{(data set, model, task, method, length): {seed: row}}"""
    groups = {}
    for summary in summaries:
        for row in summary.get("rows", []):
            key = (summary["data_set"], summary["model"], row["task"], row["method"], row["length"])
            if summary["seed"] in groups.setdefault(key, {}):
                fail(f"two results of {key} with seed {summary['seed']}: name one of the folders only")
            groups[key][summary["seed"]] = row
    return dict(sorted(groups.items(), key=lambda entry: (entry[0][:3], entry[0][4], method_order(entry[0][3]))))


def over_seeds(values):
    """Mean and standard deviation (None for one seed) of what is a number."""
    values = [value for value in values if value is not None and math.isfinite(value)]
    if not values:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def mean_of_interval(method, score):
    return method[score][0] if method.get(score) else None


def cell(mean, spread, factor=1.0, digits=1):
    if mean is None:
        return "-"
    text = f"{factor * mean:.{digits}f}"
    return text if spread is None else f"{text} +- {factor * spread:.{digits}f}"


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def score_rows(groups):
    table, lines = [], []
    for key, runs in groups.items():
        values = {score: over_seeds([mean_of_interval(run, score) for run in runs.values()]) for score in SCORES}
        values |= {cost: over_seeds([run[cost] for run in runs.values()]) for cost in COSTS}
        questions = "/".join(str(count) for count in sorted({run["questions"] for run in runs.values()}))
        table.append(
            [*key, len(runs), questions]
            + [cell(*values["f1"], 100), cell(*values["exact"], 100), cell(*values["judge"], 1, 3)]
            + [cell(*values["prepare_seconds"], 1, 3), cell(*values["answer_seconds"], 1, 3)]
            + [cell(*values["peak_bytes"], 1 / 2**20, 0)]
        )
        lines.append([*key, len(runs), questions] + [number for value in SCORES + COSTS for number in values[value]])
    return table, lines


def perplexity_rows(groups):
    table, lines = [], []
    for (data_set, model, task, method, length), runs in groups.items():
        values = [over_seeds([row["perplexity"][part] for row in runs.values()]) for part in PARTS]
        names = [data_set, model, task, length, method, len(runs)]
        table.append(names + [cell(*value, 1, 3) for value in values])
        lines.append(names + [number for value in values for number in value])
    return table, lines


def csv_text(head, lines):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([["" if value is None else value for value in line] for line in lines])
    return out.getvalue()


def make_tables(scores, perplexities):
    """{name of a file: its text}"""
    texts, files = [], {}
    if scores:
        table, lines = score_rows(scores)
        names = ["test", "data set", "model", "method", "seeds", "questions"]
        texts.append(markdown(names + ["F1", "exact match", "judge", "LoRA, s", "answering, s", "peak of a batch, MiB"], table))
        names = ["test", "data_set", "model", "method", "seeds", "questions"]
        files["scores.csv"] = csv_text(names + [f"{v}_{s}" for v in SCORES + COSTS for s in ("mean", "std")], lines)
    if perplexities:
        table, lines = perplexity_rows(perplexities)
        names = ["data_set", "model", "task", "length", "method", "seeds"]
        texts.append(markdown(names + [f"perplexity, {part}" for part in PARTS], table))
        files["perplexity.csv"] = csv_text(names + [f"perplexity_{p}_{s}" for p in PARTS for s in ("mean", "std")], lines)
    files["tables.md"] = "\n".join(texts)
    return files


def file_name(*parts):
    return "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in str(part)) for part in parts) + ".png"


class Plots:
    def __init__(self, folder):
        try:
            import matplotlib
        except ImportError:
            fail("--plots needs matplotlib (pip install matplotlib)")
        matplotlib.use("Agg")
        from matplotlib import pyplot

        self.pyplot, self.folder = pyplot, folder

    def figure(self, name, title, x, y, draw):
        figure, axes = self.pyplot.subplots(figsize=(6, 4), layout="constrained")
        draw(axes)
        axes.set(title=title, xlabel=x, ylabel=y)
        axes.legend(fontsize="small")
        figure.savefig(self.folder / name, dpi=150)
        self.pyplot.close(figure)

    def bars(self, scores):
        for test, data_set in dict.fromkeys(key[:2] for key in scores):
            own = {key[2:]: runs for key, runs in scores.items() if key[:2] == (test, data_set)}
            models = list(dict.fromkeys(model for model, _ in own))

            def draw(axes):
                methods = sorted({method for _, method in own}, key=method_order)
                width = 0.8 / len(models)
                for i, model in enumerate(models):
                    runs = [own.get((model, method), {}).values() for method in methods]
                    found = [over_seeds([run["f1"][0] for run in same]) for same in runs]
                    axes.bar(
                        [place + (i - (len(models) - 1) / 2) * width for place in range(len(methods))],
                        [100 * (mean or 0) for mean, _ in found],
                        width,
                        yerr=[100 * (spread or 0) for _, spread in found],
                        label=model,
                    )
                axes.set_xticks(range(len(methods)), methods)

            self.figure(file_name("f1", test, data_set), f"{data_set} ({test})", "", "F1, percent", draw)

    def turns(self, scores):
        for test, data_set, model in dict.fromkeys(key[:3] for key in scores):
            own = {key[3]: runs for key, runs in scores.items() if key[:3] == (test, data_set, model)}
            if not any(run["turns"] for runs in own.values() for run in runs.values()):
                continue

            def draw(axes):
                for method, runs in own.items():
                    by_turn = {}
                    for run in runs.values():
                        # The published form where there are conversations of its length.
                        for turn in run["published_turns"] or run["turns"]:
                            by_turn.setdefault(turn["turn"], []).append(100 * turn["f1"])
                    means = [statistics.fmean(values) for values in by_turn.values()]
                    axes.plot(list(by_turn), means, marker=".", label=method)

            self.figure(file_name("turns", data_set, model), f"{model} on {data_set}", "turn", "F1, percent", draw)

    def context_lengths(self, scores):
        for test, model in dict.fromkeys((key[0], key[2]) for key in scores):
            own = {(key[3], key[1]): runs for key, runs in scores.items() if (key[0], key[2]) == (test, model)}
            if len({data_set for _, data_set in own}) < 2:
                continue

            def draw(axes):
                for method in sorted({method for method, _ in own}, key=method_order):
                    points = []
                    for (name, _), runs in own.items():
                        if name == method:
                            tokens = over_seeds([run["context_tokens"] for run in runs.values()])[0]
                            points.append((tokens, 100 * over_seeds([run["f1"][0] for run in runs.values()])[0]))
                    axes.plot(*zip(*sorted(points)), marker=".", label=method)

            title = f"{model} ({test}), a point a data set"
            self.figure(file_name("f1_length", test, model), title, "context, tokens", "F1, percent", draw)

    def lengths(self, perplexities):
        for data_set, model, task in dict.fromkeys(key[:3] for key in perplexities):
            own = {key[3:]: runs for key, runs in perplexities.items() if key[:3] == (data_set, model, task)}

            def draw(axes):
                for method in sorted({method for method, _ in own}, key=method_order):
                    lengths = sorted(length for name, length in own if name == method)
                    parts = {}
                    for part in PARTS:
                        means = [over_seeds([row["perplexity"][part] for row in own[method, length].values()])[0]
                                 for length in lengths]
                        parts[part] = [math.nan if value is None else value for value in means]
                    line = axes.plot(lengths, parts["median"], marker=".", label=method)[0]
                    axes.fill_between(lengths, parts["p10"], parts["p90"], alpha=0.2, color=line.get_color())
                axes.set_yscale("log")

            title = f"{task}: {model} on {data_set}"
            self.figure(file_name(task, data_set, model), title, "tokens", "perplexity: median, P10 to P90", draw)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--output", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--plots", action="store_true")
    arguments = parser.parse_args()
    if arguments.plots and not arguments.output:
        fail("--plots needs --output")
    summaries = [read_summary(file) for file in find_summaries(arguments.folders)]
    scores, perplexities = group_scores(summaries), group_perplexities(summaries)
    files = make_tables(scores, perplexities)
    sys.stdout.write(files["tables.md"])
    if not arguments.output:
        return
    plots = Plots(arguments.output) if arguments.plots else None
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (arguments.output / name).write_text(text)
    if plots:
        plots.bars(scores)
        plots.turns(scores)
        plots.context_lengths(scores)
        plots.lengths(perplexities)


if __name__ == "__main__":
    main()
