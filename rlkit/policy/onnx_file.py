"""A policy that `rlkit export` wrote as ONNX, run by onnxruntime (the extra `onnx`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.errors import RlkitError
from rlkit.core.extras import missing
from rlkit.core.reading import fit
from rlkit.data.transforms import Transforms
from rlkit.policy.policy import Card, read_card
from rlkit.policy.program import Array


class OnnxPolicy:
    """`act` takes and gives environment units, as that of `Policy`; it is deterministic."""

    def __init__(self, card: Card, session: Any) -> None:
        self.card, self.session = card, session
        self.transforms = Transforms()  # they are inside the graph

    def act(self, obs: Any) -> Array:
        """Actions of a batch of observations `[N, *obs]`."""
        return self.session.run(None, {"obs": np.asarray(obs, np.float32)})[0]


def load(path: str | Path) -> OnnxPolicy:
    """The policy in a file. Raises RlkitError for one that is missing, damaged or not of rlkit,
    UsageError when onnxruntime is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing("running ONNX", "onnx") from error
    if not Path(path).is_file():
        raise RlkitError(f"there is no file {path}")
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), quiet, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map.get("rlkit")
    except Exception as error:  # onnxruntime has a kind of its own for every cause
        raise RlkitError(f"{path} is no ONNX model: {str(error).splitlines()[0]}") from error
    try:
        values = json.loads(about or "")
        fit(values, Card, f"{path}: its card", RlkitError)
        card = read_card(values)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RlkitError(f"{path} names no policy; write it with rlkit export") from error
    return OnnxPolicy(card, session)
