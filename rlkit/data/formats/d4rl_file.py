"""Writing HDF5 files in D4RL's layout, which `d4rl.read` reads back."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.files.replacing import replacing
from rlkit.data.formats.meta import Meta
from rlkit.data.store import EpisodeStore


def write(store: EpisodeStore, meta: Meta, path: str | Path) -> None:
    """Write every step with its true next observation, floating numbers in float32 as D4RL's own;
    further columns go to `infos/`. The file appears whole or not at all.

    Raises UsageError where actions are not known, which the layout has no way to say.
    """
    known = store.extra.get("action_known")
    if known is not None and not known.all():
        raise UsageError(
            f"dataset {meta.dataset_id}: {(~known.astype(bool)).sum()} of {len(store)} steps have "
            "no action, which D4RL's layout cannot say"
        )
    columns = {
        "observations": store.obs,
        "next_observations": store.next_obs,
        "actions": store.action,
        "rewards": store.reward,
        "terminals": store.terminated,
        "timeouts": store.truncated,
    } | {f"infos/{name}": column for name, column in store.extra.items() if name != "action_known"}
    made = io.BytesIO()  # HDF5 takes the process down when the disk runs full
    with h5py.File(made, "w") as file:
        for name, column in columns.items():
            floating = column.dtype.kind == "f" and not name.startswith("infos/")
            data = column.astype(np.float32) if floating else column
            file.create_dataset(name, data=data, compression="gzip")
        told = {
            "dataset_id": meta.dataset_id,
            "env_id": meta.env_id or "",
            "algorithm": meta.algorithm,
            "description": meta.description,
        }
        for name, text in told.items():
            file[f"metadata/{name}"] = text
    with replacing(Path(path)) as place:
        place.write_bytes(made.getbuffer())
