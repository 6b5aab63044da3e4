"""Every agent honours the contract; a new algorithm is one row here."""

from collections.abc import Iterator
from typing import Any

import pytest

from rlkit.algos import (
    a2pr,
    bc,
    cal_ql,
    combo,
    cpl,
    cql,
    cql_discrete,
    decision_transformer,
    dqn,
    gail,
    heron,
    history_cql,
    iql,
    lipschitz_model,
    mbpo,
    odice,
    p_iql,
    pebble,
    pets,
    rebrac,
    sac,
    sf_regret,
    spo,
    srl,
    ss_orl,
    stock_dqn,
    td3,
    td3_bc,
    vagram,
    vpl,
    wsrl,
)
from rlkit.testing import CHECKS, Case, Skipped, run_check
from tests.algos.batches import histories, latent_rows, pairs, steps

HEADS = {  # what shows the settings of value heads
    **{name: {"head": "c51"} for name in ("bins", "low", "high")},
    "sigma": {"head": "hl_gauss"},
}
COPIES = {**HEADS, "biev": {"copies": 3}}
GGD = {**COPIES, "subset": {"copies": 1}}
SINGLE = {**HEADS, "copies": {"subset": 0}, "biev": {"copies": 3, "subset": 0}}
CLONING = {"margin": {"imitation": 1.0}, "imitation_updates": {"imitation": 1.0}}
STEPS = {"n_step": "of the draw of minibatches; see test_multistep"}
DRAWN = dict.fromkeys(
    ("n_step", "alpha", "beta", "beta_updates"), "of the draw of minibatches; see test_dqn"
)
MODEL = dict.fromkeys(
    (
        *("real_ratio", "model_every", "rollouts", "rollout_schedule", "retain", "n_models"),
        *("n_elites", "deterministic", "hidden_model", "lr_model", "decay_model", "batch_model"),
        *("holdout", "max_holdout", "patience", "max_epochs", "termination", "end_updates"),
    ),
    "of the model behind the minibatches; see test_mbpo",
)
ASKED = dict.fromkeys(
    ("pairs", "length", "teacher", "advantages", "preferences"),
    "decides what is asked before training; see test_offline",
)
REWARD = dict.fromkeys(
    (
        *("members", "bounded", "hidden_reward", "lr_reward", "batch_reward", "passes", "stop"),
        *("label_margin", "floor", "scaling"),
    ),
    "of the reward behind the minibatches; see test_reward_model",
)
PHASES = dict.fromkeys(
    (
        *("explore_steps", "neighbour", "neighbours", "novelty", "novelty_every", "budget"),
        *("per_round", "ask_every", "recent", "selector", "reset_updates", "teacher_updates"),
    ),
    "of what stands behind the minibatches; see test_pebble",
)


WINDOWS = {
    "batch": steps,
    "config": {"context": 4, "width": 6, "layers": 1, "heads": 2, "max_steps": 9, "lr": 1e-2},
    "vary": {"warmup_steps": {"warmup_steps": 3}, "width": {"heads": 1}},
    "exempt": dict.fromkeys(
        ("target", "relative", "unit", "context"),
        "decides what is asked for, or cut; see test_decision_transformer",
    ),
    "inapplicable": {"terminal_rows_ignore_the_next_state": "windows have no next states"},
}


