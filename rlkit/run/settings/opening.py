"""The lines that a training begins with: what it is, before it is under way."""

from __future__ import annotations

import dataclasses

from rlkit.core.spec import Box
from rlkit.run.replay_ratio import updates_in_all
from rlkit.run.settings import presets
from rlkit.run.settings.options import Options, run_defaults
from rlkit.run.settings.plan import Plan


def lines(plan: Plan) -> list[str]:
    """Algorithm, task and spaces; settings by name; lanes, device and engine; warm-up and updates;
    what the algorithm does before or with them that takes time; what has no effect; run folder."""
    return [
        f"{plan.options.algo} on {_task(plan)}",
        *presets.told(plan.options),
        f"lanes   {_lanes(plan)}",
        f"course  {_course(plan)}",
        *_outset(plan),
        *_idle(plan.options),
        f"folder  {plan.folder}",
    ]


def _task(plan: Plan) -> str:
    task, options = plan.task, plan.options
    act = f"Box({task.act.size})" if isinstance(task.act, Box) else f"Discrete({task.act.n})"
    spaces = f"observations {task.obs}, actions {act}"
    if options.dataset is None:
        return f"{options.env}: {spaces}"
    known = task.dataset or {}
    where = "online in" if options.kind == "finetune" else "evaluated in"
    env = f", {where} {task.env_id}" if task.has_env else ""
    sizes = f"{known.get('steps', 0):,} steps of {known.get('episodes', 0):,} episodes"
    return f"{options.dataset} ({sizes}){env}: {spaces}"


def _lanes(plan: Plan) -> str:
    seeds = ", ".join(map(str, plan.options.seeds))
    processes = f" in {len(plan.groups)} processes" if len(plan.groups) > 1 else ""
    return f"seeds {seeds}{processes}, on {plan.options.device}, engine {plan.engine}"


def _course(plan: Plan) -> str:
    options = plan.options
    if plan.is_sb3:
        return f"{options.steps:,} environment steps a lane, with stable-baselines3's own updates"
    if options.kind == "offline":
        return f"{options.steps:,} updates"
    before = f"{options.pretrain:,} updates on the dataset, then " if options.pretrain else ""
    count = updates_in_all(options)
    if not count:
        return f"{before}{options.steps:,} environment steps a lane; no update will happen"
    own = "the policy's own" if options.pretrain or options.from_run else "random actions"
    return (
        f"{before}{options.steps:,} environment steps a lane: {options.warmup:,} of warm-up "
        f"({own}), {options.utd:g} updates a step from there on, {count:,} in all"
    )


def _outset(plan: Plan) -> list[str]:
    """What the algorithm has to say of its work with a dataset; nothing of a run that goes on."""
    say = getattr(plan.options.config, "outset", None)
    if say is None or plan.begun or plan.store is None:
        return []
    updates = plan.options.pretrain if plan.options.kind == "finetune" else plan.options.steps
    text = say(len(plan.store), int(plan.store.lengths.max()), updates)
    return [f"work    {text}"] if text else []


_COLLECTING = ("envs", "utd", "update_every", "warmup", "capacity", "mix")


def _idle(options: Options) -> list[str]:
    """What was asked of collecting although a dataset alone is learnt from, but for what a preset
    of the algorithm says."""
    if options.kind != "offline":
        return []
    unset = dataclasses.replace(options, utd=None, update_every=None, warmup=None)
    usual = run_defaults(unset)
    own = presets.of(options.algo, options.dataset, options.env).values()
    given = {
        name: value
        for name in _COLLECTING
        if (value := getattr(options, name)) != usual.get(name, getattr(Options, name))
        and all(preset.run.get(name) != value for preset in own)
    }
    words = ", ".join(f"{name} {value:,}" for name, value in given.items())
    return [f"note    nothing is collected: {words} without effect"] if given else []
