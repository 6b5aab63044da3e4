"""Teachers over a box of tasks: ALP-GMM, Covar-GMM, RIAC, random."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.teachers.mixtures import AlpGmm as AlpGmm
    from rlkit.algos.bandits.teachers.mixtures import Box as Box
    from rlkit.algos.bandits.teachers.mixtures import CovarGmm as CovarGmm
    from rlkit.algos.bandits.teachers.mixtures import RandomTeacher as RandomTeacher
    from rlkit.algos.bandits.teachers.riac import Riac as Riac

__getattr__, __dir__ = lazily(__name__, __file__)
