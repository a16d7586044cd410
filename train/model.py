"""LLaDA's network: a pre-norm transformer with RMSNorm, rotary embeddings and SwiGLU, without
biases and without a causal mask. Source: LLaDA (arXiv 2502.09992); parameter names are those of its
checkpoints, so that an exported folder is read like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelShape:
    """Numbers of a model. `ffn` is the width between the two halves of the feed-forward part."""

    layers: int
    width: int
    heads: int
    ffn: int
    context: int
    vocabulary: int
    rope_theta: float = 10_000.0
    epsilon: float = 1e-5


class RmsNorm(nn.Module):
    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon)
        return x * scale * self.weight


def rope_tables(shape: ModelShape) -> tuple[Tensor, Tensor]:
    """cos and sin, each (context, head width): the second half repeats the first."""
    half = shape.width // shape.heads // 2
    frequency = shape.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.outer(torch.arange(shape.context, dtype=torch.float64), frequency)
    angle = torch.cat((angle, angle), -1)
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (batch, heads, n, head width); dimension i turns with i + half, as in LLaDA's code."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), -1)
    return x * cos + turned * sin


class Block(nn.Module):
    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        width, ffn = shape.width, shape.ffn
        self.heads = shape.heads
        self.attn_norm = RmsNorm(width, shape.epsilon)
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.ff_norm = RmsNorm(width, shape.epsilon)
        self.ff_proj = nn.Linear(width, ffn, bias=False)
        self.up_proj = nn.Linear(width, ffn, bias=False)
        self.ff_out = nn.Linear(ffn, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, rows: Tensor | None = None) -> Tensor:
        """x (batch, n, width) to the same, or with rows (batch, n) bool to (rows, width)."""
        batch, n, width = x.shape
        h = self.attn_norm(x)

        def split(projected: Tensor) -> Tensor:
            return projected.view(batch, n, self.heads, -1).transpose(1, 2)

        q = rotate(split(self.q_proj(h)), cos, sin)
        k = rotate(split(self.k_proj(h)), cos, sin)
        scores = q @ k.transpose(2, 3) * (width // self.heads) ** -0.5
        mixed = torch.softmax(scores, -1) @ split(self.v_proj(h))
        x = x + self.attn_out(mixed.transpose(1, 2).reshape(batch, n, width))
        if rows is not None:
            x = x[rows]
        h = self.ff_norm(x)
        return x + self.ff_out(F.silu(self.ff_proj(h)) * self.up_proj(h))


class SoftMaskParameters(nn.Module):
    """The three numbers of Soft-Masked Diffusion LMs (arXiv 2510.17206), kept in range by what
    they are computed from: scale in (0, 1), slope > 0, centre < 0 (minus an entropy in nats)."""

    def __init__(self, k: int = 3, scale: float = 0.05, slope: float = 6.67, centre: float = -0.75):
        super().__init__()
        self.k = k
        inverse_softplus = lambda y: torch.tensor(y).expm1().log()  # noqa: E731
        self.raw_scale = nn.Parameter(torch.logit(torch.tensor(scale)))
        self.raw_slope = nn.Parameter(inverse_softplus(slope))
        self.raw_centre = nn.Parameter(inverse_softplus(-centre))

    @property
    def scale(self) -> Tensor:
        return torch.sigmoid(self.raw_scale)

    @property
    def slope(self) -> Tensor:
        return F.softplus(self.raw_slope) + 1e-6

    @property
    def centre(self) -> Tensor:
        return -F.softplus(self.raw_centre) - 1e-6

    def share(self, entropy: Tensor) -> Tensor:
        """How much of a mask's input is what it was expected to be, 0 ... scale."""
        return self.scale * torch.sigmoid(self.slope * (-entropy - self.centre))


class Transformer(nn.Module):
    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.wte = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.ln_f = RmsNorm(shape.width, shape.epsilon)
        self.ff_out = nn.Linear(shape.width, shape.vocabulary, bias=False)
        cos, sin = rope_tables(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights of size 1/sqrt(inputs); what is added to the stream starts smaller."""
        depth = (2 * self.shape.layers) ** -0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                added = name.endswith(("attn_out.weight", ".ff_out.weight"))
                size = 0.5 if name.startswith("wte") else weight.shape[1] ** -0.5
                nn.init.normal_(weight, std=size * (depth if added else 1.0))
        nn.init.zeros_(self.ff_out.weight)

    def forward(
        self, tokens: Tensor, rows: Tensor | None = None, soft: Tensor | None = None
    ) -> Tensor:
        """Logits. tokens (batch, n); rows (batch, n) bool: only these get logits, (rows,
        vocabulary), else (batch, n, vocabulary); soft (batch, n, width) replaces the embeddings."""
        n = tokens.shape[1]
        cos, sin = self.cos[:n], self.sin[:n]
        x = self.wte(tokens) if soft is None else soft
        for block in self.blocks[:-1]:
            x = block(x, cos, sin)
        return self.ff_out(self.ln_f(self.blocks[-1](x, cos, sin, rows)))

    def soft_inputs(
        self,
        tokens: Tensor,
        masked: Tensor,
        logits: Tensor,
        mask: int,
        parameters: SoftMaskParameters,
    ) -> Tensor:
        """Embeddings in which masks are mixed with what `logits` (masked rows, vocabulary; no
        gradient) expects there: (1 - a) E[mask] + a sum_j q_j E[j], q the k largest, sum 1."""
        logits = logits.index_fill(-1, torch.tensor([mask], device=logits.device), -torch.inf)
        log_p = logits.log_softmax(-1)
        entropy = -(log_p.exp() * log_p.clamp(min=-1e4)).sum(-1)  # (rows), nats
        top, token = log_p.topk(parameters.k, -1)  # (rows, k)
        expected = (top.softmax(-1).unsqueeze(-1) * self.wte(token)).sum(1)
        a = parameters.share(entropy).unsqueeze(-1)
        x = self.wte(tokens)
        x[masked] = (1 - a) * x[masked] + a * expected
        return x


def parameter_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
