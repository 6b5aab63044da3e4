"""The lines that a training begins with: what it is, before it is under way."""

from __future__ import annotations

from rlkit.core.spec import Box
from rlkit.run.replay_ratio import updates_in_all
from rlkit.run.settings import presets
from rlkit.run.settings.plan import Plan


def lines(plan: Plan) -> list[str]:
    """Algorithm, task and spaces; settings by name; lanes, device and engine; warm-up and updates;
    what the algorithm does before or with them that takes time; run folder."""
    return [
        f"{plan.options.algo} on {_task(plan)}",
        *presets.told(plan.options),
        f"lanes   {_lanes(plan)}",
        f"course  {_course(plan)}",
        *_outset(plan),
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
