"""A training: options, loops, run folders, evaluation, export."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.run.policies.evaluation import evaluate_file as evaluate_file
    from rlkit.run.policies.evaluation import evaluate_run as evaluate_run
    from rlkit.run.settings.options import Options as Options
    from rlkit.run.train import Result as Result
    from rlkit.run.train import resume as resume

__getattr__, __dir__ = lazily(__name__, __file__)
