"""The core every agent stands on: batches, lanes, streams, optimiser, targets, engine."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.core.batch import Batch as Batch
    from rlkit.core.engine import Engine as Engine
    from rlkit.core.errors import CheckpointError as CheckpointError
    from rlkit.core.errors import RlkitError as RlkitError
    from rlkit.core.errors import RunError as RunError
    from rlkit.core.errors import UsageError as UsageError
    from rlkit.core.history import Memory as Memory
    from rlkit.core.history import Past as Past
    from rlkit.core.lanes import resolve as resolve
    from rlkit.core.learner import Learner as Learner
    from rlkit.core.normaliser import Normaliser as Normaliser
    from rlkit.core.optim import Adam as Adam
    from rlkit.core.optim import step_jointly as step_jointly
    from rlkit.core.spec import Box as Box
    from rlkit.core.spec import Discrete as Discrete
    from rlkit.core.spec import Spec as Spec
    from rlkit.core.streams import Draw as Draw
    from rlkit.core.streams import Streams as Streams
    from rlkit.core.target import Target as Target

__getattr__, __dir__ = lazily(__name__, __file__)
