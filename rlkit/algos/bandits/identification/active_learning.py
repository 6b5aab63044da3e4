"""Learning to Actively Learn: a best-arm identification policy trained against the worst problem.

Zhang, Jain & Jamieson 2020/2022, "Learning to Actively Learn: A Robust Approach". Arms theta in R^K
with rewards N(theta_a, 1), a budget of T pulls, loss 1{recommended arm is not the best} or the gap
of the recommended arm. Problems are sorted by the complexity of the lower bound,
C(theta) = sum over a != best of gap_a^-2, into classes Theta_r = {theta : C(theta) <= r}. Then
  V_r = min over pi of max over theta in Theta_r of loss(pi, theta)        one specialist a class
  pi* = argmin over pi of max over r of [max over theta in Theta_r of loss(pi, theta) - V_r]
No prior over problems is needed, and pi* is compared with the best policy of every class.

The maximum over theta is a softmax mixture over a pool of problems that climb their own loss; both
gradients are score-function estimates with the mean over a problem's rollouts as baseline. The
policy sees sufficient statistics only, through a network that is symmetric in the arms, so that the
adversary gains nothing by relabelling. From the abstract and as remembered; constants are ours.
Differs from the paper: problems are kept in their class by scaling their gaps (C falls with the
square of the scale), not by a log barrier; the recommendation enters the loss by its probability,
which needs no sampling; the poorest quarter of each pool is drawn anew from time to time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.errors import UsageError
from rlkit.core.optim import Adam
from rlkit.core.ranges import Count, Positive, Several, checked
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.nets.layers import MLP, Init

# (pulls [S, n, K], sums [S, n, K], round) -> logits of the next pull and of the recommendation
Rule = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
_INPUTS = 6
_REFRESH = 50  # iterations between fresh draws of the poorest problems


@checked("arms <= budget", lanes=False)
@dataclass(frozen=True)
class Config:
    arms: Several = 5  # K
    budget: Count = 20  # T
    classes: tuple[Positive, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # r
    span: Positive = 4.0  # largest gap, in standard deviations of a reward
    loss: Literal["error", "regret"] = "error"
    problems: Count = 16  # in the pool of a class
    rollouts: Count = 32  # of each problem in an iteration
    iterations: Count = 600  # of each of the two trainings
    hidden: Count = 32
    lr: Positive = 3e-3
    lr_problems: Positive = 0.05  # a problem's step, as a share of its largest gap
    temperature: Positive = 0.03  # of the softmax over problems and over classes, in units of loss
    seed: int = 0


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


class ActivePolicy(nn.Module):
    """S networks on sufficient statistics, symmetric in the arms: a `Rule` for S lanes."""

    def __init__(self, arms: int, budget: int, hidden: int, seeds: tuple[int, ...]) -> None:
        super().__init__()
        self.arms, self.budget = arms, budget
        init = Init(Spec(_INPUTS, 1, seeds, torch.float32))
        self.arm = MLP(init, _INPUTS, (hidden,), hidden)
        self.joint = MLP(init, _INPUTS + 2 * hidden, (hidden,), 2)

    def inputs(self, pulls: Tensor, sums: Tensor, t: int | Tensor) -> Tensor:
        """What the net sees of every arm [..., K, 6]; shifting all rewards changes nothing."""
        centre = sums.sum(-1, keepdim=True) / pulls.sum(-1, keepdim=True).clamp(min=1.0)
        known = (pulls > 0).to(sums)
        above = (sums / pulls.clamp(min=1.0) - centre) * known
        share = torch.as_tensor(t / self.budget).to(sums).expand(sums.shape[:-1])
        spread = (pulls + 1.0).rsqrt()
        parts = [above, above * pulls.sqrt(), pulls / self.budget, spread, known]
        return torch.stack([*parts, share[..., None].expand_as(sums)], -1)

    def scores(self, x: Tensor) -> Tensor:
        """Logits (next pull, recommendation) [S, n, K, 2] of inputs [S, n, K, 6]."""
        h = torch.relu(self.arm(x.flatten(1, 2))).unflatten(1, x.shape[1:3])  # [S, n, K, hidden]
        pooled = h.mean(2, keepdim=True).expand_as(h)
        return self.joint(torch.cat([x, h, pooled], -1).flatten(1, 2)).unflatten(1, x.shape[1:3])

    def forward(self, pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
        out = self.scores(self.inputs(pulls, sums, t))
        return out[..., 0], out[..., 1]

    def log_probabilities(self, games: "Rollouts") -> Tensor:
        """Of all pulls of each game together [S, n]."""
        before, held, actions = games.past
        rounds = torch.arange(len(actions))[:, None, None]
        x = self.inputs(before, held, rounds).transpose(0, 1).flatten(1, 2)  # [S, T n, K, 6]
        logits = self.scores(x)[..., 0].log_softmax(-1)
        chosen = actions.transpose(0, 1).flatten(1, 2)[..., None]
        return logits.gather(-1, chosen).squeeze(-1).unflatten(1, (len(actions), -1)).sum(1)


def uniform_rule(pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Pulls the least pulled arm and recommends the best mean: the baseline."""
    return -1e6 * pulls, 1e6 * sums / pulls.clamp(min=1.0)


