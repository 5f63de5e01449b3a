"""A warm start on MovieLens-1M beside a cold one: `python -m benchmarks.warm_start --data-path ml-1m`.

The log of the preset is cut into two windows of time that overlap, as when a model is trained anew on the last months:
the second leaves out the first eighth of the first and goes on behind it. Users come and go as they did. All movies are
there all the time, so that what time does is exaggerated: of the second window's movies the 30% that came last are left
out of the first window, and of the first window's movies the 10% that were rated last the longest ago are left out of
the second. A row's history is made of the whole log before it.

A model of the first window (`old`) is trained, then two of the second: one that goes on from it (`warm`) and one that
does not (`cold`). Validation rows are chosen by a hash of the row: what one training learns from, none is validated on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

import tfwd
from benchmarks.documents import figures_of
from benchmarks.timing import markdown
from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.inference.evaluation import evaluate
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.preparation.prepare import prepare
from tfwd.run import Run
from tfwd.utils.files import write_text

# The windows' first and last rows, as shares of the log.
OLD, NEW = (0.0, 0.2), (0.025, 0.28)
NEW_MOVIES, GONE_MOVIES = 0.285, 0.105
FRACTION = 0.1
IDS = ("user_id", "movie_id")


class AtStart(keras.callbacks.Callback):
    """The log loss on the validation rows, and the scores of a sample of them, before the first step."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self.log_loss = float("nan")
        self.scores = self.table = np.zeros(0, np.float32)

    def on_train_begin(self, logs: Any = None) -> None:
        """Scores."""
        self.table = self.model.ranker.get_layer("deep").embeddings[0].table.numpy()
        self.log_loss, self.scores = scored(self.model, self._file)


def scored(model: Any, file: Path) -> tuple[float, np.ndarray]:
    """The log loss of a model on the validation rows of a file, and the probabilities of the first 8,192 of them."""
    rows = Rows(Source.open(file), model.schema, split="validation", fraction=FRACTION)
    scorer = keras_scorer(model)
    some = scorer.score(next(rows.batches(8192)).inputs)["probability"]
    return evaluate(scorer, rows)["log_loss"], some


def write_windows(data_path: str, folder: Path) -> dict[str, Any]:
    """Writes `old.parquet` and `new.parquet`; how much of their ids is new, and gone."""
    config = tfwd.Config.load("movielens", [f"data.path={data_path}", "data.split=null", "ranking=null"])
    prepare(config, folder)
    log = pd.read_parquet(folder / "train.parquet", columns=[*config.input_names(), "liked_it", "timestamp"])
    log = log.sort_values("timestamp", kind="stable", ignore_index=True)
    old, new = (log.iloc[int(a * len(log)) : int(b * len(log))] for a, b in (OLD, NEW))
    first = new.groupby("movie_id")["timestamp"].min().sort_values(kind="stable")
    late = set(first.index[-int(NEW_MOVIES * len(first)) :])
    old = old[~old["movie_id"].isin(late)]
    last = old.groupby("movie_id")["timestamp"].max().sort_values(kind="stable")
    new = new[~new["movie_id"].isin(last.index[: int(GONE_MOVIES * len(last))])]
    facts: dict[str, Any] = {"rows": {"old": len(old), "new": len(new)}}
    for column in IDS:
        before, now = set(old[column]), set(new[column])
        facts[column] = {
            "old": len(before),
            "new": len(now),
            "share_new": round(len(now - before) / len(now), 4),
            "share_gone": round(len(before - now) / len(before), 4),
            "share_of_rows_with_a_new_one": round(float((~new[column].isin(before)).mean()), 4),
        }
    for name, window in (("old", old), ("new", new)):
        window.to_parquet(folder / f"{name}.parquet", index=False)
    return facts


def train(
    name: str, file: Path, folder: Path, seed: int, epochs: int, origin: Run | None = None, steps: int | None = None
) -> tuple[Run, AtStart]:
    """Trains the preset's model on a window."""
    preset = tfwd.Config.load("movielens")
    every_id = preset.replace(**{f"features__{column}__min_count": 1 for column in IDS})
    options = {
        "seed": seed,
        "epochs": epochs,
        "max_steps": steps,
        "batch_size": 2048,
        "evaluate_every": None if steps is None else 10,
        "steps_per_execution": 10,
        "early_stopping": None,
        "tensorboard": False,
    }
    config = tfwd.Config(
        data=tfwd.DataConfig(train=str(file), label=tfwd.LabelConfig("liked_it"), validation_fraction=FRACTION),
        features=every_id.features,
        model=preset.model,
        train=preset.train.model_copy(update=options),
        export=tfwd.ExportConfig(formats=()),
    )
    start = AtStart(file)
    run = tfwd.fit(config, folder / name, callbacks=[start], warm_start_from=origin.path if origin else None)
    return run, start


