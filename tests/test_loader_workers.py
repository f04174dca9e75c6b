"""DataLoader's arguments about workers, and the random numbers of its thread."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import pytest

import engine
from engine.utils.data import DataLoader, Dataset, IterableDataset


class Noisy(Dataset):
    """Items that draw, after a moment that another thread can use."""

    def __init__(self, n: int = 8, wait: float = 0.0) -> None:
        self.n, self.wait = n, wait

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self.n:
            raise IndexError
        time.sleep(self.wait)
        return engine.rand(2) + engine.nn.functional.dropout(engine.ones(2), 0.5)


def epochs(loader: DataLoader, draws: int, count: int = 2) -> tuple[list[Any], list[Any]]:
    """The batches of some epochs, and what the main thread draws between them: `draws` numbers for each batch."""
    batches, drawn = [], []
    for _ in range(count):
        for batch in loader:
            batches.append(batch.tolist())
            drawn += [engine.rand(1).item() for _ in range(draws)]
    return batches, drawn


@pytest.mark.parametrize("workers", [1, 3])
def test_draws_in_the_thread_do_not_depend_on_timing(workers: int) -> None:
    runs = []
    for wait, draws in ((0.0, 1), (0.004, 1), (0.0, 1)):
        engine.manual_seed(5)
        runs.append(epochs(DataLoader(Noisy(8, wait), 2, num_workers=workers), draws))
    assert runs[0] == runs[1] == runs[2]
    batches, _ = runs[0]
    assert batches[:4] != batches[4:]  # each epoch has its own numbers
    engine.manual_seed(6)
    assert epochs(DataLoader(Noisy(8), 2, num_workers=workers), 1)[0] != batches


def test_the_thread_leaves_the_main_state_alone() -> None:
    seen: list[Any] = []

    class Seeds(IterableDataset):
        def __iter__(self) -> Any:
            engine.manual_seed(99)
            seen.append(engine.initial_seed())
            state = engine.get_rng_state()
            first = engine.rand(1).item()
            engine.set_rng_state(state)
            assert engine.rand(1).item() == first == engine.rand(1, generator=engine.Generator().manual_seed(99)).item()
            with engine.random.fork_rng():
                engine.rand(3)
            yield first

    engine.manual_seed(5)
    engine.randint(0, 9, ())  # what the loader draws for the seed of its thread
    expected = engine.rand(3).tolist()
    engine.manual_seed(5)
    list(DataLoader(Seeds(), num_workers=2))
    assert seen == [99] and engine.initial_seed() == 5 and engine.rand(3).tolist() == expected


def test_a_persistent_worker_begins_once() -> None:
    for persistent, times in ((True, 1), (False, 3)):
        began: list[int] = []
        loader = DataLoader(Noisy(), 4, num_workers=2, persistent_workers=persistent, worker_init_fn=began.append)
        epochs(loader, 0, 3)
        assert began == [0] * times


def test_a_batch_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"\[DataLoader\] timeout: expected a batch within 0.05 seconds"):
        list(DataLoader(Noisy(2, 5.0), num_workers=1, timeout=0.05))
    assert len(list(DataLoader(Noisy(2), num_workers=1, timeout=60))) == 2


def test_arguments_are_kept_and_checked() -> None:
    context = multiprocessing.get_context("spawn")
    loader = DataLoader(
        Noisy(), num_workers=2, multiprocessing_context=context, timeout=3, pin_memory_device="cuda", in_order=False
    )
    assert loader.multiprocessing_context is context and loader.timeout == 3
    assert loader.pin_memory_device == "cuda" and loader.in_order is False and loader.prefetch_factor == 2
    assert len(list(DataLoader(Noisy(), num_workers=1, multiprocessing_context="fork"))) == 8
    for error, options in (
        (ValueError, {"multiprocessing_context": "fork"}),
        (ValueError, {"multiprocessing_context": "no such", "num_workers": 1}),
        (TypeError, {"multiprocessing_context": 3, "num_workers": 1}),
        (ValueError, {"timeout": -1, "num_workers": 1}),
    ):
        with pytest.raises(error):
            DataLoader(Noisy(), **options)  # type: ignore[arg-type]
