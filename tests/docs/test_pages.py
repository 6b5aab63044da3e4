"""Every block of the documents runs, every link leads somewhere, every task is near the start."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from rlkit.data.formats import minari_local
from rlkit.sweeps import plan

from .pages import DOCS, ROOT, anchors, blocks, links, pages, written

WITH_CODE = sorted(
    name for name, text in written().items() if any(b.kind == "python" for b in blocks(text))
)
WITH_SWEEPS = sorted(
    name for name, text in written().items() if any(b.kind == "toml" for b in blocks(text))
)


@pytest.mark.parametrize("name", WITH_CODE)
def test_the_python_of_a_page_runs_in_order(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder with the files that the page shows by their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    names: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(written()[name])):
        if block.title:
            Path(block.title).parent.mkdir(exist_ok=True)
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            exec(compile(block.text, f"{name}, block {number}", "exec"), names)


@pytest.mark.parametrize("name", WITH_SWEEPS)
def test_the_sweep_files_of_a_page_are_valid(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(written()[name]):
        if block.kind == "toml":
            assert block.title.endswith(".toml")
            Path(block.title).write_text(block.text, encoding="utf-8")
            for budget in (None, *tomllib.loads(block.text).get("budgets", {})):
                assert plan.read(block.title, budget).cells > 0


def test_the_algorithm_that_a_page_writes_keeps_the_contract(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mine/clone.py` of the page trains, and its lanes are what they would be alone."""
    import rlkit
    from rlkit.testing import check_agent

    assert minari_local.exists(dataset)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (block,) = [b for b in blocks(written()["how-to/own-algorithm.md"]) if b.title]
    Path("mine").mkdir()
    Path(block.title).write_text(block.text, encoding="utf-8")
    result = rlkit.train(
        "mine.clone", dataset=dataset, steps=20, eval_every=10, eval_episodes=1, quiet=True
    )
    assert result.step == 20
    import mine.clone  # type: ignore[import-not-found]

    check_agent(mine.clone, config={"hidden": (8, 8), "batch_size": 8})


def test_links_within_the_site_lead_somewhere() -> None:
    known = pages()
    heads = {name: anchors(text) for name, text in known.items()}
    wrong = []
    for name, text in known.items():
        for target, heading in links(name, text):
            if target.startswith(("assets/results/", "benchmarks/results/")):
                assert (ROOT / "benchmarks/results" / Path(target).name).exists(), (name, target)
            elif target in known:
                if heading and heading not in heads[target] and not heading.startswith("rlkit."):
                    wrong.append(f"{name}: {target}#{heading}")
            elif not (DOCS / target).is_file():
                wrong.append(f"{name}: {target}")
    assert not wrong, "\n".join(wrong)


# What a person who knows one peer looks for -> the page that answers, and a heading on it.
TASKS = {
    "install it on my system": ("install.md", "windows"),
    "train my first agent": ("start.md", "train"),
    "what is learning_starts called here?": ("coming-from.md", "stable-baselines3"),
    "what is pscore called here?": ("coming-from.md", "obp"),
    "train offline on a dataset": ("guides/train.md", "offline-from-a-dataset"),
    "a callback that stops early": ("guides/train.md", "look-at-a-run"),
    "use my own environment": ("how-to/own-environment.md", "what-rlkit-asks-of-it"),
    "make a dataset of my logs": ("how-to/own-dataset.md", "from-arrays-your-own-logs"),
    "read a D4RL file": ("how-to/own-dataset.md", "d4rl"),
    "put my network into SAC": ("how-to/own-nets.md", ""),
    "write my own algorithm": ("how-to/own-algorithm.md", "the-rules"),
    "learn from a person's preferences": ("how-to/reward-model.md", "answers-of-a-person"),
    "compare agents on several tasks": ("guides/sweeps.md", "plan-run-report"),
    "search hyper-parameters": ("how-to/sweep-files.md", "search"),
    "use a cluster": ("how-to/ray.md", ""),
    "train many seeds on a GPU": ("how-to/gpu.md", ""),
    "go on with a run that was stopped": ("how-to/resume.md", "stop"),
    "see what my policy does": ("how-to/watch.md", "a-clip"),
    "watch how my training goes": ("how-to/read-a-report.md", "while-it-trains"),
    "log to Weights & Biases": ("how-to/trackers.md", "your-own"),
    "tuned settings for my task": ("guides/train.md", "settings-that-work"),
    "download a dataset": ("how-to/own-dataset.md", "minari"),
    "plot two runs together": ("how-to/read-a-report.md", "of-runs"),
    "learn from images": ("how-to/pixels.md", "the-net"),
    "a policy that is trained already": ("how-to/zoo.md", "those-that-ship"),
    "deploy a policy without torch": ("how-to/deploy.md", "one-file-numpy-alone"),
    "equations and settings of IQL": ("algorithms/iql.md", "settings"),
    "the best action of my finite model": ("how-to/own-mdp.md", "from-arrays"),
    "what would another policy have earned?": ("how-to/off-policy.md", "which-estimator"),
    "run LinUCB on my own stream": ("how-to/bandits.md", "with-features"),
    "what does 'not resolved' mean?": ("how-to/read-a-report.md", "three-questions"),
    "the arguments of rlkit.train": ("reference/rlkit.md", ""),
}


def test_tasks_are_found_from_the_start_page_within_two_clicks() -> None:
    """By the links in the text alone, without the menu."""
    known = pages()
    one = {target for target, _ in links("index.md", known["index.md"])}
    two = one | {target for page in one & known.keys() for target, _ in links(page, known[page])}
    assert len(TASKS) >= 20
    for task, (page, heading) in TASKS.items():
        assert page in two, task
        assert not heading or heading in anchors(known[page]), (task, heading)


def test_every_page_is_linked_from_another() -> None:
    known = pages()
    linked = {target for name, text in known.items() for target, _ in links(name, text)}
    assert known.keys() - linked <= {"index.md", "changelog.md"}
