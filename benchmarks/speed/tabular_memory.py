"""Peak memory of one solve beside the size of its model: 1M states, 4 actions, 50 successors.

    python benchmarks/speed/tabular_memory.py --out benchmarks/results/tabular-memory.json

Linux only: the peak of the resident set is reset once the model stands, so that it is the solve's.
What the interpreter and the compiled kernels hold beforehand is taken off both numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import solve


def status(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=1_000_000)
    parser.add_argument("--actions", type=int, default=4)
    parser.add_argument("--successors", type=int, default=50)
    parser.add_argument("--method", default="mpi")
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    small = garnet(100, args.actions, 5)
    solve(small.as_float32() if args.float32 else small, 0.99, args.method)  # compiled
    before = status("VmRSS")
    mdp = garnet(args.states, args.actions, args.successors)
    mdp = mdp.as_float32() if args.float32 else mdp
    standing = status("VmRSS") - before
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts afresh
    start = time.perf_counter()
    found = solve(mdp, 0.99, args.method)
    seconds = time.perf_counter() - start
    peak = status("VmHWM") - before
    record = {
        "command": "python " + " ".join(sys.argv),
        "versions": {n: version(n) for n in ("numpy", "scipy", "numba")},
        "model": repr(mdp),
        "method": args.method,
        "model_bytes": mdp.nbytes,
        "resident_before_bytes": standing,
        "peak_bytes": peak,
        "peak_over_model": peak / mdp.nbytes,
        "converged": found.converged,
        "gap": found.gap,
        "backups": found.backups,
        "seconds": seconds,
    }
    print(
        f"{mdp}: {mdp.nbytes / 1e9:.2f} GB; peak of the solve {peak / 1e9:.2f} GB, "
        f"{record['peak_over_model']:.3f} times the model; {found.backups:.1f} backups, "
        f"{seconds:.1f} s, converged: {found.converged}"
    )
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
