"""Several expectations from one adaptive importance sample, with control variates.

Wanted are I_j = E_f phi_j(X), j = 1..J, f a density that can be drawn from. Points come from
  g = alpha_0 f + sum_j alpha_j g_j,   g_j fitted to g*_j, proportional to |phi_j| f
and every component is a control variate too, as E_g [g_j / g - 1] = 0:
  I^_j = mean of phi_j f / g - beta_j'c,   c_i = g_i / g - 1
beta by least squares. Where some g_i equals g*_j the residual vanishes, whatever g is. The g_j are
fitted by cross-entropy (weighted maximum likelihood) in rounds, as long as the variance a further
round is predicted to save exceeds what its points would have saved; then all points that are left
are drawn afresh from the last g, beta is taken from the other half, and the estimate is unbiased.

After Demange-Chryst, Bachoc & Morio 2022 ("Efficient estimation of multiple expectations with the
same sample by adaptive importance sampling and control variates"), from its abstract: the rule for
alpha, the number of rounds and the stopping rule are ours. Without f among the components nothing
bounds the weights: alpha_0 never falls below `floor`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from rlkit.algos.bandits.off_policy.densities import Density, fit_mixture
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog, importance_weights
from rlkit.algos.bandits.off_policy.reward_models import folds_of
from rlkit.envs.bandits.counts import whole

_RIDGE = 1e-8  # on beta, in units of the control variates' variance
_MET = 20.0  # effective points of an expectation below which its variance is not believed


def coefficients(y: np.ndarray, c: np.ndarray) -> np.ndarray:
    """beta [M, J] of the regression of y [n, J] on control variates c [n, M]."""
    centred = c - c.mean(0)
    square = centred.T @ centred
    square += _RIDGE * max(np.trace(square) / max(len(square), 1), 1e-300) * np.eye(len(square))
    return np.linalg.solve(square, centred.T @ (y - y.mean(0)))


def controlled(y: np.ndarray, c: np.ndarray, *, folds: int = 2, seed: int = 0) -> np.ndarray:
    """y - c beta [n, J]: the mean of y [n, J] with less variance, c [n, M] having mean zero.

    Every row's beta comes from the other folds, so that the mean stays unbiased.
    """
    fold, rest = folds_of(len(y), folds, seed), np.array(y, np.float64)
    for k in range(folds):
        held = fold == k
        rest[held] -= c[held] @ coefficients(y[~held], c[~held])
    return rest


def weighted_values(
    phi: np.ndarray, log_f: np.ndarray, log_parts: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(phi f / g [n, J], control variates g_i / g - 1 [n, M - 1]) of points drawn from g.

    phi [n, J], log_f [n], log_parts [n, M] the log densities of g's components, share [M]. The
    first component gives no control variate: the shares times all M of them sum to zero.
    """
    log_g = logsumexp(log_parts + np.log(share), axis=1)
    y = phi * np.exp(log_f - log_g)[:, None]
    return y, np.exp(log_parts[:, 1:] - log_g[:, None]) - 1.0


@dataclass(frozen=True, eq=False)
class Expectations:
    """Estimates [J] with standard errors [J], and how they came about.

    effective [J]  effective share of the final points, (sum |y|)² / (n sum y²); below 0.01 the
                   estimate rests on few points
    share, parts   the final proposal
    points         points drawn in each round; the last number is that of the estimate
    """

    value: np.ndarray
    error: np.ndarray
    effective: np.ndarray
    share: np.ndarray
    parts: list[Density]
    points: list[int]


