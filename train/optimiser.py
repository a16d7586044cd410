"""Muon for the matrices inside the blocks, AdamW for embeddings, head and norms; EMA weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearly U Vᵀ of the matrix's U S Vᵀ: Newton-Schulz with the quintic coefficients of Muon
    (Jordan et al., kellerjordan.github.io/posts/muon): singular values of about 0.7 ... 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        # a x + (b S + c S S) x
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is orthogonal, scaled to the size of an AdamW update (0.2
    root-mean-square, arXiv 2502.16982), so that both share a learning rate."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(weight)
                velocity = state["velocity"]
                velocity.mul_(group["momentum"]).add_(weight.grad)
                update = orthogonalise(weight.grad.add(velocity, alpha=group["momentum"]))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * 0.2 * max(weight.shape) ** 0.5)


class Optimiser:
    """Both optimisers behind one face. `scale` multiplies all learning rates of a step."""

    def __init__(self, model: nn.Module, config: dict, extra: nn.Module | None = None) -> None:
        inside, others = [], []
        for name, weight in model.named_parameters():
            matrix = weight.ndim == 2 and name.startswith("blocks.")
            (inside if matrix and config["kind"] == "muon" else others).append(weight)
        decay = config.get("weight_decay", 0.0)
        matrices = [w for w in others if w.ndim == 2]
        vectors = [w for w in others if w.ndim < 2]
        groups = [
            dict(params=matrices, lr=config["lr"], weight_decay=decay),
            dict(params=vectors, lr=config["lr"], weight_decay=0.0),
        ]
        if extra is not None:
            groups.append(
                dict(params=list(extra.parameters()), lr=config["extra_lr"], weight_decay=0.0)
            )
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, betas=(0.9, config.get("beta2", 0.98)), eps=1e-8)
        ]
        if inside:
            self.parts.append(Muon(inside, lr=config["lr"], weight_decay=decay))
        self.rates = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def step(self, scale: float) -> None:
        for part, rates in zip(self.parts, self.rates):
            for group, rate in zip(part.param_groups, rates):
                group["lr"] = rate * scale
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict]:
        return [part.state_dict() for part in self.parts]

    def load(self, state: list[dict]) -> None:
        for part, saved in zip(self.parts, state):
            part.load_state_dict(saved)


def rate_scale(step: int, steps: int, warmup: int, cooldown: float) -> float:
    """1, after a linear rise over `warmup` steps and before a linear fall to 0 over the last share
    `cooldown` of all steps: a run can be made longer without starting again."""
    fall = max(1, round(steps * cooldown))
    return min(1.0, (step + 1) / max(1, warmup), (steps - step) / fall)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the weights; early on a plain mean of what there is."""
    keep = min(decay, (step + 1) / (step + 10))
    for slow, fast in zip(average.parameters(), model.parameters()):
        slow.lerp_(fast, 1 - keep)
