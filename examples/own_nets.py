"""Any agent with torch modules of your own: an encoder before all nets, a critic in place of Q.

python examples/own_nets.py
"""

import torch
from torch import Tensor, nn

from rlkit.algos import td3_bc
from rlkit.core import Batch, Spec, resolve


class Encoder(nn.Module):
    """Positions as sines and cosines; an ordinary module that knows nothing of lanes."""

    def forward(self, s: Tensor) -> Tensor:  # [B, 2] -> [B, 8]
        return torch.cat([f(k * s) for f in (torch.sin, torch.cos) for k in (1, 3)], -1)


class Linear(nn.Module):
    """Q(s, a) linear in the action, with a slope that is linear in the state."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Linear(2, 1)

    def forward(self, s: Tensor, a: Tensor) -> Tensor:  # [B, 2], [B, 1] -> [B, 1]
        return self.slope(s) * a


spec = Spec(obs=2, act=1, seeds=(0, 1, 2), encoder=Encoder, critic=Linear)
config = resolve(td3_bc.Config(hidden=(32,), lr=1e-2, lr_q=1e-2), spec)
agent = td3_bc.Agent(spec, config)

rng = torch.Generator().manual_seed(0)
s = torch.randn(3, 256, 2, generator=rng)
a = torch.rand(3, 256, 1, generator=rng) * 2 - 1
r = s[..., 0] * a[..., 0]
for _ in range(200):
    noise = {name: torch.zeros(3, 256, 1) for name in agent.noise}
    metrics = agent.update(Batch(s, a, r, torch.zeros(3, 256), s, noise=noise), config, actor=True)
print("loss of Q in each lane:", metrics["q_loss"])
