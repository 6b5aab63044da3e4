"""The three training loops, as generators of events.

A step is an update offline and an environment step of a lane online; fine-tuning counts its
updates on the dataset first and then environment steps. What falls on a step comes in this order:
updates, record of the losses, evaluation, checkpoint. Between steps a loop looks whether it is to
stop; a lane that is no longer finite is told and left out, and the others go on as if alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.history import Past
from rlkit.run.halt import BrokenOff
from rlkit.run.records.events import Diverged, Evaluated, Event, Metrics, Note, Progress, Save
from rlkit.run.session import Session, fetch
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.transfer import transfer

_STRIDE = 250  # steps between signs of life


def run(session: Session, start: int = 0) -> Iterator[Event]:
    """The loop that the options' kind asks for, from step `start`."""
    if session.fresh and session.options.from_run is not None:
        yield Note(transfer(session.agent, session.options, session.seeds))
    if session.fresh:
        yield from _noticed(session, {})
        alone = getattr(algorithm(session.options.algo), "offline_notice", None)
        if alone is not None and session.options.kind == "offline":
            yield from map(Note, filter(None, [alone(session.options.config)]))
    loop = {"offline": offline, "online": online, "finetune": finetune}
    yield from loop[session.options.kind](session, start)


def offline(session: Session, start: int = 0, until: int | None = None) -> Iterator[Event]:
    """Updates from a dataset."""
    options = session.options
    total = options.total_steps if until is None else until
    engine = session.engine if session.pretrain is None else session.pretrain
    yield from _begin(session, engine, start)
    if session.halted:
        return
    period = getattr(engine.source, "every", 0)
    every = (options.log_every, options.eval_every, options.saves_every, _STRIDE, period)
    step = start
    metrics: dict[str, Tensor] = {}
    while step < total:
        if period and step % period == 0:
            metrics |= engine.source.advance(step)  # type: ignore[attr-defined]
        stop = min(total, *(step - step % n + n for n in every if n))
        metrics |= engine.run(step, stop - step)
        yield from _milestones(session, engine, step, stop, stop, metrics)
        step = stop
        if session.halt.here(step):
            yield from _halted(session, step)
            return


def online(session: Session, start: int = 0, offset: int = 0) -> Iterator[Event]:
    """Environment steps, each followed by its share of updates.

    `offset` steps were updates on a dataset before; `start` counts them too.
    """
    options, collector, replay = session.options, session.collector, session.replay
    engine, ratio = session.engine, session.ratio
    assert collector is not None
    assert replay is not None
    assert options.warmup is not None
    if start == offset and not collector.begun:
        collector.reset()
    yield from _begin(session, engine, start)
    if session.halted:
        return
    period = getattr(engine.source, "every", 0)
    # a policy that has learnt already collects its own warm-up
    policy_from = 0 if offset or options.from_run is not None else options.warmup
    metrics: dict[str, Tensor] = {}
    taken = start - offset  # environment steps of a lane
    while taken < options.steps:
        turn = taken // options.envs
        if session.spec.normaliser is not None:
            session.spec.normaliser.add(session.task.transforms.obs(collector.obs))
        past = None if session.memory is None else session.memory.recall(collector)
        actions = _random(session, turn) if taken < policy_from else _policy(session, turn, past)
        if not np.isfinite(actions).all():
            lost = ~np.isfinite(actions).reshape(len(actions), -1).all(1)
            found = {int(k): "an action of its policy" for k in np.flatnonzero(lost)}
            yield from _diverged(session, offset + taken, found)
            actions[lost] = 0  # its environment goes on, to no end
        extra: dict[str, np.ndarray] = {}
        step = collector.step(actions)
        if session.memory is not None:
            session.memory.keep(step)
        if session.bonus is not None:
            step, extra = session.bonus.rewarded(step)
        replay.add(*step, **extra)
        done, before, taken = ratio.due(turn), taken, taken + options.envs
        ratio.episodes_ended(int(collector.episode.sum()), taken)
        crossed = period and taken // period > before // period
        if taken >= options.warmup and (crossed or (period and before < options.warmup)):
            metrics |= engine.source.advance(taken)  # type: ignore[attr-defined]
        count = ratio.due(turn + 1) - done
        if count:
            if ratio.wants(turn):
                ratio.watch(engine.source.batch(engine.source.indices(offset + done, 1)[0]))
            metrics |= engine.run(offset + done, count)
        at, updates = offset + taken, offset + done + count
        for event in _milestones(session, engine, offset + before, at, updates, metrics):
            if isinstance(event, Metrics):
                own = {} if session.bonus is None else session.bonus.take()
                event = event._replace(values=event.values | collector.take_finished() | own)
            yield event
        if session.halt.here(at):
            yield from _halted(session, at)
            return


