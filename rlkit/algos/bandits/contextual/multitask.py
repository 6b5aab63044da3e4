"""GFUCB: optimism for M bandits at once that share an unknown representation.

Lu, Zhao, Du & Huang 2022, "Provable General Function Class Representation Learning in Multitask
Bandits and MDPs". Task i has rewards f_i(x) = phi(x)' w_i, phi shared and w_i its own. The paper
keeps F_t = {f : sum over tasks and rows of (f_i(x) - fhat_i(x))² <= beta_t} around the joint least
squares fit fhat and plays the best arm of the best f in it. That maximum is taken here on the
model linearised at fhat (theta: the parameters of phi; V_i: ridge matrix of task i):
  f_i(x) + sqrt(beta_i) sqrt( phi(x)' V_i^-1 phi(x) + sum_j g_j² / A_j ),   g = d f_i(x) / d theta
  V_i = ridge I + sum over the rows of task i of phi phi'
  A   = ridge + sum over the rows of ALL tasks of g²          (the diagonal of sum g g')
  sqrt(beta_i) = explore · ( R sqrt(ln det V_i/ridge + (1/M) sum_j ln A_j/ridge + 2 ln 1/delta)
                             + sqrt(ridge) S )
so that the uncertainty of the representation is paid once for all tasks. Without a network
(`hidden=None`, phi(x) = x) this is OFUL in every task.

phi is trained by Adam on the joint squared error with linear heads every `refit` learned tables;
after that w_i is the exact ridge solution on the frozen features, and rows in between are added to
it one by one. The linearisation, the diagonal A and the share 1/M of its determinant are ours: the
paper has no computable form of the maximum.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rlkit.algos.bandits.contextual.arm_nets import (
    join_states,
    load_optimiser,
    part_of,
    save_optimiser,
)
from rlkit.algos.bandits.contextual.ridge import RidgeModels
from rlkit.algos.bandits.history import History, by_lane
from rlkit.algos.bandits.interface import (
    Decision,
    Feedback,
    Observation,
    available,
    check_context,
    check_feedback,
    draw,
    greedy,
)
from rlkit.core.optim import Adam, step_jointly
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import Count, NonNegative, Positive, PositiveShare, Widths, checked
from rlkit.envs.bandits.counts import whole
from rlkit.nets.layers import MLP, Init


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    tasks: Count = 1  # M; the column `run` of a row is its task
    hidden: Widths | None = (64,)  # of phi; None: phi(x) = x
    width: Count = 8  # k, outputs of phi
    ridge: Positive = 0.1
    explore: NonNegative = 0.1  # multiplier of the width; 1 is the theory's, too wide in practice
    noise_bound: NonNegative = 0.5  # R, sub-Gaussian scale of rewards
    norm_bound: NonNegative = 1.0  # S, bound on the norm of parameters
    delta: PositiveShare = 0.01
    lr: Positive = 1e-2
    refit: Count = 50  # learned tables between trainings of phi
    steps: Count = 100  # Adam steps of a training
    batch: Count = 64  # rows of each task in a step
    seed: int = 0


class Representation:
    """phi, an MLP [d -> hidden -> k], with the squares of its parameter gradients."""

    def __init__(self, dim: int, hidden: tuple[int, ...], width: int, seed: int) -> None:
        self.net = MLP(Init(Spec(dim, 1, (seed,), torch.float32)), dim, hidden, width)

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight [in, out] and bias [out] of every layer, as views without a graph."""
        found = [*self.net.layers, self.net.last]
        return [(m.weight.detach()[0], m.bias.detach()[0, 0]) for m in found]

    @torch.no_grad()
    def features(self, x: np.ndarray) -> np.ndarray:
        """phi [n, k] of inputs [n, d]."""
        rows = torch.as_tensor(x, dtype=torch.float32)[None]
        return self.net(rows)[0].numpy().astype(np.float64)

    @torch.no_grad()
    def squares(self, x: np.ndarray, head: np.ndarray) -> list[tuple[Tensor, Tensor]]:
        """Squares of d (phi(x)' head) / d theta for inputs [n, d] and heads [n, k].

        One pair a layer, (of its inputs [n, in], of what comes back [n, out]): the square of the
        gradient by weight (i, o) is the product of their entries, and by bias o the second alone.
        """
        shown, layers = [torch.as_tensor(x, dtype=torch.float32)], self.layers()
        for weight, bias in layers[:-1]:
            shown.append(torch.relu(shown[-1] @ weight + bias))
        back, found = torch.as_tensor(head, dtype=torch.float32), []
        for (weight, _), inputs in zip(reversed(layers), reversed(shown), strict=True):
            found.append((inputs.square(), back.square()))
            back = (back @ weight.mT) * (inputs > 0)
        return found[::-1]


