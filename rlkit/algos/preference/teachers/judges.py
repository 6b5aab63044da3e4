"""Who compares whole episodes: a teacher by their returns, or a judge of one's own.

    rational, noisy:1, mistaken:0.1, skipping:0.1, tying:0.1, poll:5   of returns, see `teachers`
    package.module:judge                                               a judge of one's own
    package.module:judge+mistaken:0.1+poll:0                           who errs; chances outright

A judge of one's own has two functions and may prefer as it likes, in circles too, and by what no
single step tells:

    summary(obs, action, reward, next_obs)  of one episode, float64 tensors `[T, ...]` in the
                                            environment's units, to what it remembers of it `[d]`
    prefer(first, second)                   P(second preferred) `[n]` of two `[n, d]`
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from rlkit.algos.preference.teachers.synthetic import WORDS, Teacher, parse
from rlkit.core.errors import UsageError
from rlkit.core.files import trust


class Judge(Protocol):
    """What a judge of one's own is: a module, a class without arguments, or an object."""

    def summary(self, obs: Tensor, action: Tensor, reward: Tensor, next_obs: Tensor) -> Any: ...

    def prefer(self, first: Tensor, second: Tensor) -> Any: ...


class Panel:
    """Answers of the judge or teacher that `words` name. Raises UsageError for what names nothing
    or cannot compare whole episodes."""

    def __init__(self, words: str) -> None:
        self.words = words
        name, _, rest = words.partition("+")
        module = trust.module_of(name.strip())
        self.judge: Judge | None = None
        if module is not None and module not in WORDS:
            self.judge = _found(name.strip())
        self.teacher: Teacher = parse(words if self.judge is None else rest or "rational")
        if self.teacher.regret or self.teacher.recency != 1:
            raise UsageError(f"teacher {words!r} compares segments, not whole episodes by returns")
        if self.judge is not None and replace(self.teacher, mistakes=0.0, poll=1) != Teacher():
            raise UsageError(f"teacher {words!r}: beside a judge there can be mistaken and poll")

    def summary(self, obs: Tensor, action: Tensor, reward: Tensor, next_obs: Tensor) -> Tensor:
        """What is remembered of an episode `[d]`, float64: its return, or what the judge says."""
        if self.judge is None:
            return reward.sum().reshape(1)
        z = self._asked("summary", obs, action, reward, next_obs).reshape(-1)
        if not z.isfinite().all():
            raise UsageError(f"teacher {self.words!r}: the summary of an episode is not finite")
        return z.to(reward.device)

    def win_rate(self, own: Tensor, others: Tensor, u: Tensor) -> float:
        """Share of wins of the episode `own [d]` against `others [n, d]`; draws and no answer at
        all count half. `u [n, uniforms]` in [0, 1)."""
        if not len(others):
            return 0.5
        first, second = others, own.expand_as(others)
        if self.judge is None:
            gain = torch.stack([first, second], 1)  # [n, 2, 1]: an episode is one step here
            mean = torch.cat([others, own.unsqueeze(0)]).mean()
            said = self.teacher.answers(gain, torch.ones_like(gain, dtype=torch.bool), u, mean)
            y = said.y[said.given]
            return float(y.mean()) if len(y) else 0.5
        p = self._asked("prefer", first, second)
        if p.shape != (len(others),) or not bool(((p >= 0) & (p <= 1)).all()):
            raise UsageError(
                f"teacher {self.words!r}: prefer must give {len(others)} chances in [0, 1] for as "
                f"many pairs, not {p.tolist()}"
            )
        return float(self.teacher.said(p.to(u.device), u).mean())

    def _asked(self, function: str, *given: Tensor) -> Tensor:
        try:
            return torch.as_tensor(getattr(self.judge, function)(*given)).double()
        except Exception as error:  # whatever a person's function raises, or answers
            shapes = ", ".join(str(tuple(x.shape)) for x in given)
            raise UsageError(
                f"teacher {self.words!r}: {function} fails on tensors {shapes}: "
                f"{type(error).__name__}: {error}"
            ) from error


def _found(name: str) -> Judge:
    module, _, entry = name.rpartition(":")
    try:
        found: Any = getattr(trust.load(module), entry)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"teacher {name!r}: {error}") from error
    try:
        judge = found() if isinstance(found, type) else found
    except Exception as error:  # whatever a person's class raises
        raise UsageError(f"teacher {name!r}: {type(error).__name__}: {error}") from error
    for function in ("summary", "prefer"):
        if not callable(getattr(judge, function, None)):
            raise UsageError(f"teacher {name!r} has no function {function!r}; see rlkit.algos.spo")
    return judge  # type: ignore[no-any-return]
