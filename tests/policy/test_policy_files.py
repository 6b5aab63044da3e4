"""A policy's file carries a sum over all that decides what it does; nothing else is believed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from rlkit.core.errors import RlkitError
from rlkit.data.transforms import Transforms
from rlkit.policy import onnx_file
from rlkit.policy import policy as policy_module
from rlkit.policy.onnx_graph import model
from rlkit.policy.policy import Card, Policy, read, write
from rlkit.policy.program import Operation, Program

CARD = Card("td3", 0, 3, 10, "Pendulum-v1", None, (3,), False, (1,), None, 0, None, "0.2.0")
LINEAR = Program(
    ("obs",),
    "a",
    (Operation("matmul", "z", ("obs", "w")), Operation("tanh", "a", ("z",))),
    {"w": np.arange(3, dtype=np.float32)[:, None]},
)
UNITS = Transforms(action_low=np.array([-2.0]), action_high=np.array([2.0]))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.safetensors"
    write(path, CARD, UNITS, {"mode": LINEAR})
    return path


def rewrite(path: Path, change: Any, sum_too: bool) -> None:
    """The same file with `change(content, tensors)` made, and a fitting sum if wanted."""
    with safetensors.safe_open(str(path), "numpy") as opened:
        metadata = opened.metadata()
    tensors = safetensors.numpy.load_file(path)
    content = json.loads(metadata["rlkit_policy"])
    content = change(content, tensors) or content
    text = json.dumps(content)
    metadata["rlkit_policy"] = text
    if sum_too:
        metadata["rlkit_sha256"] = policy_module._sum(text, tensors)
    safetensors.numpy.save_file(tensors, path, metadata)


def test_a_file_acts(file: Path) -> None:
    obs = np.array([[0.0, 0.1, -0.2]], np.float32)
    np.testing.assert_allclose(Policy.load(file).act(obs), 2 * np.tanh([[-0.3]]), rtol=1e-6)


@pytest.mark.parametrize("place", ["weight", "card", "bounds", "operation"])
def test_a_change_of_anything_is_found(file: Path, place: str) -> None:
    def change(content: Any, tensors: dict[str, np.ndarray]) -> None:
        if place == "weight":
            tensors["w"][1, 0] += 1e-3
        elif place == "card":
            content["card"]["env"] = "Pendulum-v0"
        elif place == "bounds":
            content["transforms"]["action_high"] = [3.0]
        else:
            content["programs"]["mode"]["operations"][1][0] = "sigmoid"

    rewrite(file, change, sum_too=False)
    with pytest.raises(
        RlkitError, match=r"policy\.safetensors is damaged.*its SHA-256 sum differs"
    ):
        read(file)
    rewrite(file, lambda *_: None, sum_too=True)
    read(file)  # the sum was all that was wrong


def put(*place: Any, value: Any) -> Any:
    def change(content: Any, tensors: Any) -> None:
        *path, last = place
        for name in path:
            content = content[name]
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("card", value=None), "card is None; an object"),
        (put("card", "lane", value="0"), "card.lane is '0'; an integer"),
        (put("card", "obs_shape", value=3), "card.obs_shape is 3; a list"),
        (put("card", "more", value=3), "card has an entry 'more'"),
        (put("programs", value={}), "its programs"),
        (put("programs", "mode", "operations", 0, value=["matmul"]), "has 1 entries, not 4"),
        (put("programs", "mode", "weights", value=["v"]), "weight 'v' is missing"),
        (put("card", "obs_shape", value=[5]), "policy.safetensors is damaged"),
        (put("card", "obs_shape", value=[1 << 40]), "too large"),
        (put("transforms", "action_low", value=["x"]), "policy.safetensors is damaged"),
        (put("format", value=99), "later rlkit, in format 99"),
        (lambda *_: [1], "the whole is [1]; an object"),
    ],
)
def test_a_content_that_is_something_else_names_file_and_field(
    file: Path, change: Any, words: str
) -> None:
    rewrite(file, change, sum_too=True)
    with pytest.raises(RlkitError) as caught:
        Policy.load(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_of_an_earlier_version_is_read(file: Path) -> None:
    rewrite(file, put("format", value=1), sum_too=True)
    with safetensors.safe_open(str(file), "numpy") as opened:
        metadata = opened.metadata()
    tensors = safetensors.numpy.load_file(file)
    safetensors.numpy.save_file(tensors, file, {"rlkit_policy": metadata["rlkit_policy"]})
    assert read(file)[0] == CARD
    safetensors.numpy.save_file(tensors, file, metadata | {"rlkit_sha256": "", "x": ""})
    with pytest.raises(RlkitError, match="sum differs"):
        read(file)


def test_a_file_of_this_version_has_its_sum(file: Path) -> None:
    with safetensors.safe_open(str(file), "numpy") as opened:
        metadata = opened.metadata()
    tensors = safetensors.numpy.load_file(file)
    safetensors.numpy.save_file(tensors, file, {"rlkit_policy": metadata["rlkit_policy"]})
    with pytest.raises(RlkitError, match=r"policy\.safetensors .*its SHA-256 sum is missing"):
        read(file)


# --- ONNX -----------------------------------------------------------------------------------------
def graph(about: str) -> bytes:
    made = model(LINEAR, UNITS, (3,), (1,), None, about, CARD.action_dtype)
    return made.SerializeToString()


def test_an_onnx_file_carries_a_sum_of_all_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    path.write_bytes(onnx_file.sealed(graph(onnx_file.describe(CARD))))
    policy = onnx_file.load(path)
    assert policy.card == CARD
    np.testing.assert_allclose(policy.act([[0.0, 0.1, -0.2]]), 2 * np.tanh([[-0.3]]), rtol=1e-6)
    data = path.read_bytes()
    about = json.loads(policy.session.get_modelmeta().custom_metadata_map["rlkit"])
    zeroed = data.replace(about["sha256"].encode(), b"0" * 64)
    assert hashlib.sha256(zeroed).hexdigest() == about["sha256"]
    weights = data.index(LINEAR.weights["w"].tobytes())
    places = [weights + 5, data.index(b"Pendulum"), data.index(b"sha256"), data.index(b"Tanh")]
    digits = data.index(about["sha256"].encode())
    for place in [*places, digits, digits + 63]:
        for flipped in (1, 4):
            damaged = bytearray(data)
            damaged[place] ^= flipped
            path.write_bytes(damaged)
            with pytest.raises(RlkitError, match=r"policy\.onnx"):
                onnx_file.load(path)


def test_an_onnx_file_without_a_sum_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "former.onnx"
    path.write_bytes(graph(json.dumps(asdict(CARD))))
    assert onnx_file.load(path).card == CARD
