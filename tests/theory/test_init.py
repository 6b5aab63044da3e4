import subprocess
import sys


def test_theory_loads_numpy_scipy_numba_only():
    code = (
        "import sys, rlkit.theory, rlkit.envs.tabular.chains, rlkit.envs.tabular.latent\n"
        "heavy = {'torch', 'gymnasium', 'matplotlib', 'minari', 'mujoco', 'stable_baselines3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
