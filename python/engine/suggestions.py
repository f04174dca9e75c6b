"""What a user may have meant by an option that a command does not have, or by a setting that a function does not have."""

from __future__ import annotations

from collections.abc import Collection, Iterable

__all__ = ["closest", "near", "other_command", "suggestion"]

# Options of this command, and the names that scripts of transformers, scikit-learn, Keras, Lightning and fairseq have for them.
_ELSEWHERE = {
    "--lr": "learning-rate base-lr max-lr peak-lr init-lr learning-rate-init",
    "--epochs": "num-epochs num-train-epochs n-epochs nb-epoch max-epochs max-epoch train-epochs max-iter",
    "--batch-size": "per-device-train-batch-size per-device-eval-batch-size per-gpu-train-batch-size per-device-batch-size "
                    "train-batch-size eval-batch-size predict-batch-size bs bsz max-sentences",
    "--max-steps": "num-steps total-steps train-steps max-train-steps max-update num-train-steps",
    "--max-length": "max-seq-length max-seq-len max-sequence-length max-len maxlen seq-len seq-length sequence-length "
                    "block-size model-max-length max-source-length truncation-length",
    "--init": "model-name-or-path model-name model pretrained-model pretrained-model-name-or-path pretrained base-model backbone "
              "checkpoint encoder from-pretrained",
    "--output": "output-dir output-path output-file out out-dir outdir save-dir save-path save-to model-dir dest destination run-dir",
    "--overwrite": "overwrite-output-dir force",
    "--resume": "resume-from-checkpoint resume-from continue load-checkpoint ckpt-path",
    "--validation": "validation-file validation-data valid-file eval-file eval-data dev-file dev val valid eval held-out",
    "--validation-fraction": "validation-split val-split val-size dev-size validation-size eval-split val-fraction",
    "--held-out": "validation validation-file eval-file dev-file",
    "--held-out-fraction": "validation-fraction validation-split val-split",
    "--test": "test-file test-data testpref",
    "--weight-decay": "wd l2 decay",
    "--schedule": "lr-scheduler-type lr-scheduler scheduler lr-schedule learning-rate-schedule",
    "--warmup-ratio": "warmup warmup-steps num-warmup-steps warmup-proportion warmup-updates",
    "--max-grad-norm": "gradient-clipping gradient-clip-val clip clip-norm clipnorm grad-clip clip-grad-norm",
    "--gradient-accumulation": "gradient-accumulation-steps accumulate-grad-batches grad-accum grad-acc-steps update-freq",
    "--metric": "metric-for-best-model monitor scoring eval-metric",
    "--early-stopping": "early-stopping-patience patience early-stopping-rounds n-iter-no-change",
    "--checkpoint-every": "save-steps save-every save-strategy save-interval checkpoint-steps",
    "--keep-checkpoints": "save-total-limit keep-checkpoint save-optimizer save-only-model",
    "--eval-every": "eval-steps evaluation-strategy eval-strategy validate-interval",
    "--label-smoothing": "label-smoothing-factor",
    "--class-weights": "class-weight sample-weight weighted-loss",
    "--layer-wise-lr-decay": "llrd layerwise-lr-decay lr-decay",
    "--head-lr": "classifier-lr head-learning-rate",
    "--precision": "fp16 bf16 amp mixed-precision half use-amp autocast",
    "--dtype": "torch-dtype precision fp16 bf16 half",
    "--device": "no-cuda use-cpu cuda gpu gpus gpu-id accelerator device-id",
    "--threads": "n-jobs num-threads n-threads num-workers workers jobs cpus num-cpus",
    "--seed": "random-state random-seed data-seed seed-everything",
    "--tokenizer": "tokenizer-name tokenizer-path vocab vocab-file",
    "--text-column": "text-column-name text-col text-field text-key sentence-key sentence1-key input-column x-col feature-column text",
    "--pair-column": "pair sentence2-key text-pair second-text-column",
    "--label-column": "label-column-name label-col label-field label-key labels target target-column y-col label",
    "--label-separator": "multilabel-separator label-sep",
    "--group-column": "group-by groups slice-column",
    "--task": "task-name task-type problem-type",
    "--layers": "num-layers n-layers n-layer num-hidden-layers encoder-layers depth",
    "--dim": "hidden-size d-model embed-dim embedding-dim hidden-dim n-embd model-dim",
    "--heads": "num-heads n-heads n-head nhead num-attention-heads encoder-attention-heads",
    "--ff": "intermediate-size dim-feedforward ffn-dim d-ff feed-forward-dim mlp-dim",
    "--dropout": "hidden-dropout-prob dropout-rate attention-dropout attention-probs-dropout-prob classifier-dropout p-dropout",
    "--lora-rank": "lora-r lora rank use-lora peft",
    "--lora-targets": "target-modules lora-target-modules",
    "--mask": "mlm-probability masking-probability mask-prob mlm",
    "--whole-word": "wwm whole-word-mask whole-word-masking",
    "--delimiter": "sep separator csv-delimiter field-separator",
    "--columns": "names header column-names fieldnames",
    "--examples-per-class": "num-samples shots few-shot n-shots max-train-samples samples-per-class",
    "--clean": "dedup deduplicate",
    "--augment": "augmentation aug",
    "--top-k": "topk k num-labels return-all-scores top-n",
    "--input": "input-file input-path data file predict-file texts in",
    "--per-class": "classification-report report by-class",
    "--picture": "confusion-matrix plot figure",
    "--calibrated": "calibrate temperature",
    "--pooling": "pooling-mode pool classifier-pooling pooling-strategy",
    "--normalize": "normalize-embeddings l2-normalize",
    "--tensorboard": "logging-dir report-to log-dir logdir",
    "--no-progress": "disable-tqdm quiet silent q no-bar no-progress-bar",
    "--json": "output-json as-json format jsonl",
    "--trials": "n-trials num-trials n-iter n-calls",
    "--remove": "drop fix dedup deduplicate clean",
    "--similarity": "threshold near-duplicate-threshold",
}  # fmt: skip
_LONG = 5  # letters of a name from elsewhere that may be misspelled
_COMMANDS = {
    "train": "fit finetune fine-tune run", "evaluate": "eval test score validate", "predict": "infer inference classify label tag",
    "embed": "encode embedding embeddings vectorize", "export": "convert save", "search": "tune optimize sweep hpo",
    "check": "lint inspect clean", "pretrain": "mlm", "info": "env version about",
}  # fmt: skip
# Names for what is no option here, and what to do instead.
_NOT_NEEDED = {
    "do-train": "`engine train` trains", "do-eval": "`engine train` evaluates on --validation or --test; `engine evaluate` on other files",
    "do-predict": "`engine predict` answers", "train-file": "name the files after the command", "train-data": "name the files after the command",
    "dataset-name": "name the files after the command", "data-dir": "name the files after the command",
    "data-path": "name the files after the command", "load-best-model-at-end": "the best weights are always kept",
    "optimizer": "the optimizer is AdamW", "optim": "the optimizer is AdamW", "padding": "nothing is padded",
    "pad-to-max-length": "nothing is padded", "dynamic-padding": "nothing is padded", "group-by-length": "nothing is padded",
}  # fmt: skip


