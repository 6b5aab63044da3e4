"""Configurations of bandit policies refuse what their fields cannot be, when they are made."""

import importlib
import math
import pkgutil

import pytest

from rlkit.algos import bandits
from rlkit.core.words.ranges import declared, range_of


def _configurations():
    for module in pkgutil.walk_packages(bandits.__path__, "rlkit.algos.bandits."):
        config = getattr(importlib.import_module(module.name), "Config", None)
        if config is not None and config.__module__ == module.name:
            yield pytest.param(config, id=module.name.rpartition(".")[2])


@pytest.mark.parametrize("config", list(_configurations()))
def test_fields_outside_their_ranges_are_refused(config):
    refused = 0
    for name, hint in declared(config).items():
        allowed = range_of(hint)
        outside = [] if allowed is None else [allowed.low - 1, allowed.high + 1, math.nan]
        for value in [x for x in outside if math.isnan(x) or math.isfinite(x)]:
            default = config.__dataclass_fields__[name].default
            given = (value,) if isinstance(default, tuple) else value
            with pytest.raises(ValueError, match=rf"^{name}(\[0\])? is "):
                config(**{name: given})
            refused += 1
    assert refused >= 3
    with pytest.raises(TypeError, match="has no 'lr_rate'"):
        config(lr_rate=1.0)
