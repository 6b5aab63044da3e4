"""Bonuses for what is new, by a text that names them: products of counts, RND, NovelD and E3B.

    "episode"            1 where a state is new to the episode
    "count*episode"      times 1/√N over the training
    "e3b*noveld:0.1"     an elliptical episodic bonus times a global one that is learnt

What is global holds over all episodes of a lane, in all its environments; what is episodic begins
anew with every episode. Global bonuses serve where episodes have much in common, episodic ones
where each has a level of its own, and products where one does not know (Henaff, Jiang & Raileanu
2023, arXiv 2306.03236).

A product with a learnt part is divided by the deviation, so far, of what it was in its lane; one of
counts alone, which lie in [0, 1], is not.
"""

from __future__ import annotations

import functools
import operator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import generator
from rlkit.core.words.nearest import suggestion

NAMES = ("count", "episode", "rnd", "noveld", "e3b")
_NUMBERED = ("count", "episode", "noveld")
_ALPHA = 0.1  # of noveld
_RING = 1024  # steps of a lane that the learnt parts learn from
_BATCH, _EVERY = 64, 4  # rows of an update, and rounds of steps from one to the next


class Part(Protocol):
    """One factor; arrays are of n environments, numbered by `envs`."""

    learnt: bool

    def begin(self, fresh: np.ndarray, s: np.ndarray, envs: np.ndarray) -> None: ...

    def step(self, s: np.ndarray, s2: np.ndarray, envs: np.ndarray) -> np.ndarray: ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


def read(text: str) -> list[tuple[str, float | None]]:
    """The factors that `text` names, each with its number. Raises UsageError."""
    found = []
    for word in text.split("*"):
        name, _, number = word.strip().partition(":")
        if name not in NAMES:
            near = suggestion(name, NAMES)
            raise UsageError(
                f"unknown bonus {name!r}{near} (products of {', '.join(NAMES)}, as in "
                "'count*episode'; count and episode take the width of a cell, noveld its α: "
                "'noveld:0.5')"
            )
        try:
            value = float(number) if number else None
        except ValueError:
            value = -1.0
        if value is not None and (name not in _NUMBERED or not 0 <= value < np.inf):
            raise UsageError(f"bonus {word.strip()!r}: {number!r} is no number that {name} takes")
        found.append((name, value))
    return found


class Bonus:
    """The bonus that `text` names, of all lanes and their environments."""

    def __init__(self, text: str, spec: Spec, envs: int = 1) -> None:
        self.spec, self.envs = spec, envs
        self.parts = [self._part(name, value) for name, value in read(text)]
        self.learnt = any(part.learnt for part in self.parts)
        self.fresh = np.ones((spec.lanes, envs), bool)  # episodes that have not begun
        self.rounds = np.zeros((), np.int64)  # of steps
        self.moments = np.zeros((spec.lanes, 3))  # count, mean and squared deviations of products
        self.ring: dict[str, np.ndarray] = {}  # last steps [S, _RING, ...]
        self.rows = 0  # that were written to it

    def _part(self, name: str, value: float | None) -> Part:
        from rlkit.exploration.counts import Counts, Episode
        from rlkit.exploration.distillation import Distillation
        from rlkit.exploration.elliptical import Elliptical

        lanes = self.spec.lanes
        if name == "count":
            return Counts(lanes, value or 0.0)
        if name == "episode":
            return Episode(lanes, self.envs, value or 0.0)
        if name == "e3b":
            return Elliptical(self.spec, self.envs)
        alpha = _ALPHA if value is None else value
        return Distillation(self.spec, self.envs, alpha if name == "noveld" else None)

    def step(
        self,
        s: np.ndarray,
        a: np.ndarray,
        s2: np.ndarray,
        over: np.ndarray,
        envs: np.ndarray | None = None,
    ) -> np.ndarray:
        """Bonuses `[S, n]` of steps from `s` by `a` to `s2` `[S, n, ...]`, in agent units, which
        ended their episodes where `over` `[S, n]`; of all environments, or of those numbered
        `envs` `[n]`."""
        envs = np.arange(self.envs) if envs is None else envs
        fresh = self.fresh[:, envs]
        for part in self.parts:
            part.begin(fresh, s, envs)
        found = [part.step(s, s2, envs) for part in self.parts]
        product = functools.reduce(operator.mul, found)
        self.fresh[:, envs] = over
        if self.learnt:
            product = self._scaled(product)
            self._keep(s, a, s2)
            self.rounds += 1
            if self.rounds % _EVERY == 0:
                self._learn()
        return product

    def begun_anew(self, envs: np.ndarray | None = None) -> None:
        """Tells that episodes were broken off: each environment, or those of `envs`, begins one."""
        self.fresh[:, slice(None) if envs is None else envs] = True

    def _scaled(self, product: np.ndarray) -> np.ndarray:
        """`product` in units of its deviation until now, itself included (Chan et al.)."""
        count, mean, square = self.moments.T
        n = product.shape[1]
        apart = product.mean(1) - mean
        square = square + product.var(1) * n + apart**2 * count * n / (count + n)
        mean, count = mean + apart * n / (count + n), count + n
        self.moments = np.stack([count, mean, square], 1)
        std = np.sqrt(square / count)
        return product / np.where(std > 1e-8, std, 1.0)[:, None]

    def _keep(self, s: np.ndarray, a: np.ndarray, s2: np.ndarray) -> None:
        for name, value in (("s", s), ("a", a), ("s2", s2)):
            if name not in self.ring:
                self.ring[name] = np.zeros((len(value), _RING, *value.shape[2:]), value.dtype)
            rows = (self.rows + np.arange(value.shape[1])) % _RING
            self.ring[name][:, rows] = value
        self.rows += s.shape[1]

    def _learn(self) -> None:
        size = min(self.rows, _RING)
        drawn = np.stack(
            [
                generator(seed, "exploration/rows", int(self.rounds)).integers(size, size=_BATCH)
                for seed in self.spec.seeds
            ]
        )
        batch = []
        for name in ("s", "a", "s2"):
            rows = torch.from_numpy(self.ring[name][np.arange(len(drawn))[:, None], drawn])
            kind = torch.int64 if name == "a" and self.spec.discrete else self.spec.dtype
            batch.append(rows.to(self.spec.device, kind))
        for part in self.parts:
            if part.learnt:
                part.learn(*batch)  # type: ignore[attr-defined]

    # --- checkpoints --------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Tensor]:
        """All that a killed run must find again."""
        own: dict[str, Any] = {name: getattr(self, name) for name in ("fresh", "rounds", "moments")}
        own |= {f"ring.{name}": array for name, array in self.ring.items()}
        kept = {name: torch.from_numpy(np.array(array)) for name, array in own.items()}
        kept["rows"] = torch.tensor(self.rows)
        for k, part in enumerate(self.parts):
            kept |= {f"parts.{k}.{name}": x for name, x in part.state_dict().items()}
        return kept

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name in ("fresh", "rounds", "moments"):
            setattr(self, name, state[name].numpy().copy())
        self.rows = int(state["rows"])
        self.ring = {
            name.removeprefix("ring."): x.numpy().copy()
            for name, x in state.items()
            if name.startswith("ring.")
        }
        for k, part in enumerate(self.parts):
            begin = f"parts.{k}."
            part.load_state_dict(
                {n.removeprefix(begin): x for n, x in state.items() if n.startswith(begin)}
            )
