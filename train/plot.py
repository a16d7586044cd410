"""The log of a run as a picture."""

from __future__ import annotations

import json
from pathlib import Path


def plot(log: Path, picture: Path) -> None:
    """Training loss and validation bound against steps, in nats per token. Needs matplotlib; a
    machine without it trains all the same."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for key, label in (("loss", "training"), ("bound", "validation")):
        points = [(row["step"], row[key]) for row in rows if key in row]
        if points:
            axes.plot(*zip(*points), label=label)
    axes.set(xlabel="step", ylabel="nats per token (bound)")
    tasks = [row for row in rows if "accuracy" in row]
    if tasks:
        right = axes.twinx()
        for task in tasks[-1]["accuracy"]:
            shown = [(row["step"], row["accuracy"].get(task)) for row in tasks]
            right.plot(*zip(*shown), linewidth=0.8, linestyle="--", label=task)
        right.set(ylabel="accuracy", ylim=(0, 1.02))
        right.legend(fontsize="x-small", loc="center right")
    axes.legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(picture)
    pyplot.close(figure)
