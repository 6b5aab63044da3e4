"""Trained policies that ship with rlkit, and those that others keep on the Hugging Face Hub.

rlkit.zoo.entries()                       # what ships: algorithm, environment, return, origin
policy = rlkit.zoo.load("sac-hopper-v5")
rlkit.zoo.get("OWNER/REPO/NAME", "policy.safetensors")   # of the Hub; extra hub
rlkit.zoo.push("policy.safetensors", "OWNER/REPO")
"""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.zoo.finding import entries as entries
    from rlkit.zoo.finding import get as get
    from rlkit.zoo.finding import load as load
    from rlkit.zoo.hub import push as push

__getattr__, __dir__ = lazily(__name__, __file__)
