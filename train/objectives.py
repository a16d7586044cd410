"""What a model is trained on: which positions are masked, and what each prediction weighs.

Every objective is a bound on -log p(answer | prompt), in nats, so that values can be compared.
README.md has the formulas and their sources.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from model import SoftMaskParameters, Transformer


@dataclass
class Batch:
    """tokens (rows, n); answer (rows, n) bool: what the model has to write, the end of each row."""

    tokens: Tensor
    answer: Tensor


@dataclass
class Noised:
    """tokens (rows, n) with masks; scored (rows, n) bool: masked and to be predicted;
    weight (rows): of each prediction in that row."""

    tokens: Tensor
    scored: Tensor
    weight: Tensor


HALF_PI = math.pi / 2
EPSILON = 1e-4

# Of MD4 (arXiv 2406.04329): alpha(t), and minus its derivative; as in `lib/decoding/alpha.ts`.
SCHEDULES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "linear": (lambda t: 1 - t, torch.ones_like),
    "cosine": (
        lambda t: 1 - torch.cos(HALF_PI * (1 - t)),
        lambda t: HALF_PI * torch.sin(HALF_PI * (1 - t)),
    ),
    "cosineNoise": (
        lambda t: torch.cos(HALF_PI * t),
        lambda t: HALF_PI * torch.sin(HALF_PI * t),
    ),
    "polynomial": (lambda t: 1 - t**2, lambda t: 2 * t),
}


def schedule(name: str, t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha(t), the probability of being known, squeezed into eps ... 1 - eps as in MD4, and the
    weight -alpha'(t) / (1 - alpha(t)): 1/t for the linear schedule."""
    alpha, fall = SCHEDULES[name]
    known = (1 - 2 * EPSILON) * alpha(t) + EPSILON
    return known, (1 - 2 * EPSILON) * fall(t) / (1 - known)