class Heads(nn.Module):
    """Linear heads w [M, k] without bias, with which phi is trained."""

    def __init__(self, width: int, seeds: tuple[int, ...]) -> None:
        super().__init__()
        init = Init(Spec(width, 1, seeds, torch.float32))
        self.weight = init.uniform((width, 1), width**-0.5)

    def forward(self, features: Tensor) -> Tensor:  # [M, B, k] -> [M, B]
        return (features @ self.weight).squeeze(-1)


class GFUCB:
    """The batched policy over M tasks; rows of an observation come task by task."""

    def __init__(self, arms: int, dim: int, config: Config | None = None) -> None:
        c = self.config = config or Config()
        self.arms, self.dim = whole("arms", arms), whole("dim", dim)
        self.phi = None if c.hidden is None else Representation(dim, c.hidden, c.width, c.seed)
        k = dim if self.phi is None else c.width
        self.models = RidgeModels(c.tasks, k, c.ridge)
        self.history = History(tuple(range(c.seed, c.seed + c.tasks)), (arms, dim))
        self.tables, self.steps = 0, 0
        self.precision: list[tuple[Tensor, Tensor]] = []  # A: of weights [in, out], biases [out]
        if self.phi is not None:
            for weight, bias in self.phi.layers():
                start = (torch.full_like(weight, c.ridge), torch.full_like(bias, c.ridge))
                self.precision.append(start)
            self.heads = Heads(k, self.history.seeds)
            self.optimisers = {"phi": Adam(self.phi.net, c.lr), "heads": Adam(self.heads, c.lr)}

    def radius(self) -> np.ndarray:
        """sqrt(beta) of every task [M]."""
        c = self.config
        shared = sum(float((w / c.ridge).log().sum() + (b / c.ridge).log().sum())
                     for w, b in self.precision)  # fmt: skip
        volume = self.models.log_det + shared / c.tasks + 2.0 * np.log(1.0 / c.delta)
        return c.explore * (c.noise_bound * np.sqrt(volume) + np.sqrt(c.ridge) * c.norm_bound)

    def predict(self, obs: Observation) -> tuple[np.ndarray, np.ndarray]:
        """Expected rewards and widths (without the radius) of every row and arm [B, K]."""
        x = check_context(obs, self.arms, self.dim, per_arm=True)
        task = self._tasks(len(x), None)
        flat, own = x.reshape(-1, self.dim), np.repeat(task, self.arms)
        features = flat if self.phi is None else self.phi.features(flat)
        head, inverse = self.models.theta[own], self.models.inverse
        mean = (features * head).sum(1)
        square = np.empty(len(flat))
        for i in range(self.config.tasks):
            rows = features[own == i]
            square[own == i] = np.einsum("nk,kl,nl->n", rows, inverse[i], rows)
        if self.phi is not None:
            parts = self.phi.squares(flat, head)
            for (inputs, back), (w, b) in zip(parts, self.precision, strict=True):
                one = ((inputs @ (1.0 / w)) * back).sum(1) + back @ (1.0 / b)
                square += one.numpy()
        shape = (len(x), self.arms)
        return mean.reshape(shape), np.sqrt(np.maximum(square, 0.0)).reshape(shape)

    def _tasks(self, rows: int, run: np.ndarray | None) -> np.ndarray:
        """The task of every row [B]."""
        task = np.empty(rows, np.int64)
        for i, own in enumerate(by_lane(rows, self.config.tasks, run)):
            task[own] = i
        return task

    def dist(self, obs: Observation) -> np.ndarray:
        mask = available(obs, self.arms)
        mean, width = self.predict(obs)
        radius = self.radius()[self._tasks(len(obs), None)]
        return greedy(mean + radius[:, None] * width, mask)

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""
        return draw(self.dist(obs), rng)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_feedback(feedback, self.arms)
        x = check_context(feedback.observation, self.arms, self.dim, per_arm=True)
        task = self._tasks(len(x), feedback.run)
        chosen = x[np.arange(len(x)), np.asarray(feedback.action)]
        reward = np.asarray(feedback.reward, np.float64)
        if self.phi is not None:
            for (inputs, back), (w, b) in zip(
                self.phi.squares(chosen, self.models.theta[task]), self.precision, strict=True
            ):
                w += inputs.mT @ back
                b += back.sum(0)
        features = chosen if self.phi is None else self.phi.features(chosen)
        self.models.add_rows(features, task, reward)
        self.history.add(feedback)
        self.tables += 1
        if self.phi is not None and self.tables % self.config.refit == 0:
            if self.history.count.min() > 0:
                for _ in range(self.config.steps):
                    self._train_step(self.phi)
            self._solve_heads()

    def _chosen(self, context: np.ndarray, action: np.ndarray) -> Tensor:
        """Features of the chosen arms [..., d] from contexts [..., K, d]."""
        index = np.broadcast_to(action[..., None, None], (*action.shape, 1, self.dim))
        return torch.from_numpy(np.take_along_axis(context, index, -2)[..., 0, :])

    def _train_step(self, phi: Representation) -> None:
        """One Adam step of phi and of the training heads on all tasks' minibatches together."""
        context, action, reward = self.history.minibatch(self.steps, self.config.batch)
        self.steps += 1
        x = self._chosen(context, action)  # [M, B, d]
        features = phi.net(x.flatten(0, 1)[None])[0].unflatten(0, x.shape[:2])
        loss = (self.heads(features) - torch.from_numpy(reward)).square().mean()[None]
        # One loss for both optimisers: it is counted once, with the first.
        step_jointly(
            (self.optimisers["phi"], loss), (self.optimisers["heads"], torch.zeros_like(loss))
        )

    def _solve_heads(self) -> None:
        """Ridge models anew from all rows under the present features."""
        k = self.models.theta.shape[1]
        self.models = RidgeModels(self.config.tasks, k, self.config.ridge)
        h = self.history
        for i in np.flatnonzero(h.count):
            rows = slice(0, h.count[i])
            x = self._chosen(h.context[i, rows], h.action[i, rows]).numpy()
            features = x if self.phi is None else self.phi.features(x)
            self.models.add(int(i), features, h.reward[i, rows].astype(np.float64))

    def state_dict(self) -> dict[str, np.ndarray]:
        state = join_states(
            models=self.models.state_dict(),
            history=self.history.state_dict(),
            own={"counts": np.array([self.tables, self.steps])},
        )
        if self.phi is None:
            return state
        for name, net in (("phi", self.phi.net), ("heads", self.heads)):
            values = {n: p.detach().numpy().copy() for n, p in net.named_parameters()}
            optimiser = save_optimiser(self.optimisers[name])
            state |= join_states(**{name: values, f"optimiser.{name}": optimiser})
        flat = [part.numpy().copy() for pair in self.precision for part in pair]
        return state | {f"precision.{i}": part for i, part in enumerate(flat)}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.models.load_state_dict(part_of(state, "models"))
        self.history.load_state_dict(part_of(state, "history"))
        self.tables, self.steps = (int(n) for n in state["own.counts"])
        if self.phi is None:
            return
        for name, net in (("phi", self.phi.net), ("heads", self.heads)):
            for n, p in net.named_parameters():
                p.copy_(torch.as_tensor(part_of(state, name)[n]))
            load_optimiser(self.optimisers[name], part_of(state, f"optimiser.{name}"))
        for i, part in enumerate(part for pair in self.precision for part in pair):
            part.copy_(torch.as_tensor(state[f"precision.{i}"]))
