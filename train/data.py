"""Where batches come from. Step s of a run sees the same batch whenever it is computed, so a run
that was interrupted goes on as if it had not been."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import numpy as np
import torch
from torch import Generator

from objectives import Batch
from vocabulary import Vocabulary, train_bpe

HERE = Path(__file__).parent


@dataclass
class Example:
    prompt: list[int]
    answer: list[int]
    task: str = ""


def generator(*key: int) -> Generator:
    """Random numbers that depend on the key alone."""
    seed = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return Generator().manual_seed(int(seed >> np.uint64(1)))


def numbers(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(key))


def canvas(examples: list[Example], length: int, end: int) -> Batch:
    """Prompts and answers, filled up to `length` with end of text, which belongs to the answer."""
    tokens = torch.full((len(examples), length), end)
    answer = torch.zeros((len(examples), length), dtype=torch.bool)
    for row, example in enumerate(examples):
        ids = (example.prompt + example.answer)[:length]
        tokens[row, : len(ids)] = torch.tensor(ids)
        answer[row, len(example.prompt) :] = True
    return Batch(tokens, answer)


def packed(examples: list[Example], end: int, tokens: int, extra: list[int]) -> list[Batch]:
    """Batches of at most `tokens` tokens with little to fill up: examples of about one length share
    a canvas, which is `extra` longer than the longest (an entry for every batch, in turn)."""
    size = lambda example: len(example.prompt) + len(example.answer)  # noqa: E731
    batches: list[Batch] = []
    group: list[Example] = []

    def close() -> None:
        length = max(map(size, group)) + extra[len(batches) % len(extra)]
        batches.append(canvas(group, length, end))
        group.clear()

    for example in sorted(examples, key=size):
        if group and (len(group) + 1) * size(example) > tokens:
            close()
        group.append(example)
    close()
    return batches


class Tasks:
    """Prompts and answers from a file of JSON lines {task, prompt, answer}; see README.md.
    `weights` says how often a task is drawn (default 1), in proportion to the others."""

    def __init__(self, config: dict, seed: int) -> None:
        self.seed = seed
        self.rows = config["rows"]
        self.micro = config["micro_tokens"]
        words = json.loads((HERE / config["words"]).read_text())
        first = first_words(HERE / config["train"])  # no blank stands before them
        starts = [word for word in words if word in first]
        self.vocabulary = Vocabulary(words=[*starts, *(" " + word for word in words)])
        self.train = self._load(config["train"], config.get("limit"))
        self.validation = self._load(config["validation"], None)
        weights = config.get("weights", {})
        self.tasks = sorted(task for task in self.train if weights.get(task, 1) > 0)
        share = np.array([weights.get(task, 1) for task in self.tasks], dtype=float)
        self.share = share / share.sum()

    def _load(self, path: str, limit: int | None) -> dict[str, list[Example]]:
        examples: dict[str, list[Example]] = {}
        with open(HERE / path) as file:
            for count, line in enumerate(file):
                if limit is not None and count >= limit:
                    break
                row = json.loads(line)
                prompt = self.vocabulary.encode(row["prompt"])
                answer = self.vocabulary.encode(" " + row["answer"])
                examples.setdefault(row["task"], []).append(Example(prompt, answer, row["task"]))
        return examples

    def batches(self, step: int) -> list[Batch]:
        """What one step of the optimiser is computed from."""
        random = numbers(self.seed, step, 1)
        counts = random.multinomial(self.rows, self.share)
        examples: list[Example] = []
        for task, count in zip(self.tasks, counts):
            pool = self.train[task]
            at = random.integers(len(pool), size=count)
            examples += [pool[i] for i in at]
        extra = [int(n) for n in random.choice([0, 0, 1, 2, 4, 8], size=16)]
        return packed(examples, self.vocabulary.end, self.micro, extra)

    def validation_batches(self, limit: int = 24) -> Iterator[tuple[str, Batch, int]]:
        """Each with what it is part of, and the number of characters to be written."""
        examples = [e for pool in self.validation.values() for e in pool[:limit]]
        for batch in packed(examples, self.vocabulary.end, self.micro, [0]):
            ids = batch.tokens[batch.answer].tolist()
            yield "tasks", batch, len(self.vocabulary.decode(ids))


def first_words(path: Path) -> set[str]:
    with open(path) as file:
        return {json.loads(line)["prompt"].split()[0] for line in file}


class Play:
    """Speeches: half of the canvases are windows of running text, wholly to be written; in the
    other half the speeches before are the prompt, and the answer is one to three speeches (the
    longer the canvas, the more) and then end of text. Each batch has `micro_tokens` tokens in
    canvases of one of the `lengths`; those of validation, the last 5 % of the text, have `length`.
    """

    def __init__(self, config: dict, seed: int, vocabulary: Vocabulary | None = None) -> None:
        self.seed = seed
        self.length, self.lengths = config["length"], config["lengths"]
        self.micro, self.count = config["micro_tokens"], config["batches"]
        text = (HERE / config["file"]).read_text()
        cut = int(len(text) * 0.95)
        self.texts = {"train": text[:cut], "validation": text[cut:]}
        self.vocabulary = vocabulary or train_bpe(text[:cut], config["tokens"])
        self.ids = {part: self.vocabulary.encode(t) for part, t in self.texts.items()}
        self.speeches = {
            part: [self.vocabulary.encode(speech) for speech in speeches_of(t)]
            for part, t in self.texts.items()
        }

    def _window(self, at: int, length: int, part: str) -> Example:
        return Example([], self.ids[part][at : at + length])

    def _dialogue(self, at: int, count: int, length: int, part: str, spare: int) -> Example:
        """`count` speeches from number `at` on, and as many before them as there is room for if
        `spare` tokens are left free, which will be end of text; what is too long is cut and has
        none."""
        speeches = self.speeches[part]
        answer = [i for speech in speeches[at : at + count] for i in speech]
        prompt: list[int] = []
        for before in reversed(speeches[:at]):
            if len(prompt) + len(before) + len(answer) + 2 + spare > length:
                break
            prompt = before + prompt
        return Example([self.vocabulary.start] + prompt, answer[: length - 1])

    def _draw(self, random: np.random.Generator, length: int, part: str) -> Example:
        if random.random() < 0.5:
            return self._window(int(random.integers(len(self.ids[part]) - length)), length, part)
        count, spare = int(random.integers(1, 2 + length // 128)), int(random.integers(length // 2))
        at = int(random.integers(len(self.speeches[part]) - 3))
        return self._dialogue(at, count, length, part, spare)

    def batches(self, step: int) -> list[Batch]:
        random = numbers(self.seed, step, 1)
        lengths = [int(n) for n in random.choice(self.lengths, size=self.count)]
        return [
            canvas(
                [self._draw(random, length, "train") for _ in range(self.micro // length)],
                length,
                self.vocabulary.end,
            )
            for length in lengths
        ]

    def validation_batches(self, limit: int = 100) -> Iterator[tuple[str, Batch, int]]:
        """As above: windows that follow one another, and dialogues from places evenly spread."""
        ids, speeches = self.ids["validation"], self.speeches["validation"]
        length = self.length
        windows = range(0, len(ids) - length, length)
        starts = range(1, len(speeches) - 3, max(1, len(speeches) // limit))
        groups = {
            "windows": [self._window(at, length, "validation") for at in windows],
            "speeches": [self._dialogue(at, 1 + at % 3, length, "validation", 0) for at in starts],
        }
        for name, group in groups.items():
            for i in range(0, len(group), 32):
                some = group[i : i + 32]
                characters = sum(len(self.vocabulary.decode(e.answer)) for e in some)
                yield name, canvas(some, length, self.vocabulary.end), characters


def speeches_of(text: str) -> list[str]:
    return [speech + "\n\n" for speech in text.split("\n\n") if speech.strip()]


def load_data(config: dict, seed: int) -> Tasks | Play:
    kinds = {"tasks": Tasks, "play": Play}
    return kinds[config["kind"]](config, seed)
