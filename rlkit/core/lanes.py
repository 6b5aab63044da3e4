"""Per-lane hyper-parameters: a tuple in a float field of a `Config` gives one value a lane."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from rlkit.core.spec import Spec

ConfigT = TypeVar("ConfigT")
_MOST_SEEDS = 100_000  # of one run or sweep: more is a slip


def float_fields(config_class: type) -> set[str]:
    """Names of the fields that may differ from lane to lane: those typed `float`."""
    return {name for name, kind in get_type_hints(config_class).items() if kind is float}


def _takes_tuples(hint: Any) -> bool:
    kinds = (tuple, list)
    inner = any(_takes_tuples(part) for part in get_args(hint))
    return hint in kinds or get_origin(hint) in kinds or inner


def resolve(config: ConfigT, spec: Spec) -> ConfigT:
    """`config` with every tuple in a float field replaced by a tensor `[S, 1]`.

    Such a tensor broadcasts against `[S, B]` in the losses, and the optimiser and the targets
    take it as a value per lane. Raises ValueError when the number of values is not the number
    of lanes, or when the field is structural (an int, a tuple of layer widths).
    """
    changed: dict[str, Any] = {}
    lanable = float_fields(type(config))
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if isinstance(value, (tuple, list)) and not (
            field.name in lanable or _takes_tuples(hints[field.name])
        ):
            raise ValueError(
                f"config field {field.name!r} is {value!r}, but only float fields may differ from "
                "lane to lane; run its values apart"
            )
        if field.name in lanable and isinstance(value, (tuple, list)):
            if len(value) != spec.lanes:
                raise ValueError(
                    f"config field {field.name!r} has {len(value)} values for {spec.lanes} lanes; "
                    "give one value, or one for each seed"
                )
            tensor = torch.tensor(value, dtype=spec.dtype, device=spec.device)
            changed[field.name] = tensor.unsqueeze(-1)  # [S, 1]
    return dataclasses.replace(config, **changed) if changed else config  # type: ignore[type-var]


def against(value: float | Tensor, x: Tensor) -> float | Tensor:
    """`value`, a number or one per lane `[S, 1]`, so that it broadcasts against `x [S, ...]`."""
    return value.reshape(-1, *[1] * (x.dim() - 1)) if isinstance(value, Tensor) else value


def in_use(weight: Any) -> bool:
    """Whether a weight that is never negative is above 0, or is one a lane, of which any may be."""
    return isinstance(weight, Tensor | tuple | list) or weight > 0


def select(config: ConfigT, lanes: Sequence[int]) -> ConfigT:
    """`config` with the values of some lanes only, so that lanes can train in other company."""
    changed = {
        name: tuple(value[k] for k in lanes)
        for name in float_fields(type(config))
        if isinstance(value := getattr(config, name), (tuple, list))
    }
    return dataclasses.replace(config, **changed)  # type: ignore[type-var]


def read_seeds(text: str) -> tuple[int, ...]:
    """Seeds of "0:4" (0 to 3), "0,3,7" or "5". Raises ValueError saying what may be written."""
    asked: Sequence[int]
    try:
        if ":" in text:
            first, end = text.split(":")
            asked = range(int(first or 0), int(end))
        else:
            asked = [int(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"seeds {text!r} must read 0:4, or 0,3,7, or 5") from None
    if not asked:
        raise ValueError(f"seeds {text!r} name none; 0:4 means 0, 1, 2 and 3")
    if asked[_MOST_SEEDS:]:  # len of a range ends at 2^63
        raise ValueError(f"seeds {text!r} name more than {_MOST_SEEDS:,}")
    return tuple(asked)
