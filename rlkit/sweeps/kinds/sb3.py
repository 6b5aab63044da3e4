"""Cells that are trainings of a stable-baselines3 agent (PPO, SAC, TD3, DQN, ...), to compare with.

A cell that was killed begins anew. As `algo = "sb3:ppo"` the same agents are trainings of ours,
with checkpoints.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlkit.core.errors import UsageError
from rlkit.core.nearest import suggestion
from rlkit.core.replacing import replacing
from rlkit.eval.records import Episode
from rlkit.eval.rollout import Evaluator
from rlkit.sweeps.kinds import training
from rlkit.sweeps.kinds.whole import begin, check_counts, check_known, finish

TASK = ("env",)
_DEFAULTS = {"steps": 100_000, "eval_every": 5_000, "eval_episodes": 10, "envs": 1}
KNOWN = {"env", "sb3", "config", *_DEFAULTS}
_AGENTS = ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")
_OURS = {"env", "seed", "policy", "device", "verbose", "tensorboard_log", "self"}


def resolve(given: dict[str, Any], seed: int) -> dict[str, Any]:
    """`sb3` names the agent, `config` holds keyword arguments of its class."""
    import stable_baselines3

    from rlkit.envs.make import make

    check_known(given, KNOWN)
    options = _DEFAULTS | {"config": {}} | given
    if options["sb3"] not in _AGENTS:
        near = suggestion(options["sb3"], _AGENTS)
        raise UsageError(f"unknown sb3 {options['sb3']!r}{near} (one of {', '.join(_AGENTS)})")
    own = set(inspect.signature(getattr(stable_baselines3, options["sb3"])).parameters) - _OURS
    check_known(options["config"], own, "config field")
    check_counts(options, _DEFAULTS)
    make(options["env"]).close()
    return options


def check_pair(options: dict[str, Any]) -> None:
    training.check_actions_of(f"sb3:{options['sb3'].lower()}", None, options["env"])


def lanes(options: dict[str, Any]) -> int:
    return 1


def measured(options: dict[str, Any]) -> tuple[str, str]:
    return "return", "Environment steps"


def work(
    folder: Path,
    options: dict[str, Any],
    seeds: Sequence[int],
    steps: int,
    told: Callable[[int], None],
) -> None:
    """Evaluated by rlkit on the same episodes as rlkit's own agents. The tensors of the last policy
    are kept as `policy-<seed>.safetensors`: what their own `save` writes holds pickles."""
    import torch
    from safetensors.torch import save

    begin(folder, "sb3", options | {"steps": steps}, seeds)
    torch.set_num_threads(1)
    found: list[Episode] = []
    for lane, seed in enumerate(seeds):
        model, episodes = _train(options, seed, steps, told)
        found += [episode._replace(lane=lane) for episode in episodes]
        tensors = {name: x.contiguous() for name, x in model.policy.state_dict().items()}
        with replacing(folder / f"policy-{seed}.safetensors") as temporary:
            temporary.write_bytes(save(tensors))
    finish(folder, found)


def _train(
    options: dict[str, Any], seed: int, steps: int, told: Callable[[int], None]
) -> tuple[Any, list[Episode]]:
    import stable_baselines3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    from rlkit.envs.make import make
    from rlkit.policy.sb3 import actor

    every, episodes = options["eval_every"], list[Episode]()

    class Watch(BaseCallback):
        """Evaluates whenever another `eval_every` steps are done."""

        def _on_step(self) -> bool:
            done = min(self.num_timesteps // every * every, steps)
            if done and done > (episodes[-1].step if episodes else 0):
                episodes.extend(evaluate(actor(self.model), options["eval_episodes"], done))
            told(min(self.num_timesteps, steps))
            return True

    envs = make_vec_env(lambda: make(options["env"]), options["envs"], seed=seed)
    kind = getattr(stable_baselines3, options["sb3"])
    policy = "MlpPolicy"
    with Evaluator(lambda: make(options["env"]), [seed]) as evaluate:
        model = kind(policy, envs, seed=seed, device="cpu", **options["config"])
        model.learn(steps, callback=Watch())
        if not episodes or episodes[-1].step < steps:
            episodes.extend(evaluate(actor(model), options["eval_episodes"], steps))
    envs.close()
    return model, episodes
