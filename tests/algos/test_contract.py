"""Every agent honours the contract; a new algorithm is one row here."""

import pytest

from rlkit.algos import bc, iql, sac
from rlkit.testing import CHECKS, Case, Skipped

SELECTED = "chooses episodes before training; see test_bc"
CASES = {
    "bc": Case(bc, exempt={"fraction": SELECTED, "fraction_of": SELECTED}),
    "bc-discrete": Case(
        bc,
        discrete=True,
        exempt={
            "policy": "continuous heads only",
            "fraction": SELECTED,
            "fraction_of": SELECTED,
        },
    ),
    "iql": Case(iql, vary={"adv_clip": {"beta": 50.0}}),
    "iql-discrete": Case(iql, discrete=True, vary={"adv_clip": {"beta": 50.0}}),
    "sac": Case(sac),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, check: str) -> None:
    try:
        CHECKS[check](CASES[name])
    except Skipped as reason:
        pytest.skip(str(reason))