def finetune(session: Session, start: int = 0) -> Iterator[Event]:
    """Updates from the dataset, then environment steps with updates from both."""
    pretrain = session.options.pretrain
    if start < pretrain:
        yield from offline(session, start, until=pretrain)
    if session.halted:
        return
    yield from online(session, max(start, pretrain), offset=pretrain)


def _begin(session: Session, engine: Engine, step: int) -> Iterator[Event]:
    """The beginning of an engine's source, unless a checkpoint remembers it. It may take long: a
    wish to stop breaks it off, and the training goes on from before it."""
    name = "pretrain" if engine is session.pretrain else "main"
    if name in session.begun or not hasattr(engine.source, "begin"):
        return
    if line := getattr(engine.source, "beginning", ""):
        yield Note(line)
    if step and session.saved != step:
        yield from _sound(session, step, {})
        yield _save(session, step)
    try:
        with session.halt.breaking_off():
            engine.source.begin()
    except BrokenOff:
        session.halt.here(step)  # where every process is: nobody runs ahead of its checkpoint
        session.halted = True
        return
    session.begun.add(name)
    if step == 0:  # it may have taken long
        yield _save(session, step)


def _random(session: Session, turn: int) -> np.ndarray:
    """Uniform actions `[S, E, A]` or `[S, E]`."""
    spec, envs = session.spec, session.options.envs
    shape = (envs,) if spec.discrete else (envs, spec.act_size)
    u = session.streams.draw("warmup", "uniform", turn, shape)[0]
    return (u * spec.act_size).astype(np.int64) if spec.discrete else (2 * u - 1).astype(np.float32)


@torch.no_grad()
def _policy(session: Session, turn: int, past: Past | None) -> np.ndarray:
    """Actions `[S, E, A]` or `[S, E]` that the policies draw, those that look back after `past`."""
    spec, agent, collector = session.spec, session.agent, session.collector
    assert collector is not None
    noise, draw = None, getattr(agent, "act_noise", None)
    if draw is not None:
        shape = draw.shape(spec, session.options.envs)
        numbers = session.streams.draw("act", draw.kind, turn, shape)[0]
        noise = torch.from_numpy(numbers).to(spec.device, spec.dtype)
    obs = session.task.transforms.obs(collector.obs)
    s = torch.as_tensor(obs, dtype=spec.dtype, device=spec.device)
    return (agent.act(s, noise) if past is None else agent.act(s, noise, past)).cpu().numpy()


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
    log, evaluate, save = map(due, (options.log_every, options.eval_every, options.saves_every))
    values = fetch(metrics, session.spec.lanes) if log else {}
    if log or evaluate or save:
        yield from _sound(session, step, values)
    if log:
        yield from _noticed(session, values)
        yield Metrics(step, updates, values, engine.mode)
    if evaluate and session.evaluator is not None:
        held = session.evaluate_held(step) if last else {}
        yield Evaluated(step, session.evaluate(step), session.evaluate_trained(step), held)
    if save:
        yield _save(session, step)


def _save(session: Session, step: int) -> Save:
    session.saved = step
    return Save(step, lambda folder: session.save(folder, step))


def _halted(session: Session, step: int) -> Iterator[Event]:
    """The end of a loop that was asked to stop: it can be continued from here."""
    session.halted = True
    if session.saved != step:
        yield from _sound(session, step, {})
        yield _save(session, step)


def _noticed(session: Session, values: dict[str, np.ndarray]) -> Iterator[Event]:
    """What the algorithm's `notice` has to say, once a run: before the first step at once, later
    when two records in a row make it say so, for each is of one minibatch."""
    notice = getattr(algorithm(session.options.algo), "notice", None)
    text = "" if notice is None else notice(values, session.options.config)
    again, session.suspected = text == session.suspected, text
    if text and text not in session.noticed and (again or not values):
        session.noticed.append(text)
        yield Note(text)


def _sound(session: Session, step: int, values: dict[str, np.ndarray]) -> Iterator[Event]:
    """Tells the lanes whose losses in `values`, or whose agents, are no longer finite."""
    found: dict[int, str] = {}
    for name, of_lanes in values.items():
        if "loss" in name:
            found = dict.fromkeys(np.flatnonzero(~np.isfinite(of_lanes)).tolist(), name) | found
    yield from _diverged(session, step, state.nonfinite(session.agent, session.spec.lanes) | found)


def _diverged(session: Session, step: int, found: dict[int, str]) -> Iterator[Event]:
    """Notes the lanes of the session in `found`, and tells those that were not known."""
    news = {session.lanes[k]: what for k, what in sorted(found.items())}
    news = {lane: what for lane, what in news.items() if lane not in session.diverged}
    if news:
        session.diverged |= dict.fromkeys(news, step)
        yield Diverged(step, news)
