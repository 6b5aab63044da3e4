"""Preferences from ranked factors of a reward: a decision tree compares the most important first.

    (1)  d_l = z_l(second) - z_l(first),  z_l the sum of factor l over a segment; greater is better
    (2)  the first level l with |d_l| > σ_l decides: y = 1{d_l > 0}; where none does, no answer
    (3)  σ_l = margin_l times the standard deviation of z_l over the segments asked about

as in HERON (Bukharin, Li, He & Zhao 2024, arXiv 2309.02632). With margins of 0 the order is
lexicographic; with others the relation may be intransitive.

`factors` are named by a word:

    pendulum                 -angle², -velocity², -torque² of Pendulum-v1
    columns:speed,-energy    columns of the dataset; "-" where less is better
    package.module:function  (obs, action, next_obs) tensors in the environment's units, `[..., D]`
                             each (actions `[..., A]`, or `[...]` when discrete), to `[..., n]`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlkit.algos.preference.feedback import action_in_env, in_env
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.spec import Spec
from rlkit.core.words.nearest import suggestion
from rlkit.data.replay import Replay
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms

Factors = Callable[[Tensor, Tensor, Tensor], Tensor]
_COLUMNS = f"{trust.COLUMNS}:"


def pendulum(obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
    """Minus the squares of angle, velocity and torque, in this order of importance `[..., 3]`."""
    angle = torch.atan2(obs[..., 1], obs[..., 0])
    return -torch.stack([angle, obs[..., 2], action[..., 0]], -1).square()


NAMED: dict[str, Factors] = {"pendulum": pendulum}
_PENDULUM = (
    "factors 'pendulum' are those of Pendulum-v1, whose observations are cosine, sine and velocity "
    "and whose action is a torque; name a function of your own, package.module:function, or columns"
)


class Ranked(NamedTuple):
    """What a decision tree says of pairs `[...]`."""

    y: Tensor  # [...] 1 where the second is preferred, 0 where the first is or none
    level: Tensor  # [...] int64, which factor decided; their number where none did


def ranked(z: Tensor, sigma: Tensor) -> Ranked:
    """Eq. (2) for totals `z [..., 2, n]` and thresholds `sigma`, which broadcast to `[..., n]`."""
    d = z[..., 1, :] - z[..., 0, :]
    decided = d.abs() > sigma
    level = torch.where(decided.any(-1), decided.to(torch.int64).argmax(-1), z.shape[-1])
    first = d.gather(-1, level.clamp(max=z.shape[-1] - 1).unsqueeze(-1)).squeeze(-1)
    return Ranked(((first > 0) & decided.any(-1)).to(z.dtype), level)


def wanted_columns(factors: str) -> tuple[str, ...]:
    """Columns of the data that `factors` reads."""
    return tuple(name.lstrip("-") for name in _listed(factors))


def read(factors: str, data: Replay, transforms: Transforms) -> Tensor:
    """Every row's factors `[S or 1, N, n]`, float64, in the environment's units.

    Raises UsageError for a word that is unknown, a column that is not there, or a function that
    cannot be imported or answers something else.
    """
    if columns := _listed(factors):
        found = []
        for name in columns:
            plain = name.lstrip("-")
            if plain not in data.columns:
                raise UsageError(f"factors {factors!r}: there is no column {plain!r} in these rows")
            found.append(data.rows(plain).double() * (-1 if name.startswith("-") else 1))
        return torch.stack(found, -1)
    function = _function(factors)
    s, s2 = (in_env(data.rows(n), transforms) for n in ("s", "s2"))
    if factors == "pendulum" and bool(((s[..., :2].square().sum(-1) - 1).abs() > 0.01).any()):
        raise UsageError(f"{_PENDULUM}; here cosine and sine are none")
    a = data.rows("a")
    a = a if data.spec.discrete else action_in_env(a, transforms)
    try:
        z: Any = function(s, a, s2)
    except Exception as error:  # whatever a person's function raises
        shapes = ", ".join(str(tuple(x.shape)) for x in (s, a, s2))
        raise UsageError(
            f"factors {factors!r} fail on tensors {shapes}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(z, Tensor) or z.dim() != 3 or z.shape[:2] != s.shape[:2]:
        what = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise UsageError(
            f"factors {factors!r} must give [..., n] for rows {tuple(s.shape[:2])}, not {what}"
        )
    if not z.isfinite().all():
        raise UsageError(f"factors {factors!r} are not finite in some rows")
    return z.double()


def check_columns(factors: str, store: EpisodeStore) -> None:
    """Raises UsageError for a factor that is no column of the episodes."""
    for name in wanted_columns(factors):
        if name not in store.extra:
            there = ", ".join(sorted(store.extra)) or "none"
            raise UsageError(
                f"factors {factors!r}: the dataset has no column {name!r}"
                f"{suggestion(name, store.extra)}; it has {there}"
            )


def check(factors: str, spec: Spec) -> None:
    """Raises UsageError when `factors` names nothing, or factors of another task than `spec` is."""
    if not _listed(factors):
        _function(factors)
    if factors == "pendulum" and (spec.obs != (3,) or spec.discrete or spec.act_size != 1):
        raise UsageError(f"{_PENDULUM}; here they are {spec.obs}, {spec.act}")


def _listed(factors: str) -> list[str]:
    if not factors.startswith(_COLUMNS):
        return []
    return [name.strip() for name in factors.removeprefix(_COLUMNS).split(",") if name.strip("- ")]


def _function(factors: str) -> Factors:
    if factors in NAMED:
        return NAMED[factors]
    module = trust.module_of(factors)
    if module is None:
        raise UsageError(
            f"factors {factors!r} name nothing{suggestion(factors, NAMED)}; give one of "
            f"{', '.join(NAMED)}, columns:NAME,-NAME of a dataset, most important first, or a "
            "function of your own, package.module:function"
        )
    try:
        return getattr(trust.load(module), factors.rpartition(":")[2])  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        raise UsageError(f"factors {factors!r}: {error}") from error
