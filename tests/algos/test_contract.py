"""Every agent honours the contract; a new algorithm is one row here."""

import pytest

from rlkit.algos import bc, cql, cql_discrete, iql, sac, td3, td3_bc, wsrl
from rlkit.testing import CHECKS, Case, Skipped, run_check

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
    "sac": Case(sac, vary={"hidden_q": {"hidden_q": (9, 8)}}),
    "sac-ensemble": Case(  # REDQ, DroQ and RLPD at once
        sac,
        config={"n_critics": 4, "subset": 2, "mean_critic": True, "dropout": 0.1, "norm": "before"},
        vary={"hidden_q": {"hidden_q": (9, 8)}},
    ),
    "wsrl": Case(wsrl, config={"n_critics": 3}, vary={"hidden_q": {"hidden_q": (9, 8)}}),
    "td3": Case(td3, exempt={"explore": "acts only; see test_td3"}),
    "td3_bc": Case(td3_bc),
    "cql": Case(
        cql,
        config={"hidden_q": (8, 8), "n_actions": 3},
        vary={"gap": {"lagrange": True}},
        inapplicable={
            "terminal_rows_ignore_the_next_state": "its penalty draws actions of the policy at s2"
        },
    ),
    "cql_discrete": Case(cql_discrete, discrete=True, config={"target_period": 2}),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, check: str) -> None:
    try:
        run_check(check, CASES[name])
    except Skipped as reason:
        pytest.skip(str(reason))
