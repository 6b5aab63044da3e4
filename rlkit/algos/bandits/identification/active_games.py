"""What a learned explorer plays: which answers queries give, and what is to be named in the end.

    best arm       queries and answers are the arms' own means, theta in R^K
    transductive   query x in X gives x . theta + N(0, 1), theta in R^d, and of the hypotheses Z the
                   one of largest z . theta is to be named: one may ask about other things than one
                   is to name
    questions      a class of hypotheses, each the vector of its answers to N questions in [-1, 1]:
                   transductive with X the N unit vectors, "twenty questions". The truth need be
                   none of them: the one that agrees best is to be named

Complexities are those of the lower bounds (Fiez, Jain, Jamieson & Ratliff 2019),
  best arm      C(theta) = sum over a != best of gap_a^-2
  transductive  C(theta) = min over designs w of max over z of |z* - z|² / ((z* - z) . theta)²,
                the norm being that of (sum_x w_x x x')^-1
and fall with the square of the scale of theta, by which problems are kept in their class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rlkit.algos.bandits.identification.active_policy import ActivePolicy, Rule
from rlkit.algos.bandits.identification.transductive_policy import TransductivePolicy, estimates

_DESIGN_STEPS = 40  # of the design behind a complexity


def complexity(theta: Tensor) -> Tensor:
    """C [...] of problems [..., K]: the sum of gap^-2 over all arms but the best."""
    ordered = theta.sort(-1, descending=True).values
    return (ordered[..., :1] - ordered[..., 1:]).clamp(min=1e-9).pow(-2).sum(-1)


def into_class(theta: Tensor, most: Tensor, span: float) -> Tensor:
    """Problems [..., K] with gaps widened until C <= most [...], none above `span`; best arm at 0.

    A gap at the edge cannot be widened, so that the others are in the next of a few rounds.
    """
    gaps = theta.max(-1, keepdim=True).values - theta
    for _ in range(8):
        excess = (complexity(-gaps) / most).sqrt().clamp(min=1.0)
        gaps = (gaps * excess[..., None]).clamp(max=span)
    return -gaps


class BestArm:
    """Name the best of `arms` arms; gaps are at most `span`."""

    def __init__(self, arms: int, span: float) -> None:
        self.arms, self.span = arms, span
        self.size = self.queries = self.hypotheses = arms  # entries of theta, what is asked, named
        self.least = (arms - 1) / span**2  # below every complexity

    def fresh(self, normals: Tensor, most: Tensor) -> Tensor:
        """Random problems [..., K] on the edge of their class, of all shapes."""
        gaps = normals.exp()
        gaps[..., 0] = 0.0
        return into_class((-1e-3 * gaps).float(), most, self.span)

    def into_class(self, theta: Tensor, most: Tensor) -> Tensor:
        return into_class(theta, most, self.span)

    def means(self, theta: Tensor) -> Tensor:
        """Of the answers to every query [..., N]."""
        return theta

    def values(self, theta: Tensor) -> Tensor:
        """Of every hypothesis [..., M]: the largest is to be named."""
        return theta

    def of_queries(self, slopes: Tensor) -> Tensor:
        """Slopes along theta of slopes along the answers' means [..., N]."""
        return slopes

    def of_values(self, slopes: Tensor) -> Tensor:
        """Slopes along theta of slopes along the values [..., M]."""
        return slopes

    def width(self, theta: Tensor) -> Tensor:
        """A problem's largest gap [...]."""
        return theta.max(-1).values - theta.min(-1).values

    def policy(self, budget: int, hidden: int, seeds: tuple[int, ...]) -> Any:
        return ActivePolicy(self.arms, budget, hidden, seeds)


