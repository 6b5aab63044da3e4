"""What a log's weights say about how well it covers a target policy, from plain arrays.

If the propensities are right and every available arm had some chance, mean w = 1 for any target,
and the mean of 1 / prob is the mean number of available arms. Both are tested: a log whose
propensities were clipped, recorded for another policy or rounded to zero fails here first.
"""

from dataclasses import dataclass

import numpy as np

FEW = 0.01  # share of effective rows below which weights are called degenerate
SURPRISE = 4.0  # standard errors from one that a mean weight may be
MARGIN = 0.02  # and the least difference worth a word


@dataclass(frozen=True, eq=False)
class Overlap:
    """What `coverage` found; `warnings` says in words what is wrong and is empty where all is well.

    rows, arms         n and K
    prob               smallest, median and largest logged propensity [3]
    weight             mean, 99 % quantile and maximum of the importance weights [3]
    weight_error       standard error of the mean weight
    effective          effective sample size (sum w)² / sum w²
    largest_share      share of the total weight on the heaviest row
    taken              [K] how often each arm was taken
    wanted             [K] the target's mean probability of each arm
    unsupported        the target's mean probability of arms that were never taken
    """

    rows: int
    arms: int
    prob: np.ndarray
    weight: np.ndarray
    weight_error: float
    effective: float
    largest_share: float
    taken: np.ndarray
    wanted: np.ndarray
    unsupported: float
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.rows} decisions over {self.arms} arms",
            "propensity  min {:.3g}  median {:.3g}  max {:.3g}".format(*self.prob),
            "weight      mean {:.3g}  99 % {:.3g}  max {:.3g}".format(*self.weight),
            f"effective   {self.effective:.0f} rows ({self.effective / self.rows:.1%}), heaviest "
            f"row {self.largest_share:.1%} of the weight",
            f"arms        taken {self.taken.min():.0f} to {self.taken.max():.0f} times, "
            f"{self.unsupported:.1%} of the target on arms never taken",
        ]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])


def coverage(p: np.ndarray, action: np.ndarray, prob: np.ndarray, choices: np.ndarray) -> Overlap:
    """The `Overlap` of a target p [n, K] with actions [n] taken with prob [n].

    choices [n] is the number of arms that were available.
    """
    n, arms = p.shape
    w = p[np.arange(n), action] / prob
    taken, wanted = np.bincount(action, minlength=arms), p.mean(0)
    unsupported = float(wanted[taken == 0].sum())
    effective = float(w.sum() ** 2 / max((w**2).sum(), 1e-300))
    error = float(w.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    share = float(w.max() / max(w.sum(), 1e-300))
    warnings = []
    if not w.any():
        warnings.append("the target never takes a logged action: nothing can be estimated")
    elif abs(w.mean() - 1) > max(SURPRISE * error, MARGIN):
        warnings.append(
            f"the mean weight is {w.mean():.3g} and should be 1: propensities are wrong, or the "
            "log gave some actions of the target no chance"
        )
    inverse = 1.0 / prob
    spread = (inverse - choices).std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    if abs((inverse - choices).mean()) > max(SURPRISE * spread, MARGIN * choices.mean()):
        warnings.append(
            f"1 / prob is {inverse.mean():.3g} in the mean and should be the number of available "
            f"arms, {choices.mean():.3g}: arms without support, or wrong propensities"
        )
    if unsupported > 0:
        warnings.append(f"{unsupported:.1%} of the target is on arms that were never taken")
    if effective < FEW * n:
        warnings.append(
            f"{effective:.0f} effective rows of {n}: weighted estimates rest on a few rows; "
            "clip or shrink weights, or use a model (dr, dros, switch_dr)"
        )
    return Overlap(
        rows=n,
        arms=arms,
        prob=np.array([prob.min(), np.median(prob), prob.max()]),
        weight=np.array([w.mean(), np.quantile(w, 0.99), w.max()]),
        weight_error=error,
        effective=effective,
        largest_share=share,
        taken=taken,
        wanted=wanted,
        unsupported=unsupported,
        warnings=tuple(warnings),
    )
