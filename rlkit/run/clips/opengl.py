"""Which OpenGL MuJoCo draws with: tried out in a process of its own, as a failure may end one."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

from rlkit.core.errors import RlkitError

VARIABLE = "MUJOCO_GL"
_WINDOW = ("DISPLAY", "WAYLAND_DISPLAY")  # one of them tells of a screen
_TRIAL = """
import mujoco
context = mujoco.GLContext(32, 32)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
"""
_PATIENCE = 60  # seconds until a trial counts as failed


def choose() -> str:
    """The backend that MuJoCo draws with: $MUJOCO_GL, else the first that works of egl, osmesa and
    glfw (glfw first where there is a screen), which the variable is set to.

    Raises RlkitError naming what was tried, and what to install.
    """
    asked = os.environ.get(VARIABLE)
    if asked:
        if not works(asked):
            raise RlkitError(f"MuJoCo draws nothing with {VARIABLE}={asked}: {_remedy()}")
        return asked
    if not sys.platform.startswith("linux"):
        return "glfw"  # needs no screen there
    screen = any(os.environ.get(name) for name in _WINDOW)
    order = ("glfw", "egl", "osmesa") if screen else ("egl", "osmesa", "glfw")
    for name in order:
        if works(name):
            os.environ[VARIABLE] = name
            return name
    raise RlkitError(
        f"MuJoCo draws nothing here: none of {', '.join(order)} works ({VARIABLE} is not set); "
        f"{_remedy()}"
    )


@functools.cache
def works(name: str) -> bool:
    """Whether a picture can be made with a backend, in a process like this one."""
    given = os.environ | {VARIABLE: name}
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL], env=given, capture_output=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return False
    return trial.returncode == 0


def _remedy() -> str:
    return (
        "install Mesa's EGL (Debian and Ubuntu: libegl1 libgl1-mesa-dri) or its software renderer "
        "(libosmesa6), or run where there is a screen"
    )