class Transductive:
    """Name the hypothesis z of `hypotheses` [M, d] with the largest z . theta by the answers to
    queries x of `queries` [N, d]. Raises ValueError where X does not span what tells Z apart."""

    def __init__(self, queries: ArrayLike, hypotheses: ArrayLike) -> None:
        x, z = (np.asarray(a, np.float64) for a in (queries, hypotheses))
        if x.ndim != 2 or z.ndim != 2 or x.shape[1] != z.shape[1] or len(z) < 2:
            raise ValueError(
                f"queries {x.shape} and hypotheses {z.shape} must be [N, d] and [M, d], M >= 2"
            )
        if not (np.isfinite(x).all() and np.isfinite(z).all()):
            raise ValueError("queries and hypotheses must be finite numbers")
        if len(np.unique(z, axis=0)) < len(z):
            raise ValueError("two hypotheses are the same: nothing tells them apart")
        apart = z[1:] - z[0]
        if np.linalg.matrix_rank(np.concatenate([x, apart])) > np.linalg.matrix_rank(x):
            raise ValueError("the queries do not span the differences of the hypotheses")
        basis = np.linalg.svd(x, full_matrices=False)  # theta is told in the span of the queries
        keep = 1e-9 * basis.S[0] < basis.S
        turn = basis.Vh[keep].T
        self.x, self.z = torch.from_numpy(x @ turn), torch.from_numpy((z - z[0]) @ turn)
        self.queries, self.hypotheses, self.size = len(x), len(z), self.x.shape[1]
        self.least = 0.0

    def complexity(self, theta: Tensor) -> Tensor:
        """C [...] of problems [..., d], from above, by a few percent as a rule and a tenth at
        worst: that of the best design that forty multiplicative steps meet."""
        x, z = self.x, self.z
        flat = theta.double().reshape(-1, self.size)
        values = flat @ z.T
        best = values.argmax(-1)
        apart = z[best][:, None] - z  # [n, M, d]
        gaps = (values.gather(-1, best[:, None]) - values).clamp(min=1e-9)
        w = apart / gaps[..., None]
        w[torch.arange(len(flat)), best] = 0.0  # itself
        design = torch.full((len(flat), self.queries), 1.0 / self.queries, dtype=torch.float64)
        least = torch.full((len(flat),), np.inf, dtype=torch.float64)
        for step in range(_DESIGN_STEPS):
            inverse = torch.linalg.inv(torch.einsum("nq,qi,qj->nij", design, x, x))
            turned = torch.einsum("nij,nmj->nmi", inverse, w)
            norms = (turned * w).sum(-1)
            worst = norms.amax(-1)
            least = torch.minimum(least, worst)
            # the gradient of a maximum made ever less soft, and the multiplicative rule of designs
            share = (4.0 * (1 + step) ** 0.75 * (norms / worst[:, None] - 1)).softmax(-1)
            gain = (torch.einsum("nmi,qi->nmq", turned, x).square() * share[..., None]).sum(1)
            move = design * gain.sqrt()
            design = design + (move / move.sum(-1, keepdim=True) - design) / (1 + 0.05 * step)
            design = 0.9999 * design + 0.0001 / self.queries
        return least.reshape(theta.shape[:-1]).to(theta.dtype)

    def fresh(self, normals: Tensor, most: Tensor) -> Tensor:
        """Random problems [..., d] on the edge of their class."""
        return self.into_class(1e-3 * normals.float(), most)

    def into_class(self, theta: Tensor, most: Tensor) -> Tensor:
        """Problems [..., d] enlarged until C <= most [...]."""
        return theta * (self.complexity(theta) / most).sqrt().clamp(min=1.0)[..., None]

    def means(self, theta: Tensor) -> Tensor:
        """Of the answers to every query [..., N]."""
        return theta @ self.x.T.to(theta)

    def values(self, theta: Tensor) -> Tensor:
        """Of every hypothesis [..., M], less the first's: the largest is to be named."""
        return theta @ self.z.T.to(theta)

    def of_queries(self, slopes: Tensor) -> Tensor:
        """Slopes along theta of slopes along the answers' means [..., N]."""
        return slopes @ self.x.to(slopes)

    def of_values(self, slopes: Tensor) -> Tensor:
        """Slopes along theta of slopes along the values [..., M]."""
        return slopes @ self.z.to(slopes)

    def width(self, theta: Tensor) -> Tensor:
        """A problem's largest entry [...]."""
        return theta.abs().max(-1).values

    def policy(self, budget: int, hidden: int, seeds: tuple[int, ...]) -> Any:
        return TransductivePolicy(self.x, self.z, budget, hidden, seeds)

    def static_rule(self, design: Sequence[float] | None = None) -> Rule:
        """The `Rule` that asks by the shares of a design [N] (uniform by default), whatever the
        answers, and names the best by least squares: the baseline."""
        w = torch.full((self.queries,), 1.0) if design is None else torch.tensor([*design])
        w = w / w.sum()

        def rule(pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
            behind = (t + 1) * w.to(pulls) - pulls
            told = estimates(pulls, sums, self.x.to(pulls), self.z.to(pulls), 1e-3)
            return 1e6 * behind, 1e6 * told.value

        return rule


def questions(answers: ArrayLike) -> Transductive:
    """The game of telling M hypotheses apart by N questions, `answers` [M, N] in [-1, 1] being
    what each says. Raises ValueError for others."""
    told = np.asarray(answers, np.float64)
    if told.ndim != 2 or not (np.abs(told) <= 1).all():
        raise ValueError("answers must be numbers in [-1, 1] of shape [M, N]")
    return Transductive(np.eye(told.shape[1]), told)
