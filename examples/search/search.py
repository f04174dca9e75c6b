"""Search hyper-parameters for BANKING77: a small model from scratch, judged on a held-out tenth of the training set.

    python examples/search/search.py --trials 16 --output runs/search

If it is stopped and started again, it continues. It does not read the test set; to measure the test accuracy, train with best.toml.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine.runs import SearchSpace, StartConfig, TextData, search, train_text
from engine.tasks import TaskConfig
from engine.train import Callback, TrainerConfig

HERE = Path(__file__).parent
DATA = TextData(train=(str(HERE.parent / "banking77" / "train.csv"),), vocab_size=4000)


def train(settings: dict[str, Any], callbacks: tuple[Callback, ...]) -> float:
    """Returns the accuracy on the held-out tenth; deletes the run folder."""
    settings = dict(settings)
    start = StartConfig(sizes=settings.pop("model", {}))
    task = TaskConfig(**{name: settings.pop(name) for name in ("label_smoothing", "token_dropout") if name in settings})
    folder = tempfile.mkdtemp()
    try:
        config = TrainerConfig.from_dict({**settings, "checkpoint_every": 0})
        report = train_text(DATA, config, folder, task=task, start=start, callbacks=callbacks)
    finally:
        shutil.rmtree(folder)
    return float(report["held_out"]["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--output", default="runs/search", help="folder of the search; an earlier search in it continues"
    )
    arguments = parser.parse_args()
    result = search(
        train,
        SearchSpace.from_toml(HERE / "space.toml"),
        arguments.output,
        trials=arguments.trials,
        seed=arguments.seed,
        on_trial=lambda trial: print(trial, file=sys.stderr),
    )
    print((Path(arguments.output) / "trials.md").read_text())
    print(f"best: trial {result.number}, held-out accuracy {result.value:.4f}")


if __name__ == "__main__":
    main()
