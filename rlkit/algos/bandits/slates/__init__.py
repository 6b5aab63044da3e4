"""Slates of items: a variational model of clicks and Thompson sampling within the slate."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.slates.model import SlateModel as SlateModel
    from rlkit.algos.bandits.slates.thompson import SlateRecommender as SlateRecommender
    from rlkit.algos.bandits.slates.thompson import play_slates as play_slates

__getattr__, __dir__ = lazily(__name__, __file__)