def suggestion(name: str, options: Collection[str], dashes: str = "--") -> str:
    """What may be meant by an unknown option, as a question or a sentence; "" if nothing is close.

    name: as the user wrote it, perhaps with underscores. options: those that there are, which begin with these dashes.
    """
    close = near(name, options, dashes)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    word = _word(name)
    return f"It is not needed: {_NOT_NEEDED[word]}." if word in _NOT_NEEDED else ""


def near(name: str, options: Collection[str], dashes: str = "--") -> list[str]:
    """The options that may be meant by an unknown one: the same by another name, or those that are spelled alike. None for a name of
    something that is not needed here. Arguments as in `suggestion`."""
    word = _word(name)
    same = [dashes + word] if dashes + word in options else []
    others = [(each, dashes + option[2:]) for option, names in _ELSEWHERE.items() for each in names.split()]
    others = [(each, option) for each, option in others if option in options]
    meant = same or [option for each, option in others if each == word]
    if meant or word in _NOT_NEEDED:
        return meant
    known = {each: option for each, option in others if len(each) >= _LONG} | {_word(each): each for each in options}
    return list(dict.fromkeys(known[each] for each in closest(word, known)))


def other_command(name: str) -> str | None:
    """The command that other programs call so; None: there is none."""
    return next((command for command, others in _COMMANDS.items() if name in others.split()), None)


def closest(word: str, names: Iterable[str]) -> list[str]:
    """The names that are spelled most alike, by the fewest letters that were left out, added, replaced or swapped with the next one; at
    most two. Otherwise those that begin with the word. None if all are too different."""
    known = sorted(names)
    distances = {each: _distance(word, each) for each in known}
    least = min(distances.values(), default=0)
    begun = [each for each in known if each.startswith(word)]
    found = [each for each in known if distances[each] == least] if least <= max(1, len(word) // 4) else begun
    return found if len(found) <= 2 else []


def _distance(a: str, b: str) -> int:
    """The distance of two words by Damerau (1964) and Levenshtein, in which each pair of letters is swapped at most once."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row, above = before, [i], row
        for j, y in enumerate(b, 1):
            cost = min(row[-1] + 1, above[j] + 1, above[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]


def _word(name: str) -> str:
    return name.lstrip("-").replace("_", "-").lower()