def lucb_rule(pulls: Tensor, sums: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Each arm once, then in turn the leader and its best challenger by an upper bound."""
    mean = sums / pulls.clamp(min=1.0)
    leader = F.one_hot(mean.argmax(-1), mean.shape[-1]).to(mean)
    upper = mean + (2.0 / pulls.clamp(min=1.0)).sqrt() - 1e6 * leader
    turn = leader if t % 2 == 0 else upper
    return torch.where(pulls.min(-1, keepdim=True).values > 0, 1e6 * turn, -1e6 * pulls), 1e6 * mean


@dataclass(frozen=True, eq=False)
class Rollouts:
    """n games a lane: pulls and sums at the end [S, n, K], recommendation probabilities, and the
    (pulls, sums, actions) of every round, [T, S, n, K] and [T, S, n]."""

    pulls: Tensor
    sums: Tensor
    recommend: Tensor
    past: tuple[Tensor, Tensor, Tensor]


@torch.no_grad()
def roll_out(rule: Rule, theta: Tensor, budget: int, streams: Streams, step: int) -> Rollouts:
    """Play problems theta [S, n, K], one game each, with the draws of this step of the streams."""
    lanes, n, arms = theta.shape
    gumbel = torch.from_numpy(streams.draw("pull", "gumbel", step, (budget, n, arms))[0])
    noise = torch.from_numpy(streams.draw("reward", "normal", step, (budget, n))[0])
    pulls, sums = torch.zeros_like(theta), torch.zeros_like(theta)
    past: list[tuple[Tensor, Tensor, Tensor]] = []
    for t in range(budget):
        logits, _ = rule(pulls, sums, t)
        action = (logits + gumbel[:lanes, t]).argmax(-1)
        past.append((pulls.clone(), sums.clone(), action))
        reward = theta.gather(-1, action[..., None]).squeeze(-1) + noise[:lanes, t]
        pulls.scatter_add_(-1, action[..., None], torch.ones_like(reward)[..., None])
        sums.scatter_add_(-1, action[..., None], reward[..., None])
    recommend = rule(pulls, sums, budget)[1].softmax(-1)
    before, held, actions = (torch.stack(part) for part in zip(*past, strict=True))
    return Rollouts(pulls, sums, recommend, (before, held, actions))


def losses(recommend: Tensor, theta: Tensor, kind: str) -> Tensor:
    """Expected loss [...] of recommendation probabilities [..., K]."""
    if kind == "error":
        return 1.0 - recommend.gather(-1, theta.argmax(-1, keepdim=True)).squeeze(-1)
    return theta.max(-1).values - (recommend * theta).sum(-1)


class Adversary:
    """Pools of problems theta [C, P, K], one pool a class, that climb the loss of a policy."""

    def __init__(self, c: Config, problems: int, seed: int) -> None:
        self.c, self.streams = c, Streams((seed,))
        self.most = torch.tensor(c.classes)[:, None].expand(-1, problems)  # r [C, P]
        self.theta = self._fresh(0)
        self.loss = torch.zeros(self.most.shape)  # running means
        self.slope, self.square = torch.zeros_like(self.theta), torch.zeros_like(self.theta)

    def _fresh(self, step: int) -> Tensor:
        """Random problems on the edge of their class, of all shapes."""
        shape = (*self.most.shape, self.c.arms)
        gaps = np.exp(self.streams.draw("problems", "normal", step, shape)[0, 0])
        gaps[..., 0] = 0.0
        return into_class(torch.from_numpy(-1e-3 * gaps).float(), self.most, self.c.span)

    def weights(self) -> Tensor:
        """The mixture over the problems of each class [C, P]."""
        return (self.loss / self.c.temperature).softmax(-1)

    def climb(self, loss: Tensor, games: Rollouts, step: int) -> None:
        """One ascent step from losses [C, P, R] and their games; refreshes the poorest."""
        c, theta, shape = self.c, self.theta, (*loss.shape, self.c.arms)
        self.loss = self.loss.lerp(loss.mean(-1), 0.1 if step else 1.0)
        score = games.sums.reshape(shape) - games.pulls.reshape(shape) * theta[:, :, None]
        slope = ((loss - loss.mean(-1, keepdim=True))[..., None] * score).mean(2)
        if c.loss == "regret":
            best = F.one_hot(theta.argmax(-1), c.arms).to(theta)
            slope = slope + best - games.recommend.reshape(shape).mean(2)
        # Adam's rule: a slope that is only noise moves a problem little.
        self.slope = 0.9 * self.slope + 0.1 * slope
        self.square = 0.9 * self.square + 0.1 * slope.square().mean(-1, keepdim=True)
        size = (theta.max(-1).values - theta.min(-1).values)[..., None]
        move = self.slope / (self.square.sqrt() + 1e-9)
        self.theta = into_class(theta + c.lr_problems * size * move, self.most, c.span)
        if step % _REFRESH == _REFRESH - 1:
            poor = self.loss.argsort(-1)[:, : max(1, theta.shape[1] // 4)]
            index = poor[..., None].expand(-1, -1, c.arms)
            self.theta.scatter_(1, index, self._fresh(step + 1).gather(1, index))
            middle = self.loss.median(-1, keepdim=True).values
            self.loss.scatter_(1, poor, middle.expand_as(poor))


def _train(policy: ActivePolicy, lanes: int, c: Config, values: Tensor | None) -> None:
    """Train a specialist a class (lanes = C), or one policy (lanes = 1) against the excess over
    `values` [C]."""
    adversary = Adversary(c, c.problems, c.seed)
    streams = Streams(tuple(c.seed + 1 + k for k in range(lanes)))
    optimiser = Adam(policy, c.lr, clip=1.0)
    shape = (len(c.classes), c.problems, c.rollouts)
    for step in range(c.iterations):
        rows = adversary.theta[:, :, None].expand(*shape, c.arms).reshape(lanes, -1, c.arms)
        games = roll_out(policy, rows, c.budget, streams, step)
        loss = losses(games.recommend, rows, c.loss).reshape(shape)
        weight = adversary.weights()
        if values is not None:
            excess = (weight * adversary.loss).sum(-1) - values
            weight = weight * (excess / c.temperature).softmax(-1)[:, None]
        weight = (weight[..., None] / c.rollouts).expand(shape).reshape(lanes, -1)
        advantage = (loss - loss.mean(-1, keepdim=True)).reshape(lanes, -1)
        log_prob = policy.log_probabilities(games)
        final = policy(games.pulls, games.sums, c.budget)[1].softmax(-1)
        # The pulls by their score function, the recommendation by its expected loss.
        optimiser((weight * (advantage * log_prob + losses(final, rows, c.loss))).sum(-1))
        adversary.climb(loss, games, step)


@dataclass(frozen=True, eq=False)
class WorstCase:
    """Mean loss [C] of a policy on the worst problem theta [C, K] found in each class, with its
    standard error [C]."""

    loss: np.ndarray
    error: np.ndarray
    theta: np.ndarray


def worst_case(
    rule: Rule, c: Config, *, lanes: int = 1, steps: int = 40, problems: int = 64, seed: int = 1
) -> WorstCase:
    """The `WorstCase` of `rule` against a fresh and larger adversary than that of the training.

    With lanes = C, lane k of the rule plays class k; otherwise one rule plays all of them. Both
    the problems drawn and those climbed to are candidates, and the one that is chosen is scored on
    games of its own.
    """
    classes, streams = len(c.classes), Streams(tuple(10_000 + seed + k for k in range(lanes)))
    adversary = Adversary(c, problems, 20_000 + seed)

    def play(theta: Tensor, rollouts: int, step: int) -> tuple[Tensor, Rollouts]:
        shape = (*theta.shape[:2], rollouts)
        rows = theta[:, :, None].expand(*shape, c.arms).reshape(lanes, -1, c.arms)
        games = roll_out(rule, rows, c.budget, streams, step)
        return losses(games.recommend, rows, c.loss).reshape(shape), games

    drawn = adversary.theta
    for step in range(steps):
        adversary.climb(*play(adversary.theta, 2 * c.rollouts, step), step)
    candidates = torch.cat([drawn, adversary.theta], 1)
    for keep, rollouts in ((16, 128), (4, 512), (1, 2000)):  # successive rejects
        loss = play(candidates, rollouts, steps + keep)[0].mean(-1)
        best = loss.topk(keep, -1).indices[..., None].expand(-1, -1, c.arms)
        candidates = candidates.gather(1, best)
    final = play(candidates, 4000, steps)[0].reshape(classes, -1).double()
    error = final.std(-1) / final.shape[-1] ** 0.5
    return WorstCase(final.mean(-1).numpy(), error.numpy(), candidates[:, 0].numpy())


@dataclass(frozen=True, eq=False)
class Learned:
    """The robust policy (one lane), the specialists (a lane a class), and their worst cases."""

    policy: ActivePolicy
    specialists: ActivePolicy
    specialist_loss: np.ndarray  # V_r [C]


def learn(config: Config | None = None) -> Learned:
    """Train the specialists and then the robust policy; see the module's text."""
    c = config or Config()
    least = (c.arms - 1) / c.span**2  # all gaps as large as they may be
    if not c.classes or min(c.classes) <= least:
        raise UsageError(f"classes are {c.classes}; they must exceed {least:.3g} = (K - 1) / span²")
    seeds = tuple(c.seed + k for k in range(len(c.classes)))
    specialists = ActivePolicy(c.arms, c.budget, c.hidden, seeds)
    _train(specialists, len(seeds), c, None)
    found = worst_case(specialists, c, lanes=len(seeds), problems=4 * c.problems, seed=c.seed)
    policy = ActivePolicy(c.arms, c.budget, c.hidden, (c.seed,))
    _train(policy, 1, c, torch.from_numpy(found.loss).float())
    return Learned(policy, specialists, found.loss)
