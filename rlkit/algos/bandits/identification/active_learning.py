"""Learning to Actively Learn: an identification policy trained against the worst problem.

Zhang, Jain & Jamieson 2020/2022, "Learning to Actively Learn: A Robust Approach". Arms theta in R^K
with rewards N(theta_a, 1), a budget of T pulls, loss 1{recommended arm is not the best} or the gap
of the recommended arm. Problems are sorted by the complexity of the lower bound,
C(theta) = sum over a != best of gap_a^-2, into classes Theta_r = {theta : C(theta) <= r}. Then
  V_r = min over pi of max over theta in Theta_r of loss(pi, theta)        one specialist a class
  pi* = argmin over pi of max over r of [max over theta in Theta_r of loss(pi, theta) - V_r]
No prior over problems is needed, and pi* is compared with the best policy of every class. The
same for transductive games and classes of hypotheses, "twenty questions", whose complexities and
policies are in `active_games`: `learn(config, questions(answers))`.

The maximum over theta is a softmax mixture over a pool of problems that climb their own loss; both
gradients are score-function estimates with the mean over a problem's rollouts as baseline. The
policy sees sufficient statistics only, through a network that is symmetric in the arms, so that the
adversary gains nothing by relabelling. From the abstract and as remembered; constants are ours.
Differs from the paper: problems are kept in their class by scaling their gaps (C falls with the
square of the scale), not by a log barrier; the recommendation enters the loss by its probability,
which needs no sampling; the poorest quarter of each pool is drawn anew from time to time.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit.algos.bandits.identification.active_games import BestArm, Transductive
from rlkit.algos.bandits.identification.active_policy import Rollouts, Rule, losses, roll_out
from rlkit.core.errors import UsageError
from rlkit.core.optim import Adam
from rlkit.core.streams import Streams
from rlkit.core.words.ranges import Count, Positive, Several, checked

Game = BestArm | Transductive
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

    @property
    def game(self) -> BestArm:
        """What is played where no other game is named."""
        return BestArm(self.arms, self.span)


class Adversary:
    """Pools of problems theta [C, P, K], one pool a class, that climb the loss of a policy."""

    def __init__(self, c: Config, problems: int, seed: int, game: Game | None = None) -> None:
        self.c, self.streams, self.game = c, Streams((seed,)), game or c.game
        self.most = torch.tensor(c.classes)[:, None].expand(-1, problems)  # r [C, P]
        self.theta = self._fresh(0)
        self.loss = torch.zeros(self.most.shape)  # running means
        self.slope, self.square = torch.zeros_like(self.theta), torch.zeros_like(self.theta)

    def _fresh(self, step: int) -> Tensor:
        """Random problems on the edge of their class, of all shapes."""
        shape = (*self.most.shape, self.game.size)
        normals = torch.from_numpy(self.streams.draw("problems", "normal", step, shape)[0, 0])
        return self.game.fresh(normals, self.most)

    def weights(self) -> Tensor:
        """The mixture over the problems of each class [C, P]."""
        return (self.loss / self.c.temperature).softmax(-1)

    def climb(self, loss: Tensor, games: Rollouts, step: int) -> None:
        """One ascent step from losses [C, P, R] and their games; refreshes the poorest."""
        c, theta, game = self.c, self.theta, self.game
        asked = (*loss.shape, game.queries)
        self.loss = self.loss.lerp(loss.mean(-1), 0.1 if step else 1.0)
        means = game.means(theta)[:, :, None]
        score = games.sums.reshape(asked) - games.pulls.reshape(asked) * means
        slope = ((loss - loss.mean(-1, keepdim=True))[..., None] * score).mean(2)
        slope = game.of_queries(slope)
        if c.loss == "regret":
            best = F.one_hot(game.values(theta).argmax(-1), game.hypotheses).to(theta)
            named = games.recommend.reshape(*loss.shape, game.hypotheses).mean(2)
            slope = slope + game.of_values(best) - game.of_values(named)
        # Adam's rule: a slope that is only noise moves a problem little.
        self.slope = 0.9 * self.slope + 0.1 * slope
        self.square = 0.9 * self.square + 0.1 * slope.square().mean(-1, keepdim=True)
        size = game.width(theta)[..., None]
        move = self.slope / (self.square.sqrt() + 1e-9)
        self.theta = game.into_class(theta + c.lr_problems * size * move, self.most)
        if step % _REFRESH == _REFRESH - 1:
            poor = self.loss.argsort(-1)[:, : max(1, theta.shape[1] // 4)]
            index = poor[..., None].expand(-1, -1, game.size)
            self.theta.scatter_(1, index, self._fresh(step + 1).gather(1, index))
            middle = self.loss.median(-1, keepdim=True).values
            self.loss.scatter_(1, poor, middle.expand_as(poor))


def _train(policy: Any, lanes: int, c: Config, values: Tensor | None, game: Game) -> None:
    """Train a specialist a class (lanes = C), or one policy (lanes = 1) against the excess over
    `values` [C]."""
    adversary = Adversary(c, c.problems, c.seed, game)
    streams = Streams(tuple(c.seed + 1 + k for k in range(lanes)))
    optimiser = Adam(policy, c.lr, clip=1.0)
    shape = (len(c.classes), c.problems, c.rollouts)
    for step in range(c.iterations):
        rows = adversary.theta[:, :, None].expand(*shape, game.size).reshape(lanes, -1, game.size)
        games = roll_out(policy, game.means(rows), c.budget, streams, step)
        loss = losses(games.recommend, game.values(rows), c.loss).reshape(shape)
        weight = adversary.weights()
        if values is not None:
            excess = (weight * adversary.loss).sum(-1) - values
            weight = weight * (excess / c.temperature).softmax(-1)[:, None]
        weight = (weight[..., None] / c.rollouts).expand(shape).reshape(lanes, -1)
        advantage = (loss - loss.mean(-1, keepdim=True)).reshape(lanes, -1)
        log_prob = policy.log_probabilities(games)
        final = policy(games.pulls, games.sums, c.budget)[1].softmax(-1)
        # The pulls by their score function, the recommendation by its expected loss.
        named = losses(final, game.values(rows), c.loss)
        optimiser((weight * (advantage * log_prob + named)).sum(-1))
        adversary.climb(loss, games, step)


@dataclass(frozen=True, eq=False)
class WorstCase:
    """Mean loss [C] of a policy on the worst problem theta [C, K] found in each class, with its
    standard error [C]."""

    loss: np.ndarray
    error: np.ndarray
    theta: np.ndarray


def worst_case(
    rule: Rule,
    c: Config,
    game: Game | None = None,
    *,
    lanes: int = 1,
    steps: int = 40,
    problems: int = 64,
    seed: int = 1,
) -> WorstCase:
    """The `WorstCase` of `rule` against a fresh and larger adversary than that of the training.

    With lanes = C, lane k of the rule plays class k; otherwise one rule plays all of them. Both
    the problems drawn and those climbed to are candidates, and the one that is chosen is scored on
    games of its own.
    """
    game = game or c.game
    classes, streams = len(c.classes), Streams(tuple(10_000 + seed + k for k in range(lanes)))
    adversary = Adversary(c, problems, 20_000 + seed, game)

    def play(theta: Tensor, rollouts: int, step: int) -> tuple[Tensor, Rollouts]:
        shape = (*theta.shape[:2], rollouts)
        rows = theta[:, :, None].expand(*shape, game.size).reshape(lanes, -1, game.size)
        games = roll_out(rule, game.means(rows), c.budget, streams, step)
        return losses(games.recommend, game.values(rows), c.loss).reshape(shape), games

    drawn = adversary.theta
    for step in range(steps):
        adversary.climb(*play(adversary.theta, 2 * c.rollouts, step), step)
    candidates = torch.cat([drawn, adversary.theta], 1)
    for keep, rollouts in ((16, 128), (4, 512), (1, 2000)):  # successive rejects
        loss = play(candidates, rollouts, steps + keep)[0].mean(-1)
        best = loss.topk(keep, -1).indices[..., None].expand(-1, -1, game.size)
        candidates = candidates.gather(1, best)
    final = play(candidates, 4000, steps)[0].reshape(classes, -1).double()
    error = final.std(-1) / final.shape[-1] ** 0.5
    return WorstCase(final.mean(-1).numpy(), error.numpy(), candidates[:, 0].numpy())


@dataclass(frozen=True, eq=False)
class Learned:
    """The robust policy (one lane), the specialists (a lane a class), and their worst cases."""

    policy: Any  # a Rule: ActivePolicy, or TransductivePolicy
    specialists: Any
    specialist_loss: np.ndarray  # V_r [C]


def learn(config: Config | None = None, game: Game | None = None) -> Learned:
    """Train the specialists and then the robust policy; see the module's text. `game` is another
    than the best of `config.arms` arms. Raises UsageError for classes that hold no problem."""
    c = config or Config()
    game = game or c.game
    if not c.classes or min(c.classes) <= game.least:
        raise UsageError(
            f"classes are {c.classes}; they must exceed {game.least:.3g} = (K - 1) / span²"
        )
    seeds = tuple(c.seed + k for k in range(len(c.classes)))
    specialists = game.policy(c.budget, c.hidden, seeds)
    _train(specialists, len(seeds), c, None, game)
    found = worst_case(specialists, c, game, lanes=len(seeds), problems=4 * c.problems, seed=c.seed)
    policy = game.policy(c.budget, c.hidden, (c.seed,))
    _train(policy, 1, c, torch.from_numpy(found.loss).float(), game)
    return Learned(policy, specialists, found.loss)
