"""Quick measurements while a model trains. The exact ones are `lacuna parallelbench`'s."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from data import Example, Play, Tasks, canvas, generator
from model import Transformer
from objectives import Masking, bound, masked_diffusion


@torch.no_grad()
def validation(model: Transformer, data: Tasks | Play, passes: int = 1) -> dict[str, float]:
    """The masked-diffusion bound on held-out answers, always with the same masks, in nats per token
    (end of text is one) and per character, of all parts together and of each."""
    random = generator(17)
    mask = data.vocabulary.mask
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))  # nats, tokens, characters
    for part, batch, characters in data.validation_batches():
        answers = int(batch.answer.sum())
        nats = 0.0
        for _ in range(passes):
            noised = masked_diffusion(batch, mask, Masking("count", "stratified"), random)
            nats += float(bound(model, noised, batch)) * answers / passes
        for name in ("", " of " + part):
            sums[name] += (nats, answers, characters)
    result = {}
    for name, (nats, tokens, characters) in sums.items():
        result["bound" + name] = round(nats / tokens, 4)
        result["bound_per_character" + name] = round(nats / characters, 4)
    return result


@torch.no_grad()
def decode(
    model: Transformer,
    tokens: Tensor,
    mask: int,
    block: int | None = None,
    temperature: float = 0.0,
) -> Tensor:
    """One token a forward, the surest first; with `block` only in the leftmost block that has
    masks, blocks counted from the end as in training. tokens (rows, n): masks end each row."""
    tokens = tokens.clone()
    n = tokens.shape[1]
    block_of = torch.div(torch.arange(n - 1, -1, -1), block or n, rounding_mode="floor")
    device = model.wte.weight.device
    while (tokens == mask).any():
        masked = tokens == mask
        first = (masked * (block_of + 1)).amax(1, keepdim=True) - 1  # the leftmost has the largest
        open_ = masked & (block_of[None] == first)
        logits = torch.full((*tokens.shape, model.shape.vocabulary), -1e9)
        logits[open_] = model(tokens.to(device), open_.to(device)).float().cpu()
        logits[..., mask] = -1e9
        p, token = logits.softmax(-1).max(-1)
        if temperature > 0:
            noise = -torch.log(-torch.log(torch.rand_like(logits)))
            token = (logits / temperature + noise).argmax(-1)
            p = logits.softmax(-1).gather(-1, token[..., None])[..., 0]
        best = p.masked_fill(~open_, -1).argmax(1)
        rows = open_.any(1).nonzero()[:, 0]
        tokens[rows, best[rows]] = token[rows, best[rows]]
    return tokens


def right(example: Example, answer: list[int]) -> bool:
    """Whether an answer is right: equal to the one in the file, or one of the many."""
    if example.task == "latin":
        symbols = set(example.prompt[-5:-1])
        rows = [answer[i : i + 4] for i in range(0, 16, 4)]
        return all(set(line) == symbols for line in [*rows, *zip(*rows)])
    if example.task == "shuffle":
        return sorted(answer) == sorted(example.answer)
    return answer == example.answer


# Tasks with other right answers than the one in the file, which only their own checkers know.
MANY_ANSWERS = {"replace-random", "insert-random", "remove-random", "sentence"}


def accuracy(model: Transformer, data: Tasks, block: int | None, limit: int) -> dict[str, float]:
    """Share of right answers by task, one token at a time, on the first `limit` held-out ones."""
    result: dict[str, float] = {}
    mask, end = data.vocabulary.mask, data.vocabulary.end
    for task in sorted(data.validation.keys() - MANY_ANSWERS):
        by_shape: dict[tuple[int, int], list[Example]] = defaultdict(list)
        examples = data.validation[task][:limit]
        for example in examples:
            by_shape[len(example.prompt), len(example.answer)].append(example)
        count = 0
        for (start, length), group in by_shape.items():
            batch = canvas(group, start + length, end)
            decoded = decode(model, batch.tokens.masked_fill(batch.answer, mask), mask, block)
            count += sum(right(e, row[start:].tolist()) for e, row in zip(group, decoded))
        result[task] = round(count / len(examples), 4)
    return result


def sample(model: Transformer, data: Play, seed: int = 1) -> str:
    """A speech, in blocks of 8 at temperature 0.8."""
    torch.manual_seed(seed)
    vocabulary = data.vocabulary
    prompt = [vocabulary.start, *vocabulary.encode("KING:\nMy lord, what news?\n\n")]
    tokens = torch.full((1, len(prompt) + 64), vocabulary.mask)
    tokens[0, : len(prompt)] = torch.tensor(prompt)
    row = decode(model, tokens, vocabulary.mask, 8, 0.8)[0].tolist()
    return vocabulary.decode(row[len(prompt) :])
