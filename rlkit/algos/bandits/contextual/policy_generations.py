"""Policies in generations, each trained on the logs of those before it.

A generation decides on `size` rows with the model that was fitted at the end of the one before (the
first one has none and plays uniformly). Answers come back after a while; a fit uses the rows whose
answers came during the last `window` generations and no others: a row without an answer is missing,
not a 0. The rule turns predictions into probabilities: uniform, greedy, eps_greedy, square_cb or
fast_cb (of `contextual/oracle_policies.py`), with `gamma` itself or, where `scaled`, what it grows
to over a generation: gamma sqrt(size), or max(gamma sqrt(1 + L), 10 K) for fast_cb, L being `size`
times the mean loss of the rows the model was fitted to.

What van den Akker et al. 2024 report from payments appears here too: a better policy leaves a log
with fewer kinds of rows and fewer failures, so that its successor may be worse, and performance
oscillates over the generations. `oscillation` measures it.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

import numpy as np

from rlkit.algos.bandits.contextual.oracle_policies import (
    fast_cb,
    first_order_gamma,
    square_cb,
)
from rlkit.algos.bandits.interface import (
    Feedback,
    Observation,
    available,
    draw,
    greedy,
    join,
    uniform,
)
from rlkit.core.words.ranges import Count, NonNegative, Share, checked

Rule = Literal["uniform", "greedy", "eps_greedy", "square_cb", "fast_cb"]


class World(Protocol):
    """What `run_generations` asks of an environment."""

    arms: int

    def draw(
        self, t: int, size: int, rng: np.random.Generator
    ) -> tuple[Observation, np.ndarray]: ...

    def sample(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray: ...

    def waiting(self, size: int, rng: np.random.Generator) -> np.ndarray: ...


class Model(Protocol):
    """A regression of rewards in [0, 1] that is fitted from scratch."""

    arms: int

    def predict(self, obs: Observation) -> np.ndarray: ...

    def fit(
        self,
        context: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        weight: np.ndarray | None = None,
    ) -> Any: ...


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    rule: Rule = "square_cb"
    gamma: NonNegative = 100.0
    scaled: bool = False  # gamma grows with size, see the module's text
    eps: Share = 0.05  # of eps_greedy
    slice: Share = 0.0  # share of rows decided uniformly whatever the rule
    weighted: bool = False  # fit with weights 1 / prob, as for uniform logs
    window: Count | None = 1  # generations an answer is remembered; None for all
    generations: Count = 20
    size: Count = 20_000
    held_out: Count = 10_000  # uniformly decided rows that models are measured on
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Generations:
    """One number a generation [G] unless said otherwise.

    value           expected reward of the policy on the rows it decided
    best, uniform   of the best available action, and of uniform play, on the same rows
    entropy         of the policy, mean over rows
    least, median   of the probabilities of the actions taken
    effective [G,K] effective number of rows of every action in the log, weights being 1 / prob
    positive        share of rewards of 1 in what the generation's model was fitted to (NaN first)
    fitted_rows     number of those rows
    own_loss, held_loss    log-loss of the model on the rows it decided, and on uniform ones
    own_error, held_error  calibration error there: mean |rate - prediction| over ten equal bins
    foreseen        self-normalised estimate of the next generation's value from this one's log; too
                    high, as the next model was fitted to many of these rows
    """

    value: np.ndarray
    best: np.ndarray
    uniform: np.ndarray
    entropy: np.ndarray
    least: np.ndarray
    median: np.ndarray
    effective: np.ndarray
    positive: np.ndarray
    fitted_rows: np.ndarray
    own_loss: np.ndarray
    held_loss: np.ndarray
    own_error: np.ndarray
    held_error: np.ndarray
    foreseen: np.ndarray

    @property
    def regret(self) -> np.ndarray:
        """What a row lost against the best available action."""
        return self.best - self.value


def rule_probabilities(
    config: Config, predicted: np.ndarray | None, mask: np.ndarray, loss: float = 1.0
) -> np.ndarray:
    """The policy [B, K] of a rule on predictions [B, K]; uniform where there are none yet.

    `loss` is the mean loss of the rows that the predictions were fitted to.
    """
    c = config
    if predicted is None or c.rule == "uniform":
        return uniform(mask)
    if c.rule == "square_cb":
        p = square_cb(predicted, mask, c.gamma * np.sqrt(c.size) if c.scaled else c.gamma)
    elif c.rule == "fast_cb":
        total, rows = np.array([c.size * loss]), np.array([c.size])
        scaled = first_order_gamma(total, rows, mask, c.gamma)
        p = fast_cb(predicted, mask, scaled if c.scaled else c.gamma)
    else:
        p = greedy(predicted, mask)
    even = c.slice + (1 - c.slice) * (c.eps if c.rule == "eps_greedy" else 0.0)
    return (1 - even) * p + even * uniform(mask) if even else p


def log_loss(predicted: np.ndarray, reward: np.ndarray) -> float:
    """Mean negative log-likelihood of rewards 0 and 1 under predictions [n]."""
    p = np.clip(predicted, 1e-12, 1 - 1e-12)
    return float(-(reward * np.log(p) + (1 - reward) * np.log1p(-p)).mean())


def calibration_error(predicted: np.ndarray, reward: np.ndarray, bins: int = 10) -> float:
    """Mean |mean reward - mean prediction| over bins of equal numbers of rows [n]."""
    order = np.array_split(np.argsort(predicted, kind="stable"), bins)
    gaps = [abs(reward[i].mean() - predicted[i].mean()) * len(i) for i in order if len(i)]
    return float(np.sum(gaps) / len(predicted))


def run_generations(env: World, model: Model, config: Config | None = None) -> Generations:
    """The `Generations` of a model in an environment.

    Contexts, rewards of all actions and delays come from the seed alone, so that two policies of
    one seed see the same transactions.
    """
    c = config or Config()
    if env.arms != model.arms:
        raise ValueError(f"the model has {model.arms} arms, the environment {env.arms}")
    world, own, late, test = (
        np.random.default_rng(s) for s in np.random.SeedSequence(c.seed).spawn(4)
    )
    held, held_action, held_reward = _uniform_rows(env, c.held_out, test)
    record: dict[str, list] = {f.name: [] for f in fields(Generations)}
    log: list[Feedback] = []
    ready, loss = False, 1.0
    training: Feedback | None = None
    for g in range(c.generations):
        obs, means = env.draw(g, c.size, world)
        rewards = env.sample(means, world)
        mask = available(obs, env.arms)
        p = rule_probabilities(c, model.predict(obs) if ready else None, mask, loss)
        decision = draw(p, own)
        rows = np.arange(c.size)
        reward = rewards[rows, decision.action]
        decided = g + rows / c.size
        feedback = Feedback(
            decision.action,
            reward,
            obs.context,
            mask,
            decision.prob,
            t=np.full(c.size, g),
            arrival_t=decided + env.waiting(c.size, late),
        )
        log.append(feedback)
        _note(record, model if ready else None, p, means, feedback, training)
        predicted = model.predict(held)[np.arange(c.held_out), held_action] if ready else None
        for name, measure in (("held_loss", log_loss), ("held_error", calibration_error)):
            record[name].append(np.nan if predicted is None else measure(predicted, held_reward))
        if c.rule != "uniform":
            training = arrived(log, g, c.window)
            weight = None
            if c.weighted:
                weight = 1.0 / np.asarray(training.prob)
                weight /= weight.mean() if len(weight) else 1.0
            context = np.asarray(training.context)
            model.fit(context, training.action, training.reward, weight)
            ready = True
            loss = 1.0 - float(np.mean(training.reward)) if len(training) else 1.0
        p2 = rule_probabilities(c, model.predict(obs) if ready else None, mask, loss)
        w = p2[rows, decision.action] / decision.prob
        record["foreseen"].append((w * reward).sum() / w.sum() if w.any() else np.nan)
        if c.window is not None:  # what came too long ago for the next fit is never used again
            log = [f.rows(np.asarray(f.arrival_t) >= g + 2 - c.window) for f in log]
    return Generations(**{name: np.array(values) for name, values in record.items()})


def arrived(log: list[Feedback], g: int, window: int | None) -> Feedback:
    """The rows whose answers came in the last `window` generations up to the end of g."""
    table = join(log)
    came = np.asarray(table.arrival_t) < g + 1
    if window is not None:
        came &= np.asarray(table.arrival_t) >= g + 1 - window
    return table.rows(came)


def _uniform_rows(
    env: World, size: int, rng: np.random.Generator
) -> tuple[Observation, np.ndarray, np.ndarray]:
    obs, means = env.draw(0, size, rng)
    action = draw(uniform(available(obs, env.arms)), rng).action
    return obs, action, env.sample(means, rng)[np.arange(size), action]


def _note(
    record: dict[str, list],
    model: Model | None,
    p: np.ndarray,
    means: np.ndarray,
    f: Feedback,
    training: Feedback | None,
) -> None:
    """Append what is known of a generation once its rows are decided."""
    rows, mask, prob = np.arange(len(f)), np.asarray(f.mask), np.asarray(f.prob)
    record["value"].append((p * means).sum(1).mean())
    record["best"].append(np.where(mask, means, -np.inf).max(1).mean())
    record["uniform"].append((uniform(mask) * means).sum(1).mean())
    record["entropy"].append(-(p * np.log(np.maximum(p, 1e-300))).sum(1).mean())
    record["least"].append(prob.min())
    record["median"].append(np.median(prob))
    total = np.bincount(f.action, 1 / prob, p.shape[1])
    squares = np.bincount(f.action, 1 / prob**2, p.shape[1])
    record["effective"].append(total**2 / np.maximum(squares, 1e-300))
    learned = np.zeros(0) if training is None else np.asarray(training.reward)
    record["positive"].append(learned.mean() if len(learned) else np.nan)
    record["fitted_rows"].append(len(learned))
    predicted = None if model is None else model.predict(f.observation)[rows, f.action]
    for name, measure in (("own_loss", log_loss), ("own_error", calibration_error)):
        record[name].append(np.nan if predicted is None else measure(predicted, f.reward))


@dataclass(frozen=True)
class Oscillation:
    """How value moves from generation to generation; see `oscillation`."""

    of_changes: float
    of_levels: float
    amplitude: float


def oscillation(values: np.ndarray, after: int = 6) -> Oscillation:
    """Of values [runs, G] from generation `after` on, means over runs.

    of_changes  lag-1 autocorrelation of the changes v_g+1 - v_g; independent noise around a level
                has -1/2 already
    of_levels   lag-1 autocorrelation of v_g around its mean; independent noise has about 0, and
                only going to and fro makes it clearly negative
    amplitude   largest less smallest value
    """
    late = np.atleast_2d(np.asarray(values, np.float64))[:, after:]
    if late.shape[1] < 4:
        raise ValueError(f"{late.shape[1]} generations after the first {after}; 4 are needed")

    def lag_one(x: np.ndarray) -> float:
        x = x - x.mean(1, keepdims=True)
        square = (x**2).sum(1)
        moving = square > 0
        if not moving.any():
            return 0.0
        return float(((x[:, 1:] * x[:, :-1]).sum(1)[moving] / square[moving]).mean())

    return Oscillation(lag_one(np.diff(late, axis=1)), lag_one(late), float(np.ptp(late, 1).mean()))