TOLD = dict.fromkeys(
    (
        *("agent", "given", "labelled", "threshold", "hide_seed", "past", "members", "hidden_idm"),
        *("dropout_idm", "lr_idm", "steps_idm", "batch_idm", "holdout"),
    ),
    "of what completes the data; see test_ss_orl",
)
RANKED = dict.fromkeys(
    (
        *("factors", "margin", "agent", "given", "pairs", "length", "refit_every", "members"),
        *("bounded", "hidden_reward", "lr_reward", "batch_reward", "passes", "stop", "scaling"),
    ),
    "of the reward behind the minibatches; see test_heron",
)
PLAYED = dict.fromkeys(
    ("teacher", "queue", "worth", "pay", "agent", "given"),
    "of the rewards behind the minibatches; see test_spo",
)
LATENT = dict.fromkeys(
    (
        *("users", "preferences", "teacher", "pairs", "length", "user", "serve", "agent", "given"),
        *("set_size", "kl", "cycles", "hidden_vae", "lr_vae", "batch_vae", "steps_vae"),
        *("latents", "comparisons", "scaling"),
    ),
    "of the latents and rewards behind the minibatches; see test_vpl",
)
REGRET = dict.fromkeys(
    (
        *("features", "pairs", "length", "teacher", "advantages", "preferences", "statistic"),
        *("agent", "given", "policies", "gamma_sf", "hidden_sf", "lr_sf", "batch_sf", "steps_sf"),
        *("polyak_sf", "temperature", "lr_weights", "steps_weights", "scaling"),
    ),
    "of the reward behind the minibatches; see test_sf_regret",
)
NO_NEXT_STATE = {"terminal_rows_ignore_the_next_state": "segments have no next states"}
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
    "iql": Case(iql, vary={"adv_clip": {"beta": 50.0}, **HEADS}),
    "iql-discrete": Case(iql, discrete=True, vary={"adv_clip": {"beta": 50.0}, **HEADS}),
    "sac": Case(sac, vary=COPIES, exempt=STEPS),
    "sac-ggd": Case(
        sac, config={"head": "ggd", "copies": 3, "dropout": 0.1}, vary=GGD, exempt=STEPS
    ),
    "sac-c51": Case(sac, config={"head": "c51", "bins": 7}, vary=COPIES, exempt=STEPS),
    "sac-ensemble": Case(  # REDQ, DroQ and RLPD at once
        sac,
        config={"n_critics": 4, "subset": 2, "mean_critic": True, "dropout": 0.1, "norm": "before"},
        vary=SINGLE,
        exempt=STEPS,
    ),
    "sac-pixels": Case(sac, image=(10, 12), vary=COPIES, exempt=STEPS),
    "sac-edac": Case(sac, config={"n_critics": 4, "diversity": 0.7}, vary=SINGLE, exempt=STEPS),
    "wsrl": Case(wsrl, config={"n_critics": 3}, vary=SINGLE, exempt=STEPS),
    "mbpo": Case(mbpo, vary={"hidden_q": {"hidden_q": (9, 8)}, **COPIES}, exempt=MODEL | STEPS),
    "lipschitz_model": Case(
        lipschitz_model,
        vary={"draws": {"method": "uniform"}, "bound": {"method": "spectral", "bound": 0.1}},
        exempt=MODEL,
    ),
    "lipschitz_model-uniform": Case(
        lipschitz_model,
        config={"method": "uniform", "draws": 2},
        vary={"bound": {"method": "spectral", "bound": 0.1}},
        exempt=MODEL,
    ),
    "lipschitz_model-spectral": Case(
        lipschitz_model,
        config={"method": "spectral", "bound": 0.1},
        vary={name: {"method": "uniform"} for name in ("weight", "radius", "draws")},
        exempt=MODEL,
    ),
    "vagram": Case(
        vagram,
        vary={"hidden_q": {"hidden_q": (9, 8)}, **COPIES},
        exempt=MODEL
        | STEPS
        | dict.fromkeys(("form", "clip", "plain_fits"), "of the model's fit; see test_vagram"),
    ),
    "pets": Case(
        pets,
        config={
            **{"horizon": 3, "population": 12, "rounds": 2, "particles": 2, "n_models": 2},
            **{"hidden_end": (8,), "elite": 0.25, "decay": 1e-2},
        },
        exempt=dict.fromkeys(
            (
                *("horizon", "population", "rounds", "elite", "momentum", "particles"),
                *("closeness", "good", "model_every"),
            ),
            "of plans, or of the rows' weights; see test_pets",
        ),
        inapplicable={"terminal_rows_ignore_the_next_state": "its model learns every s2"},
    ),
    "srl": Case(
        srl,
        config={"length": 3, "hidden_q": (8, 8), "hidden_model": (8,)},
        exempt={"closed": "acts only; see test_srl"},
        inapplicable={"terminal_rows_ignore_the_next_state": "its model learns every s2"},
    ),
    "td3": Case(td3, vary=COPIES, exempt=STEPS | {"explore": "acts only; see test_td3"}),
    "td3-pixels": Case(
        td3, image=(2, 10, 10), vary=COPIES, exempt=STEPS | {"explore": "acts only; see test_td3"}
    ),
    "td3-ggd": Case(
        td3,
        config={"head": "ggd", "copies": 3},
        vary=COPIES,
        exempt=STEPS | {"explore": "acts only; see test_td3"},
    ),
    "td3_bc": Case(td3_bc),
    "a2pr": Case(
        a2pr,
        config={"hidden_q": (8, 8), "hidden_vae": (8, 8)},
        vary={"gate": {"threshold": 5.0}},
    ),
    "rebrac": Case(rebrac),
    "cql": Case(
        cql,
        config={"hidden_q": (8, 8), "n_actions": 3},
        vary={"gap": {"lagrange": True}, **HEADS},
        inapplicable={
            "terminal_rows_ignore_the_next_state": "its penalty draws actions of the policy at s2"
        },
    ),
    "cal_ql": Case(
        cal_ql,
        config={"hidden_q": (8, 8), "n_actions": 3},
        vary=HEADS,
        inapplicable={
            "terminal_rows_ignore_the_next_state": "its penalty draws actions of the policy at s2"
        },
    ),
    "combo": Case(
        combo,
        config={"hidden_q": (8, 8), "n_actions": 3},
        vary={"gap": {"lagrange": True}, **HEADS},
        exempt=MODEL | {"length": "of the rollouts; see test_combo"},
        inapplicable={
            "terminal_rows_ignore_the_next_state": "its penalty draws actions of the policy at s2"
        },
    ),
    "odice": Case(
        odice,
        config={"hidden_pi": (8, 8)},
        vary={"clip": {"clip": 0.2}},
        exempt={"episodes": "chooses episodes before training; see test_odice"},
    ),
    "odice-discrete": Case(
        odice,
        discrete=True,
        config={"hidden_pi": (8, 8)},
        vary={"clip": {"clip": 0.2}},
        exempt={
            "episodes": "chooses episodes before training; see test_odice",
            "squash": "of continuous actions",
        },
    ),
    "gail": Case(
        gail,
        config={"hidden_d": (8, 8)},
        vary={
            "penalty": {"one_sided": False},
            "slope": {"one_sided": False},
            "spread": {"penalise": "expert"},
            "label_high": {"label_low": 0.1},
        },
        exempt={"explore": "acts only; see test_gail"},
    ),
    "cql_discrete": Case(cql_discrete, discrete=True, config={"target_period": 2}, vary=HEADS),
    "dqn": Case(
        dqn,
        discrete=True,
        config={"target_period": 2, "epsilon_updates": 8},
        vary={**COPIES, **CLONING, "clip": {"clip": 0.02}},
        exempt=DRAWN,
    ),
    "dqn-pixels": Case(
        dqn,
        discrete=True,
        image=(10, 10, 3),
        config={"target_period": 2, "epsilon_updates": 8},
        vary={**COPIES, "clip": {"clip": 0.02}, **CLONING},
        exempt=DRAWN | {"double": "after a few updates both nets prefer the same; see dqn"},
    ),
    "dqn-imitation": Case(
        dqn,
        discrete=True,
        config={"target_period": 2, "epsilon_updates": 8, "imitation": 0.5, "copies": 2},
        vary={**COPIES, "clip": {"clip": 0.02}, "double": {"lr": 0.1}},
        exempt=DRAWN,
    ),
    "dqn-rainbow": Case(
        dqn,
        discrete=True,
        config={
            **{"target_period": 2, "epsilon_updates": 8, "bins": 7, "low": -2.0, "high": 3.0},
            **{"head": "c51", "dueling": True, "prioritised": True},
        },
        vary={
            **CLONING,
            "clip": {"clip": 0.02},
            "double": {"lr": 0.1},
            "sigma": {"head": "hl_gauss"},
            "biev": {"copies": 3},
            "huber": {"head": "scalar"},
        },
        exempt=DRAWN,
    ),
    "dqn-ggd": Case(
        dqn,
        discrete=True,
        config={**{"target_period": 2, "epsilon_updates": 8}, **{"head": "ggd", "copies": 3}},
        vary={**COPIES, **CLONING, "clip": {"clip": 0.02}, "huber": {"head": "scalar"}},
        exempt=DRAWN,
    ),
    "stock_dqn": Case(
        stock_dqn,
        discrete=True,
        config={"target_period": 2, "epsilon_updates": 8, "bins": 7, "stock_bins": 5},
        vary={
            "risk": {"utility": "exponential", "gamma": 1.0},
            "stock_low": {"relabel": 0.5},
            "utility": {"lr": 0.1},
            "double": {"lr": 0.1},
        },
        exempt=STEPS,
    ),
    "cpl": Case(
        cpl,
        batch=pairs,
        exempt=ASKED | {"bc_steps": "counted by the source; see test_cpl"},
        inapplicable=NO_NEXT_STATE,
    ),
    "cpl-reference": Case(
        cpl,
        batch=pairs,
        config={"policy": "tanh_gaussian", "reference": True, "bc_coeff": 0.5, "warmup_steps": 0},
        vary={"warmup_steps": {"warmup_steps": 3}},
        exempt=ASKED | {"bc_steps": "counted by the source; see test_cpl"},
        inapplicable=NO_NEXT_STATE,
    ),
    "cpl-discrete": Case(
        cpl,
        batch=pairs,
        discrete=True,
        exempt=ASKED | {"bc_steps": "counted by the source", "policy": "continuous heads only"},
        inapplicable=NO_NEXT_STATE,
    ),
    "decision_transformer": Case(decision_transformer, **WINDOWS),
    "decision_transformer-discrete": Case(decision_transformer, discrete=True, **WINDOWS),
    "history_cql": Case(
        history_cql,
        discrete=True,
        batch=histories,
        config={"context": 2, "latent": 6, "hidden": (8,), "target_period": 2, "huber": 0.1},
        exempt={"context": "cut by the source; see test_history_cql"},
    ),
    "ss_orl": Case(ss_orl, config={"given": "hidden=8,8"}, exempt=TOLD),
    "ss_orl-iql": Case(ss_orl, config={"agent": "iql", "given": "hidden=8,8"}, exempt=TOLD),
    "heron": Case(heron, config={"agent": "iql", "given": "hidden=8,8"}, exempt=RANKED),
    "spo": Case(spo, config={"given": "hidden=8,8"}, exempt=PLAYED),
    "vpl": Case(vpl, batch=latent_rows, config={"given": "hidden=8,8", "latent": 3}, exempt=LATENT),
    "sf_regret": Case(sf_regret, discrete=True, config={"given": "hidden=8,8"}, exempt=REGRET),
    "p_iql": Case(p_iql, vary={"adv_clip": {"beta": 50.0}, **HEADS}, exempt=ASKED | REWARD),
    "pebble": Case(
        pebble,
        vary={"hidden_q": {"hidden_q": (9, 8)}, **COPIES},
        exempt=ASKED | REWARD | PHASES | STEPS,
    ),
}


def _checks() -> Iterator[Any]:
    """Compiling costs seconds: every day of one setting of an algorithm that is quick to compile,
    of the others by `make slow`. The engine compares before it trusts a compiled update in any
    case."""
    # half a minute to two for what their own parts and a relative's checks show: never every day
    compiled = {decision_transformer, history_cql, gail, a2pr, srl, wsrl, pets}
    compiled |= {stock_dqn, vpl, combo, cal_ql, lipschitz_model, pebble}
    for name, case in CASES.items():
        for check in CHECKS:
            again = check == "compile_equals_eager" and case.module in compiled
            yield pytest.param(
                name, check, marks=[pytest.mark.slow] if again else [], id=f"{name}-{check}"
            )
        compiled.add(case.module)


@pytest.mark.parametrize(("name", "check"), list(_checks()))
def test_contract(name: str, check: str) -> None:
    try:
        run_check(check, CASES[name])
    except Skipped as reason:
        pytest.skip(str(reason))
