"""`rlkit.video`: the best, the median and the worst of some episodes of a policy in one clip."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np

from rlkit.core.errors import FileError, UsageError
from rlkit.core.files.reading import inside, read_json
from rlkit.core.files.replacing import make_folder, replacing
from rlkit.core.words.ranges import playable
from rlkit.envs.stepping import closed
from rlkit.run.clips import files, picture
from rlkit.run.clips.playing import Moment, Player, drawn, play, player

FOLDER, INDEX = "video", "clips.json"  # in a run folder
_HOLD = 1.0  # seconds that the last picture stays
_COLUMNS = 6  # moments of an episode on a contact sheet
_HEIGHT, _HEIGHT_OF_SHEETS = 320, 200  # pixels of a picture
_SMALLEST, _LARGEST = 32, 2_000  # pixels

Progress = Callable[[int, int], None]


class Shown(NamedTuple):
    """An episode of a clip."""

    place: str  # best, median or worst
    episode: int
    return_: float
    length: int
    end: str  # terminated, truncated or lost


class Clip(NamedTuple):
    """A clip that was written."""

    path: Path
    shown: tuple[Shown, ...]  # best first
    returns: np.ndarray  # [episodes] of all that were played


class Entry(TypedDict):
    """A clip as `clips.json` lists it."""

    file: str
    step: int
    lane: int
    seed: int
    episodes: int
    shown: list[dict[str, str | int | float | None]]
    made: NotRequired[str]


def video(
    policy: str | Path,
    out: str | Path | None = None,
    *,
    episodes: int = 3,
    seed: int = 0,
    lane: int | None = None,
    checkpoint: str | int = "best",
    env: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> Clip:
    """The clip of a policy: `episodes` are played, and the best, the median and the worst of them
    are drawn side by side, with return and step above each.

        rlkit.video("runs/sac-Hopper-v5-1a2b3c4d")
        rlkit.video("policy.safetensors", "hopper.gif", episodes=20)

    `policy` is a run folder, a file of `rlkit.export` or a model of stable-baselines3. `out` ends
    in .mp4 (needs the extra `video`), .gif, or .png for a contact sheet; by default it is
    `video/step_N.mp4` in the run folder, or beside the file. `seed` chooses start states as in
    `rlkit.evaluate`: 0 has those that the training itself was evaluated on. `size` is the height
    of a picture in pixels, by default 320, of a contact sheet 200. `progress(done, total)` counts
    steps of the drawing. Raises UsageError for an environment that draws no pictures, and
    RlkitError, naming MUJOCO_GL, where MuJoCo can draw nothing on this machine.
    """
    episodes, seed = playable(episodes, seed)
    if size is not None and not _SMALLEST <= size <= _LARGEST:
        raise UsageError(f"size {size} must lie between {_SMALLEST} and {_LARGEST} pixels")
    if out is not None:
        files.check(Path(out))
    playing = player(policy, env=env, lane=lane, checkpoint=checkpoint)
    path = Path(out) if out is not None else _usual(Path(policy), playing)
    files.check(path)
    make_folder(path.parent)  # what forbids it is said before the work
    found, returns = choose(playing, episodes, seed)
    draw = _sheet if (is_sheet := path.suffix == files.PNG) else _film
    size = size or (_HEIGHT_OF_SHEETS if is_sheet else _HEIGHT)
    draw(path, playing, found, seed, size, progress)
    clip = Clip(path, tuple(found), returns)
    if path.parent == Path(policy) / FOLDER:
        _note(clip, playing)
    return clip


def choose(playing: Player, episodes: int, seed: int) -> tuple[list[Shown], np.ndarray]:
    """The episodes to draw, best first, and the returns `[episodes]` of all that were played."""
    env = playing.make_env()
    played = []
    for number in range(episodes):
        *_, last = play(playing, env, playing.seed_of(number, seed), lambda t: False)
        played.append(Shown("", number, last.total, last.t, last.end))
    closed(env)
    order = sorted(played, key=lambda e: -math.inf if math.isnan(e.return_) else e.return_)
    places = {"best": order[-1], "median": order[len(order) // 2], "worst": order[0]}
    if episodes < 3:
        del places["median"]
    if episodes < 2:
        places = {"the episode": order[0]}
    found = [shown._replace(place=place) for place, shown in places.items()]
    return found, np.array([e.return_ for e in played])


def listed(folder: str | Path) -> list[Entry]:
    """The clips of a run folder that are there, by step."""
    path = Path(folder) / FOLDER / INDEX
    if not path.is_file():
        return []
    entries = read_json(path, "the list of a run's clips", list[Entry])
    there = [e for e in entries if _is_there(path.parent, e["file"])]
    return sorted(there, key=lambda entry: (entry["step"], entry["file"]))


def _is_there(folder: Path, name: str) -> bool:
    try:
        return inside(folder, name).is_file()
    except FileError:
        return False


def _film(
    path: Path,
    playing: Player,
    found: list[Shown],
    seed: int,
    size: int,
    progress: Progress | None,
) -> None:
    stride = max(1, math.ceil(playing.fps / files.FASTEST[path.suffix]))
    fps = playing.fps / stride
    longest = max(shown.length for shown in found)
    with files.film(path, fps) as film:
        rows = [_panels(playing, shown, seed, size, stride) for shown in found]
        last: list[picture.Panel] = []
        for number in range(longest // stride + 2):  # the end too
            panels = [next(row, None) for row in rows]
            if not any(panels):
                break
            last = [new or old for new, old in zip(panels, last or panels, strict=True)]  # type: ignore[misc]
            whole = picture.grid([last], _caption(playing), size)
            film.add(whole)
            if progress is not None:
                progress(min(number * stride, longest), longest)
        for _ in range(round(_HOLD * fps)):
            film.add(whole)


def _sheet(
    path: Path,
    playing: Player,
    found: list[Shown],
    seed: int,
    size: int,
    progress: Progress | None,
) -> None:
    rows = []
    for number, shown in enumerate(found):
        steps = np.linspace(0, shown.length, _COLUMNS).round().astype(int)
        row = list(_panels(playing, shown, seed, size, 0, set(steps.tolist())))
        rows.append(row + row[-1:] * (_COLUMNS - len(row)))
        if progress is not None:
            progress(number + 1, len(found))
    files.sheet(path, picture.grid(rows, _caption(playing), size))


def _panels(
    playing: Player,
    shown: Shown,
    seed: int,
    size: int,
    stride: int,
    steps: set[int] | None = None,
) -> Iterator[picture.Panel]:
    """Panels of one episode: at the `steps`, or every `stride`, and at its end."""

    def wanted(t: int) -> bool:
        return t == shown.length or (t in steps if steps is not None else t % stride == 0)

    env = drawn(playing, size)
    several = shown.place != "the episode"
    title = f"{shown.place} (episode {shown.episode})" if several else f"episode {shown.episode}"
    try:
        for now in play(playing, env, playing.seed_of(shown.episode, seed), wanted):
            if now.picture is not None:
                yield picture.Panel(title, _words(now), now.picture)
    finally:
        closed(env)


def _words(now: Moment) -> str:
    """What is drawn in: the return so far, the step, and how the episode ended."""
    total = f"{now.total:.0f}" if abs(now.total) >= 1000 else f"{now.total:.4g}"
    return f"return {total}  step {now.t}" + (f"  {now.end}" if now.end else "")


def _caption(playing: Player) -> str:
    step = f" · step {playing.step:,}" if playing.step >= 0 else ""
    return f"{playing.name} · seed {playing.seed}{step}"


def _usual(policy: Path, playing: Player) -> Path:
    """Where a clip goes that was given no name."""
    kind = files.MP4 if files.can_mp4() else files.GIF
    if policy.is_dir():
        return policy / FOLDER / f"step_{playing.step:09d}{kind}"
    return policy.with_suffix(kind)


def _note(clip: Clip, playing: Player) -> None:
    """Add a clip to the list of its folder, in place of one of the same name."""
    path = clip.path.parent / INDEX
    try:
        known = listed(clip.path.parents[1])
    except FileError:  # what was there is no list: it is begun anew
        known = []
    entry: Entry = {
        "file": clip.path.name,
        "step": playing.step,
        "lane": playing.lane,
        "seed": playing.seed,
        "episodes": len(clip.returns),
        "shown": [
            {
                "place": shown.place,
                "episode": shown.episode,
                "return": shown.return_ if math.isfinite(shown.return_) else None,
                "length": shown.length,
                "end": shown.end,
            }
            for shown in clip.shown
        ],
    }
    kept = [one for one in known if one["file"] != entry["file"]]
    with replacing(path) as place:
        place.write_text(json.dumps([*kept, entry], indent=1) + "\n", encoding="utf-8")
