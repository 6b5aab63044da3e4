"""What three or more algorithms share word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from rlkit.core.lanes import against, in_use
from rlkit.core.optim import step_jointly
from rlkit.nets.gaussian_errors import GGDHead, biev_loss, shape
from rlkit.nets.value_heads import ValueHead

if TYPE_CHECKING:  # at run time inside `multistep`: sampling brings numba along
    from rlkit.data.sampling.samplers import Mixed, NStep, Uniform
    from rlkit.data.stock import Stock


def q_loss(qs: Tensor, y: Tensor) -> Tensor:  # [..., n, B], [..., B] -> [...]
    """Squared error of every critic of an ensemble to one target, summed over critics."""
    return (qs - y.unsqueeze(-2)).square().mean(-1).sum(-1)


def step_policy(agent: Any, loss: Tensor, rise: Tensor, learn_alpha: bool) -> Tensor:
    """One step of the policy on `loss` and, if it is learnt, of the temperature on `rise`, `[S]`
    each; returns the policy's loss."""
    if not learn_alpha:
        return agent.step_pi(loss)
    return step_jointly((agent.step_pi, loss), (agent.step_alpha, rise))[0]


def unheld(*made: str) -> str:
    """What an agent made for learning in an environment says of data alone; `made` are those that
    are made for it."""
    return (
        "it learns from data alone as it does online: nothing holds down the values of actions "
        "that the data lack, and its returns may end below the data's; made for data alone: "
        + ", ".join(made)
    )


def falling_epsilon(c: Any, updates: Tensor) -> Tensor:
    """ε_0 + (ε_1 - ε_0) min(1, updates / ε_updates), the share of random actions after so many
    `updates` `[]`, by the fields `epsilon`, `epsilon_last` and `epsilon_updates` of a config; `[]`,
    or `[S, 1]` where lanes differ in them."""
    done = (updates / c.epsilon_updates).clamp(max=1)
    return c.epsilon + (c.epsilon_last - c.epsilon) * done


def either_action(
    greedy: Tensor, noise: Tensor | None, epsilon: Tensor, actions: int
) -> Tensor:  # [S, B], [S, B, 2] -> [S, B]
    """The greedy discrete actions, or, where there is uniform noise, a share ε of random ones."""
    if noise is None:
        return greedy
    anything = (noise[..., 1] * actions).long().clamp(max=actions - 1)
    # noise < ε, in operations that exported policies have
    explore = (epsilon - noise[..., 0]).clamp(min=0).bool().long()
    return greedy + explore * (anything - greedy)


# --- an algorithm's `draws` and `source` where a target has `n_step` rewards ----------------------
def several(c: Any) -> bool:
    """Whether targets are of several steps and minibatches those of `multistep`, not the run's."""
    return c.n_step > 1


def multistep(stock: Stock, agent: Any, c: Any) -> Uniform | NStep | Mixed:
    """Minibatches of transitions of `n_step` steps, of all the rows that there are."""
    from rlkit.data.sampling.multistep import multistep as drawn

    return drawn(stock, c.batch_size, c.n_step, c.gamma)


# --- critics behind a value head: outputs [S, n, K, B, size] of n critics of K copies -------------
def least(head: ValueHead, out: Tensor) -> Tensor:
    """Outputs `[S, K, B, size]` of the critic whose value is least, copy by copy."""
    index = head.value(out).argmin(1, keepdim=True).unsqueeze(-1)
    return out.gather(1, index.expand(-1, -1, -1, -1, out.shape[-1])).squeeze(1)


def target_of(
    head: ValueHead, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
) -> Tensor:
    """Targets `[S, K, B, size]` of r + discount (plus + return of outputs `out2`
    `[S, K, B, size]`), all else `[S, B]`."""
    each = out2.shape[:-1]
    if isinstance(plus, Tensor):
        plus = plus.unsqueeze(1).expand(each)
    return head.target(r.unsqueeze(1).expand(each), discount.unsqueeze(1).expand(each), out2, plus)


def head_loss(
    head: ValueHead, out: Tensor, target: Tensor, biev: float | Tensor = 0.0
) -> Tensor:  # [S, n, K, B, size], [S, K, B, size] -> [S]
    """Losses of all critics and copies to the targets of the copies, summed, and `biev` times
    L_BIEV of `nets.gaussian_errors` where there are several copies."""
    target = target.unsqueeze(1).expand_as(out)
    loss = head.loss(out, target).mean(-1).sum((1, 2))
    return loss + copies_loss(head, out, target, biev).sum(-1)


def copies_value(head: ValueHead, out: Tensor) -> Tensor:
    """The mean of the copies' values, `[S, K, ..., size]` -> `[S, ...]`; of the head that says how
    sure each of them is, weighted by that."""
    q = head.value(out)
    if q.shape[1] == 1:
        return q.squeeze(1)
    if not isinstance(head, GGDHead):
        return q.mean(1)
    beta = shape(out)
    return (beta * q).sum(1) / beta.sum(1)


def copies_loss(head: ValueHead, out: Tensor, target: Tensor, biev: float | Tensor) -> Tensor:
    """`biev` times L_BIEV, `[S, ..., K, B, size]` twice -> `[S, ...]`; 0 for one copy."""
    if out.shape[-3] == 1 or not in_use(biev):
        return out.new_zeros(out.shape[:-3])
    beta = shape(out.detach()) if isinstance(head, GGDHead) else None
    each = biev_loss(head.mean(target) - head.value(out), beta)
    return against(biev, each) * each
