"""Clips as files: MP4 by ffmpeg, GIF and PNG by Pillow. A file appears when it is whole."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from rlkit.core.errors import FileError, UsageError
from rlkit.core.files.replacing import make_folder, replacing
from rlkit.core.words.extras import missing

MP4, GIF, PNG = ".mp4", ".gif", ".png"
FASTEST = {MP4: 30.0, GIF: 15.0}  # pictures a second at most


class Film(Protocol):
    """What takes pictures of one shape."""

    def add(self, picture: np.ndarray) -> None: ...


def can_mp4() -> bool:
    """Whether the extra that writes MP4 is there."""
    return importlib.util.find_spec("imageio_ffmpeg") is not None


def check(path: Path) -> None:
    """Raises UsageError for a file that is named otherwise, or whose writer is not installed."""
    if path.suffix not in (MP4, GIF, PNG):
        raise UsageError(f"{path} must end in {MP4}, {GIF}, or {PNG} (a contact sheet)")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the file that the clip is to become")
    if path.suffix == MP4 and not can_mp4():
        raise missing(f"writing {path.name} (a .gif does not)", "video")


@contextlib.contextmanager
def film(path: Path, fps: float) -> Iterator[Film]:
    """A film that takes pictures and stands at `path` when the block ends well."""
    make_folder(path.parent)
    with replacing(path) as place:
        made: _Mp4 | _Gif = _Mp4(place, fps) if path.suffix == MP4 else _Gif(place, fps)
        try:
            yield made
        except BaseException:
            made.drop()
            raise
        made.close()


def sheet(path: Path, picture: np.ndarray) -> None:
    """Write one picture as PNG."""
    make_folder(path.parent)
    with replacing(path) as place:
        Image.fromarray(picture).save(place, format="PNG", optimize=True)


class _Mp4:
    """H.264 in the colours that browsers show, its index at the front."""

    def __init__(self, place: Path, fps: float) -> None:
        self.place, self.fps = place, fps
        self.pipe: Any = None

    def add(self, picture: np.ndarray) -> None:
        if self.pipe is None:
            import imageio_ffmpeg

            height, width = picture.shape[:2]
            self.pipe = imageio_ffmpeg.write_frames(
                str(self.place),
                (width, height),
                fps=self.fps,
                codec="libx264",
                macro_block_size=2,
                output_params=["-f", "mp4", "-movflags", "+faststart", "-preset", "fast"],
            )
            self.pipe.send(None)
        try:
            self.pipe.send(np.ascontiguousarray(picture))
        except OSError as error:
            raise FileError(f"ffmpeg could not go on: {' '.join(str(error).split())}") from error

    def close(self) -> None:
        if self.pipe is not None:
            self.pipe.close()

    drop = close


class _Gif:
    def __init__(self, place: Path, fps: float) -> None:
        self.place, self.duration = place, max(20, 10 * round(100 / fps))  # ms, in hundredths
        self.pictures: list[Image.Image] = []

    def add(self, picture: np.ndarray) -> None:
        self.pictures.append(Image.fromarray(picture).quantize(128))

    def close(self) -> None:
        first, *rest = self.pictures
        first.save(
            self.place,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=self.duration,
            loop=0,
        )

    def drop(self) -> None:
        self.pictures.clear()
