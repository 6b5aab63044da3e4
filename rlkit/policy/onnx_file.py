"""A policy that `rlkit export` wrote as ONNX, run by onnxruntime (the extra `onnx`).

Its metadata entry `rlkit` holds the card as JSON, and in it the SHA-256 sum of the file with zeros
in place of the sum's digits.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.errors import RlkitError, WrongPathError
from rlkit.core.files.reading import fit, reading
from rlkit.core.words.extras import missing
from rlkit.data.transforms import Transforms
from rlkit.policy.policy import Card, read_card
from rlkit.policy.program import Array

_SUM = "sha256"
_DIGITS = re.compile(rb'"sha256": "([0-9a-f]{64})"')
_ZEROS = b"0" * 64


class OnnxPolicy:
    """`act` takes and gives environment units, as that of `Policy`; it is deterministic."""

    def __init__(self, card: Card, session: Any) -> None:
        self.card, self.session = card, session
        self.transforms = Transforms()  # they are inside the graph

    def act(self, obs: Any) -> Array:
        """Actions of one observation `[*obs]` or a batch `[N, *obs]`, shaped accordingly. Raises
        ValueError for an observation of another shape."""
        given, shape = np.asarray(obs, np.float32), self.card.obs_shape
        single = given.shape == shape
        batch = given[None] if single else given
        if batch.shape != (len(batch), *shape):
            raise ValueError(
                f"observations have shape {given.shape}; the policy takes {shape} or (N, *{shape})"
            )
        actions = self.session.run(None, {"obs": batch})[0]
        return actions[0] if single else actions


def describe(card: Card) -> str:
    """The metadata entry of a file that is to be sealed."""
    return json.dumps(asdict(card) | {_SUM: _ZEROS.decode()})


def sealed(data: bytes) -> bytes:
    """A file with its sum in the place of the zeros that `describe` has left."""
    return _with_digits(data, _sum(data).encode())


def _sum(data: bytes) -> str:
    return hashlib.sha256(_with_digits(data, _ZEROS)).hexdigest()


def _with_digits(data: bytes, digits: bytes) -> bytes:
    return _DIGITS.sub(b'"sha256": "' + digits + b'"', data, count=1)


def load(path: str | Path) -> OnnxPolicy:
    """The policy in a file, whose sum is compared where it has one: those of versions up to 0.1
    have none. Raises RlkitError for a file that is missing, damaged or not of rlkit, UsageError
    when onnxruntime is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing("running ONNX", "onnx") from error
    if not Path(path).is_file():
        raise WrongPathError(f"there is no file {path}")
    with reading(path, "an ONNX file", RlkitError):
        data = Path(path).read_bytes()
    stated = _DIGITS.search(data)
    if stated is not None and stated[1].decode() != _sum(data):
        raise RlkitError(
            f"{path} is damaged, or another tool has changed it: its SHA-256 sum differs; export "
            "it again"
        )
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, quiet, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map.get("rlkit")
    except Exception as error:  # onnxruntime has a kind of its own for every cause
        raise RlkitError(f"{path} is no ONNX model: {str(error).splitlines()[0]}") from error
    try:
        values = json.loads(about or "")
        if values.pop(_SUM, None) is not None and stated is None:
            raise RlkitError(f"{path} is damaged: its SHA-256 sum is none; export it again")
        fit(values, Card, f"{path}: its card", RlkitError)
        card = read_card(values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RlkitError(f"{path} names no policy; write it with rlkit export") from error
    return OnnxPolicy(card, session)
