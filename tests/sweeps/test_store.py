from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlkit.core.errors import RunError, UsageError
from rlkit.sweeps.database import Run
from rlkit.sweeps.plan import Sweep, Variant
from rlkit.sweeps.status import status, table
from rlkit.sweeps.store import Store


def variant(system: str = "ucb", **options: object) -> Variant:
    given = {"bandit": "armed", "policy": "ucb1", "runs": 1, "checkpoints": 2, **options}
    return Variant(system, "arms", {}, "bandit", given, 100, None, given)


def training(**config: object) -> Variant:
    options = {"algo": "sac", "device": "cpu", "utd_later": 0.0}
    whole = options | {"config": {"hidden": [8], "lr": 1e-3, "batch_size": 8, **config}}
    return Variant("sac", "pendulum", dict(config), "training", whole, 100, None, whole)


def asked(*variants: Variant, seeds: tuple[int, ...] = (0, 1, 2)) -> Sweep:
    return Sweep("small", "full", seeds, 1, variants, "")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "sweep", create=True) as made:
        made.become_owner()
        yield made


def worked(store: Store, run: Run) -> None:
    """What is left of a run's work when it has ended."""
    (store.folder / run.folder).mkdir(parents=True)
    for name in ("cell.json", "config.json", "episodes.csv"):
        (store.folder / run.folder / name).write_text("{}")


def test_cells_that_differ_in_the_seed_alone_share_a_run(store: Store) -> None:
    planned = store.plan(asked(variant(), variant("moss", policy="moss")))
    assert (planned.new, planned.extended, planned.again, planned.done) == (2, 0, 0, 0)
    run = store.claim()
    assert run is not None
    assert (run.system, run.seeds, run.steps) == ("ucb", (0, 1, 2), 100)
    assert [cell["seed"] for cell in store.cells_of(run.id)] == [0, 1, 2]


def test_the_size_of_runs_can_be_bounded(store: Store) -> None:
    assert store.plan(asked(variant()), lanes=2).new == 2


def test_laned_hyper_parameters_are_stacked_and_others_not(store: Store) -> None:
    variants = [training(lr=a, batch_size=b) for a in (1e-3, 1e-4) for b in (8, 16)]
    assert store.plan(asked(*variants, seeds=(0, 1))).new == 2
    run = store.claim()
    assert run is not None
    assert run.seeds == (0, 1, 0, 1)
    assert run.options["config"]["lr"] == [1e-3, 1e-3, 1e-4, 1e-4]
    assert run.options["config"]["batch_size"] == 8
    assert store.cells_of(run.id)[2] == {"configuration": {"lr": 1e-4, "batch_size": 8}, "seed": 0}
    assert store.place(variants[2], 1) == (run.folder, 3)


def test_asking_again_adds_only_what_is_missing(store: Store) -> None:
    store.plan(asked(variant()))
    assert store.plan(asked(variant())).new == 0
    planned = store.plan(asked(variant(), seeds=(0, 1, 2, 3)))
    assert planned.new == 1
    store.claim()
    run = store.claim()
    assert run is not None
    assert run.seeds == (3,)
    assert store.claim() is None


def test_more_steps_wake_what_is_done(store: Store) -> None:
    store.plan(asked(variant()))
    run = store.claim()
    assert run is not None
    worked(store, run)
    store.finish(run, 2.0)
    assert store.counts() == {"done": 1}
    assert store.plan(asked(variant())).done == 1
    longer = dataclasses.replace(variant(), steps=500)
    assert store.plan(asked(longer)).extended == 1
    again = store.claim()
    assert again is not None
    assert (again.steps, again.reached, again.folder) == (500, 100, run.folder)
    store.finish(again, 1.0)
    assert store.plan(asked(variant())).extended == 0, "fewer steps than are done ask for nothing"


def test_changed_options_are_refused_and_nothing_is_changed(store: Store) -> None:
    store.plan(asked(variant()))
    with pytest.raises(UsageError, match=r"runs 1 there, 7 now.*another name"):
        store.plan(asked(variant("new"), variant(runs=7)))
    assert store.counts() == {"waiting": 1}


def test_cells_the_file_no_longer_asks_for_are_kept(store: Store) -> None:
    store.plan(asked(variant(), variant("moss", policy="moss")))
    assert store.plan(asked(variant())).left_out == 3


def test_failures_are_counted_kept_and_tried_again_when_asked_again(store: Store) -> None:
    store.plan(asked(variant()))
    run = store.claim()
    assert run is not None
    assert run.attempts == 0
    store.finish(run, 1.0, "ValueError: bad", again=True)
    second = store.claim()
    assert second is not None
    assert second.attempts == 1
    store.finish(second, 1.0, "ValueError: worse")
    assert store.claim() is None
    shown = table(status(store.folder))
    assert "failed: runs/ucb-arms" in shown
    assert "ValueError: worse" in shown
    assert store.plan(asked(variant())).again == 1
    third = store.claim()
    assert third is not None
    assert third.attempts == 0


def test_runs_of_a_dead_process_wait_again_and_of_a_living_one_do_not(store: Store) -> None:
    store.plan(asked(variant(), variant("moss", policy="moss")))
    mine = store.claim()
    with Store(store.folder) as other:
        other.become_owner()
        theirs = other.claim()
        assert other.claim() is None
        assert store.recover() == 0
        other._lock.close()  # as when the process is killed
        assert store.recover() == 1
    again = store.claim()
    assert mine is not None
    assert theirs is not None
    assert again is not None
    assert again.id == theirs.id
    assert again.id != mine.id


def test_no_run_is_claimed_twice(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    with Store(folder, create=True) as store:
        store.plan(asked(variant(), seeds=tuple(range(60))), lanes=1)
    claimed: list[list[int]] = [[], [], []]

    def take(mine: list[int]) -> None:
        with Store(folder) as own:
            own.become_owner()
            while (run := own.claim()) is not None:
                mine.append(run.id)
                own.finish(run, 0.0)

    threads = [threading.Thread(target=take, args=(mine,)) for mine in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain.from_iterable(claimed)) == list(range(1, 61))


def test_status_counts_cells_and_steps(store: Store) -> None:
    store.plan(asked(variant(), variant("moss", policy="moss")), lanes=1)
    for step in (100, 50):
        run = store.claim()
        assert run is not None
        if step == 100:
            store.finish(run, 4.0)
            # none is as good as deleted
            for name, text in (("cell.json", "{}"), ("config.json", "{}"), ("episodes.csv", "")):
                file = store.folder / run.folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        else:
            store.reached({run.id: step})
    found = status(store.folder)
    first = found.rows[0]
    assert (first.done, first.running, first.waiting, first.failed) == (1, 1, 1, 0)
    assert first.share == pytest.approx(0.5)
    assert found.rows[1].share == 0
    assert found.processes == 1
    assert found.seconds_left is None, "moss has not been timed"
    assert "time left unknown" in table(found)


def test_what_is_no_sweep_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a sweep's folder"):
        Store(tmp_path)
    (tmp_path / "sweep.sqlite").write_text("not a database, but long enough to be looked at" * 9)
    with pytest.raises(RunError, match="damaged"):
        Store(tmp_path)
