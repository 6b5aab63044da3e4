"""What MkDocs calls while it builds the site: pages that are made from the sources."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import algorithm_pages
import breaks
import command_pages
import family_pages
import outside
import reference_pages
import sources
import tutorial_pages
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_PICTURES = "../benchmarks/results/"  # as docs/results.md names them


def on_config(config: Any) -> Any:
    """The menu gets an entry for each page that is made."""
    titled = {name: f"algorithms/{name}.md" for name in sources.algorithms()}
    sections = {
        "Algorithms": [
            "algorithms/index.md",
            {"Bandits": family_pages.BANDITS},
            {"Tabular methods": family_pages.TABULAR},
            *({name: path} for name, path in titled.items()),
        ],
        "Reference": [
            "reference/index.md",
            {"Command line": "reference/command-line.md"},
            {"Options of a run": "reference/options.md"},
            *({title: reference_pages.file_of(p)} for p, title in reference_pages.PACKAGES.items()),
        ],
        "Tutorials": [
            "tutorials/index.md",
            *({title: f"tutorials/{name}.md"} for name, title in tutorial_pages.titles().items()),
        ],
    }
    for entry in config.nav:
        (name,) = entry
        if name in sections:
            entry[name] = sections[name]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Pages that are made take the place of what they are made of."""
    pages = {"algorithms/index.md": algorithm_pages.index()}
    pages |= {f"algorithms/{n}.md": algorithm_pages.page(n) for n in sources.algorithms()}
    pages |= {family_pages.BANDITS: family_pages.bandits()}
    pages |= {family_pages.TABULAR: family_pages.tabular()}
    pages |= {"reference/index.md": reference_pages.index()}
    pages |= {
        reference_pages.file_of(package): reference_pages.page(package)
        for package in reference_pages.PACKAGES
    }
    pages |= {"reference/options.md": reference_pages.options()}
    pages |= {f"tutorials/{name}.md": tutorial_pages.page(name) for name in tutorial_pages.titles()}
    pages |= {"changelog.md": (sources.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}
    for path, text in pages.items():
        if (stands := files.get_file_from_path(path)) is not None:
            files.remove(stands)
        files.append(File.generated(config, path, content=text))
    for picture in sorted((sources.ROOT / "benchmarks/results").rglob("*.png")):
        where = f"assets/results/{picture.name}"
        files.append(File.generated(config, where, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Options of all commands behind their table; pictures of the records from within the site."""
    if page.file.src_uri == "reference/command-line.md":
        return f"{markdown}\n## All options\n\n{command_pages.section()}"
    if page.file.src_uri == "results.md":
        return re.sub(rf"\]\({re.escape(_PICTURES)}", "](assets/results/", markdown)
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Long names in tables may break, so that no table is wider than its text."""
    return breaks.breakable(html)


def on_post_build(config: Any) -> None:
    """Refuses a site whose pages need the network to be read."""
    if wrong := outside.faults(Path(config.site_dir)):
        raise PluginError("the site is not whole:\n" + "\n".join(wrong))
