"""Bonuses for what is new, apart from the learners: counts, RND, NovelD, E3B and their products."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.exploration.bonus import Bonus as Bonus
    from rlkit.exploration.wrapper import BonusReward as BonusReward

__getattr__, __dir__ = lazily(__name__, __file__)