def times(rows: int, sampling: str, generator: Generator) -> Tensor:
    """(rows) times in 0 ... 1. Evenly spread times make the weighted loss less noisy: `stratified`
    has one in every 1/rows (MDLM, arXiv 2406.07524), `antithetic` pairs t with 1 - t."""
    u = torch.rand(rows, generator=generator)
    if sampling == "uniform":
        return u
    if sampling == "antithetic":
        half = u[: (rows + 1) // 2]
        return torch.cat((half, 1 - half))[:rows]
    if sampling == "stratified":
        spread = (torch.randperm(rows, generator=generator) + u[0]) / rows
        return spread.clamp(max=1 - 1e-6)
    raise ValueError(f"sampling is {sampling!r}; it must be uniform, antithetic or stratified")


@dataclass(frozen=True)
class Masking:
    """How many positions are masked: each with probability 1 - alpha(t) (`schedule`), or, for
    `schedule='count'`, exactly k, with k uniform in 1 ... length: the same bound, less noise."""

    schedule: str = "count"
    sampling: str = "stratified"


def choose(eligible: Tensor, masking: Masking, generator: Generator) -> tuple[Tensor, Tensor]:
    """(rows, n) which eligible positions are masked, and (rows) the weight of their predictions:
    the mean of weight x sum of their losses is the diffusion bound on the eligible tokens."""
    rows = eligible.shape[0]
    t = times(rows, masking.sampling, generator)
    u = torch.rand(eligible.shape, generator=generator)
    if masking.schedule == "count":
        length = eligible.sum(1)
        count = (t * length).floor() + 1
        rank = u.masked_fill(~eligible, 2.0).argsort(1).argsort(1)
        return (rank < count[:, None]) & eligible, length / count
    known, weight = schedule(masking.schedule, t)
    return (u < 1 - known[:, None]) & eligible, weight


def masked_diffusion(batch: Batch, mask: int, masking: Masking, generator: Generator) -> Noised:
    """LLaDA's: any part of the answer is masked, all masks are predicted at once."""
    masked, weight = choose(batch.answer, masking, generator)
    return Noised(batch.tokens.masked_fill(masked, mask), masked, weight)


def active_block(answer: Tensor, size: int, pick: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Blocks are counted from the end, so that the leftmost takes what is left over. pick (rows) in
    0 ... 1 chooses one. Returns (rows, n) the block, (rows, n) what follows it, (rows) how many
    blocks there are."""
    length = answer.sum(1)
    blocks = torch.div(length + size - 1, size, rounding_mode="floor")
    chosen = (pick * blocks).floor().long()  # 0: the last block
    from_end = torch.arange(answer.shape[1] - 1, -1, -1)
    block_of = torch.div(from_end, size, rounding_mode="floor")[None]
    return answer & (block_of == chosen[:, None]), block_of < chosen[:, None], blocks


def blockwise_reverse(
    batch: Batch, mask: int, size: int, masking: Masking, generator: Generator
) -> Noised:
    """Blockwise reverse-order training: text is taken apart from its end backwards, a block after
    the other, as semi-autoregressive decoding puts it together. A block is predicted from all that
    precedes it while what follows is masked; the leftmost, left over, from the prompt alone."""
    pick = times(batch.tokens.shape[0], masking.sampling, generator)
    block, after, blocks = active_block(batch.answer, size, pick)
    masked, weight = choose(block, masking, generator)
    return Noised(batch.tokens.masked_fill(masked | after, mask), masked, weight * blocks)


def cross_entropy(
    model: Transformer, noised: Noised, clean: Tensor, soft: Tensor | None = None
) -> Tensor:
    """Per scored position, in nats, row after row."""
    device = model.wte.weight.device  # everything else is drawn on the CPU, the same everywhere
    logits = model(noised.tokens.to(device), noised.scored.to(device), soft)
    return F.cross_entropy(logits, clean[noised.scored].to(device), reduction="none")


def bound(
    model: Transformer, noised: Noised, batch: Batch, soft: Tensor | None = None
) -> Tensor:
    """Nats per token of the answers."""
    losses = cross_entropy(model, noised, batch.tokens, soft)
    weight = noised.weight[:, None].expand(noised.scored.shape)[noised.scored]
    return (weight.to(losses.device) * losses).sum() / batch.answer.sum()


def soft_masked_bound(
    model: Transformer,
    parameters: SoftMaskParameters,
    noised: Noised,
    batch: Batch,
    mask: int,
    probability: float,
    generator: Generator,
) -> Tensor:
    """Soft-mask feedback (arXiv 2510.17206): a first pass without gradient predicts the masks; with
    `probability` a row's masks are then mixed with what was expected there, and that is trained."""
    masked = noised.tokens == mask
    fed = torch.rand(masked.shape[0], 1, generator=generator) < probability
    rows = masked & fed
    if not rows.any():
        return bound(model, noised, batch)
    tokens, rows = (x.to(model.wte.weight.device) for x in (noised.tokens, rows))
    with torch.no_grad():
        logits = model(tokens, rows)
    soft = model.soft_inputs(tokens, rows, logits, mask, parameters)
    return bound(model, noised, batch, soft)


def mixture_of_orders(
    model: Transformer, batch: Batch, mask: int, size: int, orders: int, generator: Generator
) -> Tensor:
    """-log of the mean over random orders of p(block in that order), blocks of `size` as above: one
    token at a time, so every factor is a true conditional. By Jensen's inequality it is at most the
    mean over orders that `blockwise_reverse` estimates: a text need be likely in one order only.
    Costs orders x size rows per row."""
    rows, n = batch.tokens.shape
    pick = times(rows, "stratified", generator)
    block, after, blocks = active_block(batch.answer, size, pick)
    u = torch.rand(rows, orders, n, generator=generator)
    rank = u.masked_fill(~block[:, None], 2.0).argsort(2).argsort(2)  # (rows, orders, n)
    step = torch.arange(size)[None, None, :, None]
    inside = block[:, None, None]
    hidden = (inside & (rank[:, :, None] >= step)) | after[:, None, None]
    scored = inside & (rank[:, :, None] == step)  # (rows, orders, size, n), at most one of n
    clean = batch.tokens[:, None, None].expand(hidden.shape)
    noised = Noised(
        clean.masked_fill(hidden, mask).reshape(-1, n), scored.reshape(-1, n), torch.empty(0)
    )
    losses = cross_entropy(model, noised, clean.reshape(-1, n))
    used = scored.any(3).to(losses.device)  # (rows, orders, size): a left-over block is shorter
    per_step = torch.zeros(used.shape, device=losses.device).masked_scatter(used, losses)
    mixed = math.log(orders) - torch.logsumexp(-per_step.sum(2), 1)
    return (mixed * blocks.to(losses.device)).sum() / batch.answer.sum()


@dataclass(frozen=True)
class Objective:
    """`kind`: masked, blockwise or orders; `soft` is the probability of soft-mask feedback."""

    kind: str = "masked"
    schedule: str = "count"
    sampling: str = "stratified"
    block: int = 8
    orders: int = 4
    soft: float = 0.0

    def loss(
        self,
        model: Transformer,
        batch: Batch,
        mask: int,
        generator: Generator,
        parameters: SoftMaskParameters | None = None,
    ) -> Tensor:
        """Nats per token of the answers."""
        masking = Masking(self.schedule, self.sampling)
        if self.kind == "orders":
            return mixture_of_orders(model, batch, mask, self.block, self.orders, generator)
        if self.kind == "masked":
            noised = masked_diffusion(batch, mask, masking, generator)
        elif self.kind == "blockwise":
            noised = blockwise_reverse(batch, mask, self.block, masking, generator)
        else:
            raise ValueError(f"objective is {self.kind!r}; it must be masked, blockwise or orders")
        if self.soft > 0 and parameters is not None:
            probability = self.soft
            return soft_masked_bound(
                model, parameters, noised, batch, mask, probability, generator
            )
        return bound(model, noised, batch)
