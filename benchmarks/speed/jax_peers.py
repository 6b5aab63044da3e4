"""IQL, TD3+BC, SAC and ReBRAC as one jitted function an update, as JAX-CORL and SBX write them.

Raw parameter trees, optax's Adam, losses averaged over the minibatch, state donated, minibatches
drawn inside from rows that live with XLA. `scan` puts several updates into one call. The equations
and sizes are those of rlkit's files of the same names; nets are 2x256 ReLU (ReBRAC: 3x256, with
LayerNorm in the critics).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

GAMMA, POLYAK, BATCH = 0.99, 0.005, 256


class Rows(NamedTuple):
    s: jax.Array
    a: jax.Array
    r: jax.Array
    done: jax.Array
    s2: jax.Array
    a2: jax.Array


def mlp_init(key: jax.Array, widths: list[int], norm: bool = False) -> list[dict[str, jax.Array]]:
    layers = []
    for k, n_in, n_out in zip(
        jax.random.split(key, len(widths) - 1), widths[:-1], widths[1:], strict=True
    ):
        bound = 1 / math.sqrt(n_in)
        layer = {
            "w": jax.random.uniform(k, (n_in, n_out), minval=-bound, maxval=bound),
            "b": jnp.zeros(n_out),
        }
        if norm and n_out != widths[-1]:
            layer |= {"gain": jnp.ones(n_out), "shift": jnp.zeros(n_out)}
        layers.append(layer)
    return layers


def mlp(layers: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
        if "gain" in layer:
            mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(var + 1e-5) * layer["gain"] + layer["shift"]
    return x @ layers[-1]["w"] + layers[-1]["b"]


def twin_init(key: jax.Array, widths: list[int], norm: bool = False) -> Any:
    return jax.vmap(lambda k: mlp_init(k, widths, norm))(jax.random.split(key, 2))


def twin(critics: Any, s: jax.Array, a: jax.Array) -> jax.Array:  # [2, B]
    sa = jnp.concatenate([s, a], -1)
    return jax.vmap(mlp, (0, None))(critics, sa)[..., 0]


def follow(target: Any, net: Any) -> Any:
    return jax.tree.map(lambda t, p: (1 - POLYAK) * t + POLYAK * p, target, net)


def stepper(lr: float) -> Callable[..., tuple[Any, Any, jax.Array, Any]]:
    adam = optax.adam(lr)

    def step(net: Any, moments: Any, loss: Callable, has_aux: bool = False) -> Any:
        value, grads = jax.value_and_grad(loss, has_aux=has_aux)(net)
        updates, moments = adam.update(grads, moments)
        return optax.apply_updates(net, updates), moments, value

    return step


def tanh_normal(pi: Any, s: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean, log_std = jnp.split(mlp(pi, s), 2, -1)
    log_std = jnp.clip(log_std, -20, 2)
    eps = jax.random.normal(key, mean.shape)
    u = mean + jnp.exp(log_std) * eps
    log_prob = -0.5 * eps**2 - log_std - 0.5 * math.log(2 * math.pi)
    log_prob = log_prob - 2 * (math.log(2) - u - jax.nn.softplus(-2 * u))
    return jnp.tanh(u), log_prob.sum(-1)


State = dict[str, Any]


def iql(obs: int, act: int, key: jax.Array) -> tuple[State, Callable]:
    k1, k2, k3 = jax.random.split(key, 3)
    q = twin_init(k1, [obs + act, 256, 256, 1])
    v, mean = mlp_init(k2, [obs, 256, 256, 1]), mlp_init(k3, [obs, 256, 256, act])
    pi = {"mean": mean, "log_std": jnp.zeros(act)}
    adam = optax.adam(3e-4)
    state = {"q": q, "q_bar": jax.tree.map(jnp.copy, q), "v": v, "pi": pi}
    state |= {"m" + name: adam.init(state[name]) for name in ("q", "v", "pi")}
    step = stepper(3e-4)

    def update(x: State, b: Rows, key: jax.Array, t: jax.Array) -> tuple[State, jax.Array]:
        q = twin(x["q_bar"], b.s, b.a).min(0)

        def v_loss(v: Any) -> jax.Array:
            u = q - mlp(v, b.s)[:, 0]
            return (jnp.abs(0.7 - (u < 0)) * u**2).mean()

        adv = q - mlp(x["v"], b.s)[:, 0]
        y = b.r + GAMMA * (1 - b.done) * mlp(x["v"], b.s2)[:, 0]
        weight = jnp.minimum(jnp.exp(3 * adv), 100.0)

        def pi_loss(pi: Any) -> jax.Array:
            log_std = jnp.clip(pi["log_std"], -5, 2)
            eps = (b.a - jnp.tanh(mlp(pi["mean"], b.s))) / jnp.exp(log_std)
            return (weight * (0.5 * eps**2 + log_std).sum(-1)).mean()

        new = dict(x)
        new["v"], new["mv"], loss = step(x["v"], x["mv"], v_loss)
        new["pi"], new["mpi"], _ = step(x["pi"], x["mpi"], pi_loss)
        new["q"], new["mq"], _ = step(
            x["q"], x["mq"], lambda q: ((twin(q, b.s, b.a) - y) ** 2).mean(-1).sum()
        )
        new["q_bar"] = follow(x["q_bar"], new["q"])
        return new, loss

    return state, update


def sac(obs: int, act: int, key: jax.Array) -> tuple[State, Callable]:
    k1, k2 = jax.random.split(key)
    q, pi = twin_init(k1, [obs + act, 256, 256, 1]), mlp_init(k2, [obs, 256, 256, 2 * act])
    adam = optax.adam(3e-4)
    state = {"q": q, "q_bar": jax.tree.map(jnp.copy, q), "pi": pi, "la": jnp.zeros(())}
    state |= {"m" + name: adam.init(state[name]) for name in ("q", "pi", "la")}
    step = stepper(3e-4)

    def update(x: State, b: Rows, key: jax.Array, t: jax.Array) -> tuple[State, jax.Array]:
        k1, k2 = jax.random.split(key)
        alpha = jnp.exp(x["la"])
        a2, log_prob2 = tanh_normal(x["pi"], b.s2, k1)
        v2 = twin(x["q_bar"], b.s2, a2).min(0) - alpha * log_prob2
        y = b.r + GAMMA * (1 - b.done) * v2
        new = dict(x)
        new["q"], new["mq"], loss = step(
            x["q"], x["mq"], lambda q: ((twin(q, b.s, b.a) - y) ** 2).mean(-1).sum()
        )

        def pi_loss(pi: Any) -> tuple[jax.Array, jax.Array]:
            a, log_prob = tanh_normal(pi, b.s, k2)
            return (alpha * log_prob - twin(new["q"], b.s, a).min(0)).mean(), log_prob.mean()

        new["pi"], new["mpi"], (_, log_prob) = step(x["pi"], x["mpi"], pi_loss, has_aux=True)
        new["la"], new["mla"], _ = step(x["la"], x["mla"], lambda la: -la * (log_prob - act))
        new["q_bar"] = follow(x["q_bar"], new["q"])
        return new, loss

    return state, update


def smoothed(pi: Any, s: jax.Array, key: jax.Array) -> jax.Array:
    a = jnp.tanh(mlp(pi, s))
    eps = jnp.clip(0.2 * jax.random.normal(key, a.shape), -0.5, 0.5)
    return jnp.clip(a + eps, -1, 1)


def td3_like(obs: int, act: int, key: jax.Array, rebrac: bool) -> tuple[State, Callable]:
    """TD3+BC, or ReBRAC; policy and targets move once in two updates, in a branch."""
    k1, k2 = jax.random.split(key)
    hidden, lr = ([256] * 3, 1e-3) if rebrac else ([256] * 2, 3e-4)
    q = twin_init(k1, [obs + act, *hidden, 1], norm=rebrac)
    pi = mlp_init(k2, [obs, *hidden, act])
    adam = optax.adam(lr)
    state = {"q": q, "q_bar": jax.tree.map(jnp.copy, q)}
    state |= {"pi": pi, "pi_bar": jax.tree.map(jnp.copy, pi)}
    state |= {"mq": adam.init(q), "mpi": adam.init(pi)}
    step = stepper(lr)

    def actor(x: State, b: Rows) -> State:
        def pi_loss(pi: Any) -> jax.Array:
            a = jnp.tanh(mlp(pi, b.s))
            qs = twin(x["q"], b.s, a)
            value = qs.min(0) if rebrac else qs[0]
            far = ((a - b.a) ** 2).sum(-1).mean() * 0.01 if rebrac else ((a - b.a) ** 2).mean()
            scale = jax.lax.stop_gradient(jnp.abs(value).mean()) / (1.0 if rebrac else 2.5)
            return far - value.mean() / scale

        new = dict(x)
        new["pi"], new["mpi"], _ = step(x["pi"], x["mpi"], pi_loss)
        new["pi_bar"] = follow(x["pi_bar"], new["pi"])
        new["q_bar"] = follow(x["q_bar"], x["q"])
        return new

    def update(x: State, b: Rows, key: jax.Array, t: jax.Array) -> tuple[State, jax.Array]:
        a2 = smoothed(x["pi_bar"], b.s2, key)
        v2 = twin(x["q_bar"], b.s2, a2).min(0)
        if rebrac:
            v2 = v2 - 0.01 * ((a2 - b.a2) ** 2).sum(-1)
        y = b.r + GAMMA * (1 - b.done) * v2
        new = dict(x)
        new["q"], new["mq"], loss = step(
            x["q"], x["mq"], lambda q: ((twin(q, b.s, b.a) - y) ** 2).mean(-1).sum()
        )
        return jax.lax.cond(t % 2 == 1, lambda x: actor(x, b), dict, new), loss

    return state, update


AGENTS = {
    "iql": iql,
    "sac": sac,
    "td3_bc": partial(td3_like, rebrac=False),
    "rebrac": partial(td3_like, rebrac=True),
}


def runner(algorithm: str, obs: int, act: int, rows: Rows, a_call: int) -> Callable[[], object]:
    """A function that runs `a_call` updates, minibatches drawn inside, and waits for them."""
    state, update = AGENTS[algorithm](obs, act, jax.random.key(0))

    def one(carry: Any, _: None) -> Any:
        x, key, t = carry
        key, draw, noise = jax.random.split(key, 3)
        index = jax.random.randint(draw, (BATCH,), 0, rows.r.shape[0])
        x, loss = update(x, jax.tree.map(lambda c: c[index], rows), noise, t)
        return (x, key, t + 1), loss

    @partial(jax.jit, donate_argnums=0)
    def several(carry: Any) -> Any:
        if a_call == 1:
            return one(carry, None)
        return jax.lax.scan(one, carry, None, length=a_call)

    carry: Any = (state, jax.random.key(1), jnp.zeros((), jnp.int32))

    def run() -> object:
        nonlocal carry
        carry, loss = several(carry)
        return loss.block_until_ready()

    return run
