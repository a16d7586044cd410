#!/usr/bin/env python3
"""Trains the model of a recipe, or goes on where an interrupted run was:

    python3 train.py recipes/tasks.json --out runs/tasks

The folder gets `checkpoint.pt` (about once a minute), `log.jsonl`, `loss.svg` and, at the end,
`export/` in the layout of LLaDA's checkpoints on Hugging Face.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from data import HERE, generator, load_data
from evaluate import accuracy, sample, validation
from export import export
from gguf import load_model
from model import ModelShape, SoftMaskParameters, Transformer, parameter_count
from objectives import Objective
from optimiser import Optimiser, rate_scale, update_average
from plot import plot
from vocabulary import Vocabulary


def finished(path: Path, shape: ModelShape, vocabulary: Vocabulary) -> dict[str, Tensor]:
    """The weights of a finished model to go on from; it must have the recipe's shape and tokens."""
    model, its = load_model(path)
    for name in ("layers", "width", "heads", "ffn", "vocabulary"):
        has, wanted = getattr(model.shape, name), getattr(shape, name)
        if has != wanted:
            raise SystemExit(f"{path} cannot be gone on from: {name} is {has}, not {wanted}")
    if its.ids != vocabulary.ids:
        raise SystemExit(f"{path} cannot be gone on from: its tokens are not those of the data")
    return model.state_dict()


class Run:
    """Everything of a run that changes: weights, their average, the optimiser, the step."""

    def __init__(self, recipe: dict, device: str) -> None:
        self.recipe = recipe
        self.device = torch.device(device)
        self.data = load_data(recipe["data"], recipe["seed"])
        self.vocabulary = self.data.vocabulary
        torch.manual_seed(recipe["seed"])
        self.shape = ModelShape(vocabulary=len(self.vocabulary), **recipe["model"])
        self.model = Transformer(self.shape).to(self.device)
        if "from" in recipe:
            self.model.load_state_dict(finished(HERE / recipe["from"], self.shape, self.vocabulary))
        self.objective = Objective(**recipe["objective"])
        self.soft = SoftMaskParameters(**recipe.get("soft_mask", {})).to(self.device)
        learned = self.soft if self.objective.soft > 0 else None
        self.optimiser = Optimiser(self.model, recipe["optimiser"], learned)
        self.average = copy.deepcopy(self.model)
        self.step = 0
        self.seconds = 0.0  # of training, over all interruptions
        self.tokens = 0

    def advance(self) -> float:
        """One step of the optimiser. Returns the loss, in nats per token of the answers."""
        settings, config = self.recipe["train"], self.recipe["optimiser"]
        batches = self.data.batches(self.step)
        total = sum(int(batch.answer.sum()) for batch in batches)
        random = generator(self.recipe["seed"], self.step, 2)
        value = 0.0
        for batch in batches:
            loss = self.objective.loss(self.model, batch, self.vocabulary.mask, random, self.soft)
            loss = loss * (int(batch.answer.sum()) / total)
            loss.backward()
            value += float(loss.detach())
            self.tokens += batch.tokens.numel()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.get("clip", 1.0))
        steps = settings["steps"]
        self.optimiser.step(rate_scale(self.step, steps, settings["warmup"], settings["cooldown"]))
        update_average(self.average, self.model, settings["average"], self.step)
        self.step += 1
        return value

    def save(self, path: Path) -> None:
        """All or nothing: a run that is killed while it writes keeps the checkpoint before."""
        state = {
            "recipe": self.recipe,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "soft": self.soft.state_dict(),
            "optimiser": self.optimiser.state(),
            "step": self.step,
            "seconds": self.seconds,
            "tokens": self.tokens,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device)
        if state["recipe"]["model"] != self.recipe["model"]:
            raise SystemExit(f"{path} is a run of another model: {state['recipe']['model']}")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.soft.load_state_dict(state["soft"])
        self.optimiser.load(state["optimiser"])
        self.step, self.seconds, self.tokens = state["step"], state["seconds"], state["tokens"]


class Log:
    """JSON lines, each also printed. Lines after the checkpoint are dropped: they come again."""

    def __init__(self, path: Path, step: int) -> None:
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept))
        self.path = path

    def __call__(self, **entry: object) -> None:
        line = json.dumps(entry)
        print(line, flush=True)
        with open(self.path, "a") as file:
            file.write(line + "\n")


def measured(run: Run) -> dict:
    """What the averaged weights are worth now."""
    if run.recipe["data"]["kind"] == "tasks":
        block = run.recipe["train"].get("decode_block")
        found = accuracy(run.average, run.data, block, run.recipe["train"]["check_examples"])
        return {**validation(run.average, run.data), "accuracy": found}
    return {**validation(run.average, run.data), "sample": sample(run.average, run.data)}


def train(run: Run, out: Path) -> None:
    settings = run.recipe["train"]
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        run.load(checkpoint)
    log = Log(out / "log.jsonl", run.step)
    steps, every = settings["steps"], settings["check_every"]
    began = time.monotonic() - run.seconds
    losses: list[float] = []
    saved = time.monotonic()
    while run.step < steps:
        losses.append(run.advance())
        run.seconds = time.monotonic() - began
        last = run.step == steps
        if run.step % settings["log_every"] == 0 or last:
            mean = sum(losses) / len(losses)
            log(step=run.step, seconds=round(run.seconds), tokens=run.tokens, loss=round(mean, 4))
            losses = []
        if run.step % every == 0 or last:
            log(step=run.step, seconds=round(run.seconds), **measured(run))
            plot(out / "log.jsonl", out / "loss.svg")
        if last or time.monotonic() - saved > settings.get("save_seconds", 60):
            run.save(checkpoint)
            saved = time.monotonic()


def load_recipe(path: Path) -> dict:
    """A recipe that `extends` another has that one's entries, and its own over them."""
    own = json.loads(path.read_text())
    if "extends" not in own:
        return own
    recipe = load_recipe(path.with_name(own.pop("extends") + ".json"))
    for key, value in own.items():
        recipe[key] = {**recipe.get(key, {}), **value} if isinstance(value, dict) else value
    return recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", type=int, help="instead of the recipe's, for a trial")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--export-only", action="store_true", help="export the checkpoint as it is")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    if options.steps is not None:
        recipe["train"]["steps"] = options.steps
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(recipe, "cuda" if torch.cuda.is_available() else "cpu")
    print(f"{parameter_count(run.model) / 1e6:.2f} M parameters {asdict(run.shape)}", flush=True)
    if options.export_only:
        run.load(options.out / "checkpoint.pt")
    else:
        train(run, options.out)
    soft = run.soft if run.objective.soft > 0 else None
    export(run.average, run.vocabulary, options.out / "export", recipe["name"], soft)


if __name__ == "__main__":
    main()
