"""What every algorithm's `Config` has to be; see `rlkit.testing.checks`."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, get_args

from rlkit.core import state
from rlkit.core.words.ranges import Widths, declared, range_of
from rlkit.testing.cases import Case, run_updates


def config_is_data(case: Case) -> None:
    """`Config` has defaults, is frozen, and survives JSON."""
    config = case.module.Config()
    first = dataclasses.fields(config)[0].name
    try:
        setattr(config, first, getattr(config, first))
    except dataclasses.FrozenInstanceError:
        pass
    else:
        raise AssertionError("Config must be a frozen dataclass")
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    back = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    assert case.module.Config(**back) == config, "Config does not survive a JSON round trip"


def ranges_are_declared(case: Case) -> None:
    """Every number of `Config` declares its range, and a value outside is refused."""
    for name, hint in declared(case.module.Config).items():
        numeric = {int, float} & {hint, *_leaves(hint)}
        allowed = range_of(hint)
        assert not numeric or allowed is not None, (
            f"field {name!r} declares no range: see rlkit.core.words.ranges"
        )
        if not numeric or allowed is None:
            continue
        bounded = math.isfinite(allowed.low)
        outside = allowed.low - 1 if bounded else math.nan
        default = getattr(case.module.Config(), name)
        if isinstance(default, tuple):
            value: Any = (int(outside) if bounded else outside,) * max(1, len(default))
        else:
            value = outside
        said = ""
        try:
            case.module.Config(**{name: value})
        except ValueError as error:
            said = str(error)
        assert name in said, f"field {name!r} takes {value!r}: put @checked() on Config"


def no_layers_are_a_linear_net(case: Case) -> None:
    """Widths of no layer at all (`hidden=()`) make a linear net that learns, or are refused by
    name."""
    for name, hint in declared(case.module.Config).items():
        if hint != Widths:
            continue
        refused = None
        try:
            agent, _ = run_updates(case, case.spec(), case.make_config(**{name: ()}), 2)
        except (ValueError, LookupError) as error:
            refused = error
        if refused is not None:
            said = f"{type(refused).__name__}: {refused}"
            assert isinstance(refused, ValueError), f"{name}=() ends in {said}"
            assert name in said, f"{name}=() is refused without its name: {said}"
            continue
        for tensor, value in state.tensors(agent).items():
            assert value.isfinite().all(), f"{tensor} is not finite with {name}=()"


def _leaves(hint: Any) -> set[Any]:
    """Every type inside another."""
    inside = (part for part in get_args(hint) if not isinstance(part, str))
    return {leaf for part in inside for leaf in {part, *_leaves(part)} if isinstance(leaf, type)}