def draw_mixture(
    parts: Sequence[Density], share: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """n points [n, d] of the mixture of `parts`, in random order of components."""
    counts = rng.multinomial(n, share)
    return np.concatenate([p.sample(int(k), rng) for p, k in zip(parts, counts, strict=True) if k])


def _effective(y: np.ndarray) -> np.ndarray:
    """(sum |y|)² / (n sum y²) [J] of y [n, J]."""
    return np.abs(y).sum(0) ** 2 / np.maximum(len(y) * (y**2).sum(0), 1e-300)


def _relative_variance(y: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Variance of a point's controlled value over the square of the estimate [J]."""
    rest = y - c @ coefficients(y, c) if c.shape[1] else y
    square = rest.mean(0) ** 2
    return rest.var(0, ddof=1) / np.maximum(square, 1e-300)


def expectations(
    phi: Callable[[np.ndarray], np.ndarray],
    nominal: Density,
    *,
    budget: int = 10_000,
    rounds: int = 5,
    round_share: float = 0.1,
    components: int = 1,
    floor: float = 0.05,
    start: Sequence[Density] = (),
    seed: int = 0,
) -> Expectations:
    """The `Expectations` of phi(x) [n, J] for x [n, d] from `nominal`, with `budget` points in all.

    At most `rounds` rounds of `round_share` of the budget fit the proposals, mixtures of
    `components` Gaussians each. `start` are further densities to look with at first, for events
    that nominal points do not meet.
    """
    budget, rounds = whole("budget", budget), whole("rounds", rounds)
    components = whole("components", components)
    if not 0 < floor < 1 or not 0 < round_share * rounds < 1:
        raise ValueError(f"floor {floor} and rounds x round_share must lie strictly in (0, 1)")
    size = int(round_share * budget)
    if size < 10:
        raise ValueError(f"a round has {size} points; raise budget {budget} or round_share")
    rng = np.random.default_rng(seed)
    parts: list[Density] = [nominal, *start]
    share = np.full(len(parts), 1.0 / len(parts))
    seen: list[np.ndarray] = []
    used: list[tuple[list[Density], np.ndarray]] = []
    before: np.ndarray | None = None
    for _ in range(rounds):
        x = draw_mixture(parts, share, size, rng)
        used.append((parts, share))
        seen.append(x)
        y, c = weighted_values(phi(x), nominal.log_density(x), _logs(parts, x), share)
        now = _relative_variance(y, c)
        left = budget - size * len(seen)
        met = size * _effective(y).min() >= _MET
        if before is not None and met:
            ratio = np.maximum(now, 1e-12) / np.maximum(before, 1e-12)
            gain = min(1.0, float(np.exp(np.log(ratio).mean())))
            if 1.0 / left <= gain / (left - size):
                break
        before = now
        parts, share = _refitted(phi, nominal, seen, used, components, floor, rng)
    left = budget - size * len(seen)
    x = draw_mixture(parts, share, left, rng)
    y, c = weighted_values(phi(x), nominal.log_density(x), _logs(parts, x), share)
    rest = controlled(y, c, seed=seed) if c.shape[1] else y
    return Expectations(
        value=rest.mean(0),
        error=rest.std(0, ddof=1) / np.sqrt(left),
        effective=_effective(y),
        share=share,
        parts=parts,
        points=[size] * len(seen) + [left],
    )


def _logs(parts: Sequence[Density], x: np.ndarray) -> np.ndarray:
    return np.stack([part.log_density(x) for part in parts], axis=1)


def _refitted(
    phi: Callable[[np.ndarray], np.ndarray],
    nominal: Density,
    seen: list[np.ndarray],
    used: list[tuple[list[Density], np.ndarray]],
    components: int,
    floor: float,
    rng: np.random.Generator,
) -> tuple[list[Density], np.ndarray]:
    """Components fitted to all points so far, and shares by the spread each expectation has left.

    Points of all rounds together are a sample of the mean of their proposals.
    """
    x = np.concatenate(seen)
    logs = [logsumexp(_logs(p, x) + np.log(s), axis=1) for p, s in used]
    log_g = logsumexp(logs, axis=0) - np.log(len(used))
    ratio = np.exp(nominal.log_density(x) - log_g)
    weight = np.abs(phi(x)) * ratio[:, None]
    parts: list[Density] = [nominal]
    prior = np.cov(x.T).reshape(x.shape[1], x.shape[1])
    spread = []
    for j in range(weight.shape[1]):
        if not weight[:, j].any():  # not met yet: the nominal density stands for it
            continue
        parts.append(fit_mixture(x, weight[:, j], components, rng, prior)[0])
        spread.append(weight[:, j].std() / weight[:, j].mean())
    if not spread:
        return parts, np.ones(1)
    wanted = np.maximum(np.array(spread), 1e-12)
    return parts, np.concatenate([[floor], (1.0 - floor) * wanted / wanted.sum()])


def several_targets(
    log: DecisionLog, targets: Sequence[np.ndarray], *, folds: int = 2, seed: int = 0
) -> np.ndarray:
    """Values [n, J] of J target policies [n, K] by `ips`, their weights as control variates.

    Each of the J weights less one has mean zero under the log, and all serve all targets.
    """
    w = np.stack([importance_weights(log, target) for target in targets], axis=1)
    y = w * np.asarray(log.table.reward, np.float64)[:, None]
    return controlled(y, w - 1.0, folds=folds, seed=seed)


def logging_policy(
    targets: Sequence[np.ndarray], second_moment: np.ndarray, floor: float = 0.05
) -> np.ndarray:
    """The policy [n, K] to log with for the least summed variance of `ips` over the targets.

    It is proportional to sqrt(sum_j pi_j(a|x)² E[r²|x, a]); `second_moment` [n, K] is that
    expectation, and `floor` the share that stays uniform.
    """
    p = np.sqrt((np.stack(list(targets)) ** 2).sum(0) * second_moment)
    total = p.sum(1, keepdims=True)
    even = np.full_like(p, 1.0 / p.shape[1])
    best = np.where(total > 0, p / np.where(total > 0, total, 1.0), even)
    return (1.0 - floor) * best + floor * even
