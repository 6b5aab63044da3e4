"""The three training loops, as generators of events.

A step is an update offline and an environment step of a lane online; fine-tuning counts its
updates on the dataset first and then environment steps. What falls on a step comes in this order:
updates, record of the losses, evaluation, checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rlkit.core.engine import Engine
from rlkit.run.events import Evaluated, Event, Metrics, Progress, Save
from rlkit.run.session import Session, fetch

_STRIDE = 250  # steps between signs of life


def run(session: Session, start: int = 0) -> Iterator[Event]:
    """The loop that the options' kind asks for, from step `start`."""
    loop = {"offline": offline, "online": online, "finetune": finetune}
    return loop[session.options.kind](session, start)


def offline(session: Session, start: int = 0, until: int | None = None) -> Iterator[Event]:
    """Updates from a dataset."""
    options = session.options
    total = options.total_steps if until is None else until
    engine = session.engine if session.pretrain is None else session.pretrain
    every = [n for n in (options.log_every, options.eval_every, options.saves_every, _STRIDE) if n]
    step = start
    while step < total:
        stop = min(total, *(step - step % n + n for n in every))
        metrics = engine.run(step, stop - step)
        yield from _milestones(session, engine, step, stop, stop, metrics)
        step = stop


def online(session: Session, start: int = 0, offset: int = 0) -> Iterator[Event]:
    """Environment steps, each followed by its share of updates.

    `offset` steps were updates on a dataset before; `start` counts them too.
    """
    options, collector, replay = session.options, session.collector, session.replay
    assert collector is not None
    assert replay is not None
    if start == offset:
        collector.reset()
    policy_from = 0 if offset else options.warmup
    metrics: dict[str, Tensor] = {}
    taken = start - offset  # environment steps of a lane
    while taken < options.steps:
        turn = taken // options.envs
        actions = _random if taken < policy_from else _policy
        replay.add(*collector.step(actions(session, turn)))
        done, taken = updates_due(session, turn), taken + options.envs
        count = updates_due(session, turn + 1) - done
        if count:
            metrics = {**metrics, **session.engine.run(offset + done, count)}
        step, updates = offset + taken, offset + done + count
        for event in _milestones(
            session, session.engine, step - options.envs, step, updates, metrics
        ):
            if isinstance(event, Metrics):
                event = event._replace(values=event.values | collector.take_finished())
            yield event


def finetune(session: Session, start: int = 0) -> Iterator[Event]:
    """Updates from the dataset, then environment steps with updates from both."""
    pretrain = session.options.pretrain
    yield from offline(session, start, until=pretrain)
    yield from online(session, max(start, pretrain), offset=pretrain)


def updates_due(session: Session, turn: int) -> int:
    """Online updates done once every environment has made `turn` steps."""
    options = session.options
    taken = (turn - turn % options.update_every) * options.envs
    return max(0, math.floor((taken - options.warmup) * options.utd + 1e-9))


def _random(session: Session, turn: int) -> np.ndarray:
    """Uniform actions `[S, E, A]` or `[S, E]`."""
    spec, envs = session.spec, session.options.envs
    shape = (envs,) if spec.discrete else (envs, spec.act_size)
    u = session.streams.draw("warmup", "uniform", turn, shape)[0]
    return (u * spec.act_size).astype(np.int64) if spec.discrete else (2 * u - 1).astype(np.float32)


@torch.no_grad()
def _policy(session: Session, turn: int) -> np.ndarray:
    """Actions `[S, E, A]` or `[S, E]` that the policies draw."""
    spec, agent, collector = session.spec, session.agent, session.collector
    assert collector is not None
    noise, draw = None, getattr(agent, "act_noise", None)
    if draw is not None:
        shape = draw.shape(spec, session.options.envs)
        numbers = session.streams.draw("act", draw.kind, turn, shape)[0]
        noise = torch.from_numpy(numbers).to(spec.device, spec.dtype)
    obs = session.task.transforms.obs(collector.obs)
    s = torch.as_tensor(obs, dtype=spec.dtype, device=spec.device)
    return agent.act(s, noise).cpu().numpy()


def _milestones(
    session: Session,
    engine: Engine,
    before: int,
    step: int,
    updates: int,
    metrics: dict[str, Tensor],
) -> Iterator[Event]:
    """What falls due between `before` (not included) and `step`."""
    options = session.options
    last = step >= options.total_steps

    def due(every: int) -> bool:
        return last or (every > 0 and step // every > before // every)

    if due(_STRIDE):
        yield Progress(step)
    if due(options.log_every):
        yield Metrics(step, updates, fetch(metrics, session.spec.lanes), engine.mode)
    if due(options.eval_every) and session.evaluator is not None:
        yield Evaluated(step, session.evaluate(step))
    if due(options.saves_every):
        yield Save(step, lambda folder: session.save(folder, step))
