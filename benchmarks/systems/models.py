"""Systems that learn a model, on toys in which it is known where the model errs.

python benchmarks/systems/models.py --out benchmarks/results

vagram  a value that depends on the first number of the state, whose step a model of two hidden
        units has room for, and distractors, 1 or 10, that move ten times as much: share of the
        variance of the first number's step that is not explained, fitted by VaGraM's loss, by
        likelihood and by squared error
combo   episodes of one step: data in which the action -0.3 pays 1, a model that is sure that 0.8
        pays 2 and is wrong (it pays nothing): true reward of the policies of COMBO, with penalties
        at all or at imagined states, and of MOPO, whose penalty is 0 where the model is sure; and
        of the same policies where the model is right
morec   a turning plane, pushed; candidates err by 0.2 in each number: squared error of rollouts of
        1, 5 and 20 steps with candidates taken at random as MOPO takes them, drawn by MOREC's
        judges, and the judges' best
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from arms import Found, Seeds, command

from rlkit.algos import combo, vagram
from rlkit.algos.imagination.dynamics_reward import Judges, filtered
from rlkit.algos.imagination.fitting import LaneAdam, fit, likelihood, squared_error
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.rollout import Hooks, roll_out
from rlkit.core.spec import Spec
from rlkit.core.streams import generator
from rlkit.data.replay import Replay
from rlkit.nets.dynamics import Dynamics
from rlkit.testing.model_toys import CANDIDATES, ERROR, plane, promised, proposed


# --- where inputs distract ------------------------------------------------------------------------
def unexplained(seeds: Seeds, distractors: int, kind: str) -> np.ndarray:
    """Share `[S]` of the variance of the first number's step that a small model leaves."""
    spec, width = Spec(1 + distractors, 1, seeds), 1 + distractors
    rows = [generator(seed, "distraction").standard_normal((600, width + 1)) for seed in seeds]
    x = torch.from_numpy(np.stack(rows)).float()
    step = torch.cat([2 * x[..., :1].tanh(), 10 * x[..., 1:width].tanh(), 0 * x[..., :1]], -1)
    g = torch.zeros(len(seeds), 1, 600, width)
    g[..., 0] = 1.0
    c = vagram.Config(
        hidden_model=(2,), decay_model=(0.0,), lr_model=1e-2, max_epochs=40, batch_model=32
    )
    certain = kind != "likelihood"
    model = Dynamics(spec, (2,), n=2, n_elites=1, deterministic=certain)
    loss = {
        "VaGraM": vagram.weighted(g, "gradient"),
        "likelihood": likelihood,
        "squared error": squared_error,
    }[kind]
    ranks = loss if certain else squared_error
    fit(model, LaneAdam(model, 1e-2), x, step, c, 0, loss=loss, score=ranks)
    with torch.no_grad():
        guess = model.predict(x, model.elites).mean[:, 0]
    error = (guess - step)[..., 0].square().mean(1) / step[..., 0].var(1)
    return error.double().numpy()


def vagrams(seeds: Seeds) -> Found:
    kinds = ("VaGraM", "likelihood", "squared error")
    values = {}
    for distractors in (1, 10):
        at = f"unexplained, {distractors} distractors"
        values[at] = {kind: unexplained(seeds, distractors, kind) for kind in kinds}
    return Found(
        claim="what a small model learns of the one number that the value depends on, by its loss",
        values=values,
        pairs=[(at, "VaGraM", kind) for at in values for kind in kinds[1:]],
        settings={"hidden_model": (2,), "epochs at most": 40, "rows": 600, "lr_model": 1e-2},
    )


# --- a model that is sure -------------------------------------------------------------------------
ONE_STEP: dict[str, Any] = {
    "hidden": (32, 32), "hidden_q": (32, 32), "lr": 3e-3, "lr_q": 3e-3, "batch_size": 32,
    "n_actions": 4, "entropy": -2.0,
}  # fmt: skip
STEPS = 400


def acts(seeds: Seeds, alpha: float, states: str) -> np.ndarray:
    """The policy's action `[S]` after it learnt from rows of which half are imagined."""
    c = combo.Config(**ONE_STEP, alpha=alpha, states=states)  # type: ignore[arg-type]
    return promised(c, seeds, STEPS).double().numpy()


def combos(seeds: Seeds) -> Found:
    made = {
        "COMBO": acts(seeds, 5.0, "all"),
        "COMBO, imagined states": acts(seeds, 5.0, "imagined"),
        "MOPO, model sure": acts(seeds, 0.0, "all"),
    }

    def paid(a: np.ndarray, promise: float) -> np.ndarray:
        near = np.abs(a + 0.3) < 0.3
        return np.where(near, 1.0, np.where(np.abs(a - 0.8) < 0.3, promise, 0.0))

    lies, right = "reward, the model is wrong", "reward, the model is right"
    values = {
        lies: {name: paid(a, 0.0) for name, a in made.items()},
        right: {name: paid(a, 2.0) for name, a in made.items()},
        "action": made,
    }
    return Found(
        claim="what is made of a model's promise of an action that the data do not have: penalties "
        "of values at imagined states against penalties of the model's own uncertainty",
        values=values,
        pairs=[(at, "COMBO", name) for at in (lies, right) for name in made if name != "COMBO"],
        settings={**ONE_STEP, "alpha": 5.0, "updates": STEPS},
    )


# --- long rollouts --------------------------------------------------------------------------------
LENGTHS = (1, 5, 20)


def morecs(seeds: Seeds) -> Found:
    spec, count = Spec(2, 1, seeds), 600
    drawn = [generator(seed, "plane").standard_normal((count, 5)) for seed in seeds]
    rows = torch.from_numpy(np.stack(drawn)).float()
    s, a = rows[..., :2], rows[..., 2:3].clamp(-1, 1)
    data, no = Replay(spec, count, envs=count), torch.zeros(len(seeds), count, dtype=torch.bool)
    data.add(s, a, s[..., 0], no, no, plane(s, a) + 0.02 * rows[..., 3:])
    judges = Judges(spec, (32, 32), 3, 1.0)
    judges.fit(data, 300, (32, 32), (16,), 3e-3, 1.0)
    rules = {
        "MOREC": filtered(judges, "softmax", 10.0),
        "MOREC, best": filtered(judges, "best", 10.0),
        "at random": filtered(lambda s, a, s2: 0 * s2[..., 0], "softmax", 1.0),
    }
    values: dict[str, dict[str, np.ndarray]] = {
        f"squared error after {n} steps": {} for n in LENGTHS
    }
    start = torch.ones(len(seeds), 300, 2)
    for name, select in rules.items():
        exact, noise = start, LaneNoise(spec, "rollouts", 0)
        hooks = Hooks(proposed, select=select)
        walk = roll_out(lambda s, n: 0 * s[..., :1], hooks, start, max(LENGTHS), noise)
        with torch.no_grad():
            for step, row in enumerate(walk, 1):
                exact = plane(exact, 0 * exact[..., :1])
                if step in LENGTHS:
                    error = (row.s2 - exact).square().sum(-1).mean(-1)
                    values[f"squared error after {step} steps"][name] = error.double().numpy()
    return Found(
        claim="how far rollouts stray by the rule that chooses among a model's candidates",
        values=values,
        pairs=[(at, "MOREC", other) for at in values for other in ("at random", "MOREC, best")],
        settings={"candidates": CANDIDATES, "error": ERROR, "judge_updates": 300, "rows": count},
    )


SYSTEMS = {"vagram": vagrams, "combo": combos, "morec": morecs}

main = command("models.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()
