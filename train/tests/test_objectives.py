"""Objectives against values computed by hand."""

import math
import sys
import unittest
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from data import Example, canvas, generator  # noqa: E402
from model import ModelShape, SoftMaskParameters, Transformer  # noqa: E402
from objectives import (  # noqa: E402
    SCHEDULES,
    Batch,
    Masking,
    Objective,
    active_block,
    blockwise_reverse,
    bound,
    choose,
    masked_diffusion,
    mixture_of_orders,
    schedule,
    times,
)

MASK, END = 9, 8


class Fixed(nn.Module):
    """A model whose predictions are known: token v has probability `p[v]`, whatever is there."""

    def __init__(self, p: list[float]) -> None:
        super().__init__()
        self.wte = nn.Embedding(len(p), 1)
        self.logits = torch.tensor(p).log()

    def forward(self, tokens, rows, soft=None):
        return self.logits.expand(int(rows.sum()), -1)


class Copier(nn.Module):
    """Probability 0.9 for the token after the last known one in order 0, 1, 2 ..., for a position
    whose left neighbour is known, and 0.2 otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(10, 1)

    def forward(self, tokens, rows, soft=None):
        left = torch.cat((torch.zeros_like(tokens[:, :1]), tokens[:, :-1]), 1)
        p = torch.where(left == MASK, 0.2, 0.9)
        at = torch.arange(tokens.shape[1]).expand(tokens.shape)
        full = ((1 - p) / 9)[..., None].expand(*tokens.shape, 10).clone()
        full.scatter_(2, at[..., None], p[..., None])
        return full[rows].log()


def small(answers: list[list[int]]) -> Batch:
    length = 1 + max(map(len, answers))
    return canvas([Example([7], answer) for answer in answers], length, END)


class Schedules(unittest.TestCase):
    def test_values(self):
        t = torch.tensor([0.25])
        for name, alpha in (
            ("linear", 0.75),
            ("cosine", 1 - math.cos(math.pi / 2 * 0.75)),
            ("cosineNoise", math.cos(math.pi / 2 * 0.25)),
            ("polynomial", 1 - 0.0625),
        ):
            self.assertAlmostEqual(float(schedule(name, t)[0]), alpha, delta=2e-4)
        self.assertAlmostEqual(float(schedule("linear", t)[1]), 4, delta=4e-3)  # 1/t
        self.assertAlmostEqual(float(schedule("polynomial", t)[1]), 8, delta=2e-2)  # 2/t

    def test_derivatives(self):
        t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64, requires_grad=True)
        for name, (alpha, fall) in SCHEDULES.items():
            slope = torch.autograd.grad(alpha(t).sum(), t)[0]
            self.assertTrue(torch.allclose(-slope, fall(t.detach())), name)

    def test_times(self):
        stratified = times(8, "stratified", generator(1)).sort()[0]
        self.assertEqual((stratified * 8).floor().tolist(), list(range(8)))
        pairs = times(6, "antithetic", generator(1))
        self.assertTrue(torch.allclose(pairs[:3] + pairs[3:], torch.ones(3)))
        with self.assertRaises(ValueError):
            times(2, "often", generator(1))


class Bounds(unittest.TestCase):
    def test_equal_the_likelihood_if_positions_are_independent(self):
        """Then every bound is tight: -log p of each token, whatever is masked."""
        p = [0.5, 0.25, 0.125, 0.025, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01]
        model = Fixed(p)
        batch = small([[0, 1, 2, 0, 1]])
        exact = -sum(math.log(p[v]) for v in [0, 1, 2, 0, 1]) / 5
        many = Batch(batch.tokens.repeat(20_000, 1), batch.answer.repeat(20_000, 1))
        objectives = [Objective("masked", name) for name in ("count", *SCHEDULES)]
        objectives += [Objective("blockwise", "count", block=2), Objective("orders", block=2)]
        objectives += [Objective("masked", "linear", "antithetic")]
        for objective in objectives:
            value = float(objective.loss(model, many, MASK, generator(3)))
            self.assertAlmostEqual(value, exact, delta=0.02, msg=str(objective))

    def test_count_weighs_by_length_over_count(self):
        eligible = torch.tensor([[False, True, True, True]]).repeat(900, 1)
        masked, weight = choose(eligible, Masking("count"), generator(5))
        self.assertFalse(bool((masked & ~eligible).any()))
        count = masked.sum(1)
        self.assertTrue(torch.allclose(weight, 3 / count))
        self.assertEqual([int((count == k).sum()) for k in (1, 2, 3)], [300, 300, 300])

    def test_masked_diffusion_leaves_the_prompt(self):
        batch = small([[0, 1, 2], [3]])
        noised = masked_diffusion(batch, MASK, Masking(), generator(2))
        self.assertEqual(noised.tokens[:, 0].tolist(), [7, 7])
        self.assertTrue(torch.equal(noised.tokens == MASK, noised.scored))
        self.assertEqual(batch.tokens[1].tolist(), [7, 3, END, END])  # end of text is answer, too


class Blocks(unittest.TestCase):
    def test_are_counted_from_the_end(self):
        answer = torch.tensor([[False, True, True, True, True, True]])
        picked = [active_block(answer, 2, torch.tensor([u])) for u in (0.0, 0.4, 0.9)]
        places = [block[0].nonzero()[:, 0].tolist() for block, _, _ in picked]
        self.assertEqual(places, [[4, 5], [2, 3], [1]])  # the leftmost has what is left over
        after = [hidden[0].nonzero()[:, 0].tolist() for _, hidden, _ in picked]
        self.assertEqual(after, [[], [4, 5], [2, 3, 4, 5]])
        self.assertEqual(int(picked[0][2]), 3)

    def test_see_what_precedes_and_nothing_that_follows(self):
        batch = small([[0, 1, 2, 3, 4]])
        many = Batch(batch.tokens.repeat(300, 1), batch.answer.repeat(300, 1))
        noised = blockwise_reverse(many, MASK, 2, Masking(), generator(4))
        for tokens, scored in zip(noised.tokens, noised.scored):
            first, last = scored.nonzero()[:, 0][[0, -1]].tolist()
            block_start, block_end = ((first - 2) // 2) * 2 + 2, ((last - 2) // 2) * 2 + 3
            known = [7, 0, 1, 2, 3, 4]
            self.assertEqual(tokens[: max(1, block_start)].tolist(), known[: max(1, block_start)])
            self.assertTrue(bool((tokens[block_end + 1 :] == MASK).all()))
            inside = tokens[block_start : block_end + 1]
            self.assertEqual(int((inside == MASK).sum()), int(scored.sum()))

    def test_value_by_hand(self):
        """Answer 1 2 3 in blocks of 2: [1], then [2 3]. Known left neighbour 0.9, else 0.2.
        Block [1]: 0.9. Block [2 3]: with both masked 0.9, 0.2; with one masked 0.9 each."""
        batch = small([[1, 2, 3]])
        many = Batch(batch.tokens.repeat(40_000, 1), batch.answer.repeat(40_000, 1))
        a, b = -math.log(0.9), -math.log(0.2)
        exact = (a + (0.5 * (a + b) + 0.5 * 2 * a)) / 3
        value = float(Objective("blockwise", block=2).loss(Copier(), many, MASK, generator(6)))
        self.assertAlmostEqual(value, exact, delta=0.01)

    def test_mixture_of_orders_by_hand(self):
        """Answer 1 2 in one block: left to right 0.9 x 0.9, right to left 0.2 x 0.9."""
        batch = small([[1, 2]])
        expected = {0.81, 0.18, 0.495}  # both orders alike, or one of each
        seen = set()
        for seed in range(40):
            value = float(mixture_of_orders(Copier(), batch, MASK, 2, 2, generator(seed)))
            seen.add(round(math.exp(-2 * value), 4))
        self.assertEqual(seen, expected)


class SoftMasks(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        shape = ModelShape(layers=1, width=8, heads=2, ffn=12, context=8, vocabulary=10)
        self.model = Transformer(shape)
        nn.init.normal_(self.model.ff_out.weight)
        self.parameters = SoftMaskParameters(k=2, scale=0.5, slope=3.0, centre=-1.0)

    def test_mixture_by_hand(self):
        logits = torch.full((1, 10), -30.0)
        logits[0, 2], logits[0, 5], logits[0, MASK] = math.log(0.75), math.log(0.25), 9.0
        tokens = torch.tensor([[1, MASK]])
        inputs = self.model.soft_inputs(tokens, tokens == MASK, logits, MASK, self.parameters)
        entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))  # without MASK
        a = 0.5 / (1 + math.exp(-3 * (-entropy + 1)))
        e = self.model.wte.weight
        expected = (1 - a) * e[MASK] + a * (0.75 * e[2] + 0.25 * e[5])
        self.assertTrue(torch.allclose(inputs[0, 1], expected, atol=1e-6))
        self.assertTrue(torch.equal(inputs[0, 0], e[1]))

    def test_parameters_are_learned(self):
        batch = small([[0, 1, 2, 3]])
        objective = Objective(soft=1.0)
        objective.loss(self.model, batch, MASK, generator(1), self.parameters).backward()
        for name, parameter in self.parameters.named_parameters():
            self.assertGreater(float(parameter.grad.abs()), 0, name)

    def test_without_probability_it_is_the_plain_objective(self):
        batch = small([[0, 1, 2, 3]])
        plain = Objective().loss(self.model, batch, MASK, generator(1))
        unfed = Objective(soft=1e-12).loss(
            self.model, batch, MASK, generator(1), self.parameters
        )
        self.assertEqual(float(plain), float(unfed))


if __name__ == "__main__":
    unittest.main()
