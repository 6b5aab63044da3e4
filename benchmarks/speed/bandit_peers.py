"""Pulls a second of other libraries, on request: run by `bandits.py` in their own environment.

Reads one JSON object a line, {"name": ..., "pulls": ...}, and answers with {"seconds": ...}. Needs
mabwiser, or SMPyBandits with the numpy and scipy of its time (numpy < 2, scipy < 1.13), or both.
Arms are Bernoulli, .5 and nine times .4; linear policies see one context of 20 numbers for 10 arms.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import numpy as np

MEANS = np.array([0.5] + [0.4] * 9)
DIM = 20


def smpy(name: str, **options: float) -> Callable[[int], None]:
    from SMPyBandits import Policies

    policy = getattr(Policies, name)(len(MEANS), **options)
    rng = np.random.default_rng(0)

    def run(pulls: int) -> None:
        policy.startGame()
        for u in rng.random(pulls):
            arm = policy.choice()
            policy.getReward(arm, float(u < MEANS[arm]))

    return run


def mabwiser(policy: str, **options: float) -> Callable[[int], None]:
    from mabwiser.mab import MAB, LearningPolicy

    linear = policy.startswith("Lin")
    rng, theta = np.random.default_rng(0), np.random.default_rng(1).standard_normal((10, DIM))
    theta /= np.linalg.norm(theta, axis=1, keepdims=True)

    def run(pulls: int) -> None:
        bandit = MAB(list(range(10)), getattr(LearningPolicy, policy)(**options))
        start = [[0.0] * DIM] * 10 if linear else None
        bandit.fit(list(range(10)), [0.0] * 10, start)
        for _ in range(pulls):
            if linear:
                x = rng.standard_normal(DIM)
                x /= np.linalg.norm(x)
                arm = bandit.predict([x])
                reward = float(theta[arm] @ x + 0.1 * rng.standard_normal())
                bandit.partial_fit([arm], [reward], [x])
            else:
                arm = bandit.predict()
                bandit.partial_fit([arm], [float(rng.random() < MEANS[arm])])

    return run


PEERS: dict[str, Callable[[], Callable[[int], None]]] = {
    "SMPyBandits UCB": lambda: smpy("UCB"),
    "SMPyBandits EpsilonGreedy": lambda: smpy("EpsilonGreedy", epsilon=0.1),
    "SMPyBandits MOSS": lambda: smpy("MOSS"),
    "SMPyBandits Thompson": lambda: smpy("Thompson"),
    "SMPyBandits klUCB": lambda: smpy("klUCB"),
    "mabwiser UCB1": lambda: mabwiser("UCB1", alpha=1.0),
    "mabwiser LinUCB": lambda: mabwiser("LinUCB", alpha=1.0),
}


def versions() -> dict[str, str]:
    found = {}
    for name in ("SMPyBandits", "mabwiser", "numpy", "scipy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def main() -> None:
    warnings.filterwarnings("ignore")
    out, ready = sys.stdout, {}
    print(json.dumps({"names": list(PEERS), "versions": versions()}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        name = request["name"]
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # SMPyBandits talks while it loads
                run = ready.setdefault(name, None) or PEERS[name]()
                ready[name] = run
                start = time.process_time()
                run(request["pulls"])
                answer: dict[str, object] = {"seconds": time.process_time() - start}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
