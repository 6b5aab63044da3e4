"""Conservative Q-Learning on observation histories, after Hong, Dragan & Levine 2024, "Offline RL
with Observation Histories: Analyzing and Improving Sample Complexity" (arXiv 2310.20663): where one
observation does not tell the state a GRU reads the last K, a bisimulation loss orders its latents.

    (1)  z_t = φ(o_{t-K+1}, a_{t-K+1}, ..., a_{t-1}, o_t),   z' one step of the GRU further, with
         (a_t, o_{t+1})
    (2)  y = r + γ Q̄(z̄', argmax_a Q(z', a)),   L_Q = E huber(Q(z, a) - y)
                                                + α E [logsumexp_a Q(z, a) - Q(z, a)]   discrete CQL
    (3)  J = E_{i,j} (|z_i - z_j|_1 - max_a [|r̂(z_i, a) - r̂(z_j, a)|
                                            + γ W_2(P̂(z_i, a), P̂(z_j, a))])²,   all pairs of rows
    (4)  L = L_Q + c J;   L_M = E (r̂(z, a) - r)² - E log P̂(z̄' | z, a),   P̂ a diagonal Gaussian

W_2² = |μ_i - μ_j|² + |σ_i - σ_j|². Histories that lead to the same rewards and successors are drawn
together, so that what one of them teaches holds for its like. Only the first distance of (3) trains
φ through J; r̂ and P̂ learn by (4) on z as it is. The latent of an episode's end is 0. With c = 0
this is recurrent CQL. J alone is least where all latents are one, which (2) must prevent: too large
a c lets φ collapse, and then nothing is learnt.

With `same_action` off (3) compares r̂(z_i, a_i) with r̂(z_j, a_j), each row at its own action, as the
paper writes it; rewards then differ where actions do, whatever the histories. The authors' code was
not found: Huber's loss, double Q-learning and the hard copy are discrete CQL's, γ before W_2 is of
deep bisimulation (Zhang et al. 2021, arXiv 2006.10742), c is ours. The policy looks back at its
episode (`core.history`) and acts greedily.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.cql_discrete import conservative_loss, td_loss
from rlkit.core.history import Past, until
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, step_jointly
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import Count, NonNegative, Positive, Share, Widths, checked

if TYPE_CHECKING:
    from rlkit.core.engine import Source
    from rlkit.data.stock import Stock

FITS = ("offline", "discrete")


@checked()
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    alpha: NonNegative = 1.0  # α, weight of the conservative term
    bisimulation: NonNegative = 0.03  # c, weight of J; 0 is recurrent CQL
    same_action: bool = True  # compare histories at every action; off: each at its own
    context: Count = 10  # K, observations that the policy sees
    latent: Count = 64  # numbers in z
    target_period: Count = 1000  # updates between hard copies of the target
    huber: Positive = 1.0  # where the error's loss turns from square to linear
    lr: Positive = 3e-4  # learning rate of φ and Q
    lr_model: Positive = 3e-4  # learning rate of r̂ and P̂
    batch_size: Count = 256  # B, histories an update
    hidden: Widths = (256,)  # widths of Q and of the heads behind z


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "recurrent": ({"bisimulation": 0.0}, {}),
}


class History(NamedTuple):
    """What `Agent` learns from: rows with the steps before them, padded on the left with 0."""

    s: Tensor  # [S, B, K, *obs], the row's own last
    a: Tensor  # [S, B, K] int64
    mask: Tensor  # [S, B, K] bool, real steps
    r: Tensor  # [S, B] of the row
    cont: Tensor  # [S, B]
    s2: Tensor  # [S, B, *obs]
    noise: dict[str, Tensor] | None = None


def bisimulation_loss(  # [..., B, H], [..., k, B], [..., k, B, H], [..., k, B, H] -> [...]
    z: Tensor, r: Tensor, mean: Tensor, std: Tensor, gamma: float | Tensor
) -> Tensor:
    """J of eq. (3) over k actions, whose only gradient is that of the distances of latents."""
    with torch.no_grad():
        law, r = torch.cat([mean, std], -1), r.unsqueeze(-1)
        apart = torch.cdist(law, law)
        wanted = torch.cdist(r, r, p=1) + against(gamma, apart) * apart  # [..., k, B, B]
    return (torch.cdist(z, z, p=1) - wanted.amax(-3)).square().mean((-2, -1))


def model_loss(
    r: Tensor, mean: Tensor, std: Tensor, seen: Tensor, z2: Tensor
) -> Tensor:  # [..., B], [..., B, H] -> [...]
    """L_M of eq. (4), but for a constant: rewards `seen`, next latents `z2`."""
    unlikely = (0.5 * ((z2 - mean) / std).square() + std.log()).sum(-1)
    return ((r - seen).square() + unlikely).mean(-1)


class Agent(Learner):
    """Action values `q` of histories with targets `q_bar`, and a `model` of rewards and latents."""

    act_noise = Draw("gumbel", "B", "A")

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.q = nets.HistoryValues(init, c.latent, c.hidden)
        self.model = nets.LatentModel(init, c.latent, c.hidden)
        self.q_bar = Target(self.q)
        self.step_q, self.step_model = Adam(self.q, c.lr), Adam(self.model, c.lr_model)
        self.periods = {"target": c.target_period}
        self.history, self.context = max(1, c.context - 1), c.context

    def update(self, b: History, c: Config, target: bool = False) -> dict[str, Tensor]:
        """One step of encoder and values and one of the model on histories, `[S, B, K, ...]`, and
        a copy to the targets when `target`; metrics `[S]` from before it."""
        a = b.a[..., -1]
        z = self.q.latent(b.s, b.a, b.mask)
        with torch.no_grad():
            ahead = self.q.further(z, a, b.s2)
            best = self.q.values(ahead).argmax(-1, keepdim=True)
            slow: Any = self.q_bar.net
            z2 = slow.further(slow.latent(b.s, b.a, b.mask), a, b.s2)
            y = b.r + c.gamma * b.cont * slow.values(z2).gather(-1, best).squeeze(-1)
            z2 = z2 * b.cont.unsqueeze(-1)
        qs = self.q.values(z)
        q = qs.gather(-1, a.unsqueeze(-1)).squeeze(-1)
        conservative = conservative_loss(qs, q)
        every = self.model(z.detach())
        r, mean, std = (_of_action(x, a) for x in every)
        told = every if c.same_action else (r[:, None], mean[:, None], std[:, None])
        alike = bisimulation_loss(z, told[0], told[1], told[2], c.gamma)
        loss = td_loss(q, y, c.huber) + against(c.alpha, conservative) * conservative
        q_loss, of_model = step_jointly(
            (self.step_q, loss + against(c.bisimulation, alike) * alike),
            (self.step_model, model_loss(r, mean, std, b.r, z2)),
        )
        if target:
            self.q_bar.follow(self.q)
        return {
            "q_loss": q_loss,
            "model_loss": of_model,
            "bisimulation": alike.detach(),
            "conservative": conservative.detach(),
            "q": q.detach().mean(-1),
        }

    def act(self, s: Tensor, noise: Tensor | None = None, past: Past | None = None) -> Tensor:
        """The action of highest value after the steps of `past` (without them `s` begins an
        episode); with Gumbel `noise` a draw from softmax(Q)."""
        here = torch.ones_like(s.flatten(2)[..., 0], dtype=torch.bool)
        a = torch.zeros_like(here, dtype=torch.int64)  # of now; no latent sees it
        if past is None:
            seen = [x.unsqueeze(2) for x in (s, a, here)]
        else:
            pairs = ((s, past.s), (a, past.a), (here, past.mask))
            seen = [until(now, before, self.context) for now, before in pairs]
        q = self.q.values(self.q.latent(*seen))
        return q.argmax(-1) if noise is None else (q + noise).argmax(-1)


def _of_action(x: Tensor, a: Tensor) -> Tensor:
    """`x` `[S, A, B, ...]` of the actions `a` `[S, B]`: `[S, B, ...]`."""
    index = a.view(a.shape[0], 1, a.shape[1], *[1] * (x.dim() - 3))
    return x.gather(1, index.expand(-1, -1, -1, *x.shape[3:])).squeeze(1)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Rows of the dataset, all equally likely, with their histories."""
    from rlkit.data.sampling.windows import Window, Windows

    def history(w: Window) -> History:
        return History(w.s, w.a, w.mask, w.r[..., -1], w.cont[..., -1], w.s2[:, :, -1])

    assert stock.data is not None
    size = (c.batch_size, stock.streams, c.context)
    return Windows(stock.data, *size, anchor="end", pad="left", form=history)
