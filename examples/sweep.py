"""From a question to a report: which bandit policy earns most, on easy and on hard problems?

python examples/sweep.py
"""

from pathlib import Path

import rlkit

PLAN = """
name = "shop"
seeds = "0:6"

[defaults]
steps = 500
runs = 20

[tasks.easy]
bandit = "armed(means=[0.9, 0.5, 0.5])"
[tasks.hard]
bandit = "armed(means=[0.5, 0.45, 0.45, 0.45])"

[systems]
ucb1 = { policy = "ucb1" }
thompson = { policy = "ts_beta" }
"""

file = Path("shop.toml")
file.write_text(PLAN, encoding="utf-8")
finished = rlkit.sweep(file, quiet=True)  # kill it whenever you like: the same call goes on
written = rlkit.report(finished.folder)
print("page", written.page)
for note in written.notices:
    print("note", note)
