"""Offline data and replay: episode store, samplers, readers, writers, recipes."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.data.datasets import build as build
    from rlkit.data.datasets import check as check
    from rlkit.data.datasets import list_datasets as list_datasets
    from rlkit.data.datasets import show as show
    from rlkit.data.exchange import export_d4rl as export_d4rl
    from rlkit.data.exchange import import_log as import_log
    from rlkit.data.formats.logs import Columns as Columns
    from rlkit.data.formats.minari_io import read as read
    from rlkit.data.formats.minari_io import write as write
    from rlkit.data.recorder import record as record
    from rlkit.data.replay import Replay as Replay
    from rlkit.data.sampling.prioritised import Prioritised as Prioritised
    from rlkit.data.sampling.samplers import Mixed as Mixed
    from rlkit.data.sampling.samplers import NStep as NStep
    from rlkit.data.sampling.samplers import Paired as Paired
    from rlkit.data.sampling.samplers import Uniform as Uniform
    from rlkit.data.sampling.samplers import Weighted as Weighted
    from rlkit.data.sampling.segments import Segments as Segments
    from rlkit.data.sampling.windows import Windows as Windows
    from rlkit.data.store import EpisodeStore as EpisodeStore
    from rlkit.data.transforms import Transforms as Transforms

__getattr__, __dir__ = lazily(__name__, __file__)