def equal_rows(old: Run, warm: Run, start: AtStart) -> dict[str, int]:
    """How many users and movies of both vocabularies have equal embeddings in both, bit for bit, and how many not."""
    tables = {old: old.model.ranker.get_layer("deep").embeddings[0].table.numpy(), warm: start.table}
    rows: list[dict[str, np.ndarray]] = []
    for run, values in tables.items():
        # Behind the rows of OOV and missing.
        starts = {entry.feature: entry.start + 2 for entry in run.model.layout.embeddings[0].ranges}
        words = run.statistics.vocabularies
        rows.append({f"{f}={word}": values[starts[f] + n] for f in IDS for n, word in enumerate(words[f].values)})
    common = rows[0].keys() & rows[1].keys()
    same = sum(np.array_equal(rows[0][name], rows[1][name]) for name in common)
    return {"equal": same, "not_equal": len(common) - same}


def one_seed(folder: Path, seed: int, steps: int) -> dict[str, Any]:
    """The figures of one seed."""
    files = {name: folder / f"{name}.parquet" for name in ("old", "new")}
    with tempfile.TemporaryDirectory(dir=folder) as work:
        place = Path(work)
        old, _ = train("old", files["old"], place, seed, epochs=3)
        runs = {
            name: train(name, files["new"], place, seed, epochs=3, origin=origin, steps=steps)
            for name, origin in (("cold", None), ("warm", old))
        }
        end = old.metrics["validation"]["log_loss"]
        found: dict[str, Any] = {"old_end": end, "old_on_the_new_rows": scored(old.model, files["new"])[0]}
        for name, (run, start) in runs.items():
            history = pd.read_csv(run.path / "history.csv")
            found[name] = {
                "before_the_first_step": start.log_loss,
                "by_step": dict(zip(map(str, history["step"]), history["val_log_loss"], strict=True)),
                "auc_at_the_end": history["val_auc"].iloc[-1],
            }
        report = json.loads((runs["warm"][0].path / "warm_start.json").read_text())
        found["carried"] = {
            table: {key: sum(entry[key] for entry in features.values()) for key in ("carried", "new", "gone")}
            for table, features in report["tables"].items()
        }
        found["users_and_movies"] = equal_rows(old, *runs["warm"])
        _, start = train("again", files["old"], place, seed, 1, old, steps=1)
        found["same_rows_largest_difference"] = float(np.abs(start.scores - scored(old.model, files["old"])[1]).max())
    return found | ratios(found)


def ratios(found: dict[str, Any]) -> dict[str, Any]:
    """(cold - warm) / (cold - old), old the older model's end, before the first step and at the first evaluation.

    Before the first step also with the older model's log loss on the new validation rows, of which a good part is of
    users that it does not know.
    """
    cold, warm = found["cold"], found["warm"]
    first, *_, last = cold["by_step"]
    pairs = {
        "before the first step": (cold["before_the_first_step"], warm["before_the_first_step"]),
        f"step {first}": (cold["by_step"][first], warm["by_step"][first]),
    }
    before, after = pairs["before the first step"]
    same = (before - after) / (before - found["old_on_the_new_rows"])
    return {
        "nearer": {at: (c - w) / (c - found["old_end"]) for at, (c, w) in pairs.items()} | {"on the same rows": same},
        "at_the_end": {"cold": cold["by_step"][last], "warm": warm["by_step"][last]},
    }


def table(results: dict[str, Any]) -> str:
    """The figures as a Markdown table, a row a seed."""
    rows = []
    for seed, found in results["seeds"].items():
        first = next(iter(found["cold"]["by_step"]))
        rows.append(
            [
                seed,
                f"{found['old_end']:.4f}",
                *(f"{found[name]['before_the_first_step']:.4f}" for name in ("cold", "warm")),
                *(f"{found[name]['by_step'][first]:.4f}" for name in ("cold", "warm")),
                *(f"{value:.3f}" for value in found["nearer"].values()),
                *(f"{value:.4f}" for value in found["at_the_end"].values()),
            ]
        )
    step, *_, last = next(iter(results["seeds"].values()))["cold"]["by_step"]
    header = ["seed", "old, end", "cold, step 0", "warm, step 0", f"cold, step {step}", f"warm, step {step}"]
    header += [
        "nearer, step 0",
        f"nearer, step {step}",
        "nearer, same rows",
        f"cold, step {last}",
        f"warm, step {last}",
    ]
    return markdown(header, rows)


def main() -> None:
    """Adds to the JSON and prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-path", required=True, help="a local copy of MovieLens-1M")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=80, help="of the warm and the cold start")
    parser.add_argument("--json", type=Path, default=Path("warm_start.json"), help="figures: read, and added to")
    options = parser.parse_args()
    results = figures_of(options.json) or {"seeds": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results["windows"] = write_windows(options.data_path, folder)
        print(json.dumps(results["windows"], indent=1))
        for seed in options.seeds:
            results["seeds"][str(seed)] = one_seed(folder, seed, options.steps)
            write_text(options.json, json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
