"""MovieLens-1M beside published models: `python -m benchmarks.movielens`.

The task is that of RecBole's benchmark of context-aware models (benchmarks/configs/movielens_random.yaml), whose rows
are parted at random by a seed that is not published. A split of its own moves all models alike: so a factorization
machine is trained on the very same rows (benchmarks/factorization_machine.py), whose published figures say how much.
Then the rows get what the user gave the last 20 movies before each rating.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

import tfwd
from benchmarks import factorization_machine
from benchmarks.documents import figures_of, mean_and_spread, put
from benchmarks.prepared import prepared_once
from benchmarks.timing import markdown
from tfwd.metrics.tasks import binary_metrics
from tfwd.preparation.prepare import SPLITS
from tfwd.utils.files import write_text

CONFIG = Path(__file__).parent / "configs" / "movielens_random.yaml"
FIELDS = ("user_id", "movie_id", "movie_genres", "year", "age", "gender", "user_occupation_text")
BOTH, FM, HISTORY = "wide & deep", "factorization machine", "wide & deep, history"
# AUC and log loss in RecBole's table of ml-1m.
PUBLISHED = {"LR": (0.8699, 0.3488), "FM": (0.8935, 0.3262), "WideDeep": (0.8987, 0.3155), "DeepFM": (0.8997, 0.3150)}
PUBLISHED |= {"DCNv2": (0.9000, 0.3119), "FFM": (0.9007, 0.3103)}
# What a user gave the last 20 movies before each rating, whatever they were.
_STARS = {"stars": "cast(cast(user_rating as integer) as varchar)"}
_LIST = {"name": "ratings", "user": "user_id", "item": "stars", "time": "timestamp", "length": 20}
_OF_LIST = {"type": "categorical", "column": "ratings", "max_length": 20, "combiner": "mean", "embedding": 16}


def configurations(path: str | None, folder: Path) -> dict[str, tfwd.Config]:
    """The models by name, which read one preparation's files.

    Args:
        path: a local copy of MovieLens.
        folder: where the files go.
    """
    config = tfwd.Config.load(CONFIG)
    columns = {**config.data.columns, **_STARS}
    log = config.replace(data__path=path and str(Path(path).absolute()), data__columns=columns, data__history=[_LIST])
    plain = prepared_once(log, folder)
    features = [*(feature.model_dump(mode="json") for feature in plain.features), _OF_LIST]
    return {BOTH: plain, HISTORY: plain.replace(features=features)}


def metrics_of(config: tfwd.Config, seed: int) -> dict[str, float]:
    """Test metrics of one training."""
    with tempfile.TemporaryDirectory() as folder:
        found = tfwd.fit(config.replace(train__seed=seed), Path(folder) / "run").metrics["test"]
    return {"auc": found["auc"], "log_loss": found["log_loss"]}


def machine(folder: Path, seed: int, batch_size: int) -> dict[str, float]:
    """Test metrics of the factorization machine."""
    frames = {split: pd.read_parquet(folder / f"{split}.parquet", columns=[*FIELDS, "liked_it"]) for split in SPLITS}
    ids: dict[str, list[NDArray[np.int32]]] = {split: [] for split in SPLITS}
    bags: list[int] = []
    start = 1
    for field, name in enumerate(FIELDS):
        lists = {split: [np.atleast_1d(value) for value in frame[name]] for split, frame in frames.items()}
        known = {value: start + place for place, value in enumerate(sorted({v for row in lists["train"] for v in row}))}
        width = max(len(row) for rows in lists.values() for row in rows)
        for split, rows in lists.items():
            # What no training row has is left out, as padding is.
            matrix = np.zeros((len(rows), width), np.int32)
            for place, row in enumerate(rows):
                matrix[place, : len(row)] = [known.get(value, 0) for value in row]
            ids[split].append(matrix)
        bags += [field] * width
        start += len(known)
    labels = {split: frame["liked_it"].to_numpy(np.float32) for split, frame in frames.items()}
    splits = {split: (np.concatenate(ids[split], axis=1), labels[split]) for split in SPLITS}
    answers = factorization_machine.train(splits, start, bags, seed, batch_size)
    found = binary_metrics(splits["test"][1].astype(np.float64), answers.astype(np.float64))
    return {"auc": found["auc"], "log_loss": found["log_loss"]}


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Mean and standard deviation over the seeds, published figures below."""
    lines = []
    for name, seeds in results.items():
        cells = [mean_and_spread([found[metric] for found in seeds.values()]) for metric in ("auc", "log_loss")]
        lines.append([name, str(len(seeds)), *cells])
    lines += [[f"published: {name}", "", f"{a:.4f}", f"{loss:.4f}"] for name, (a, loss) in PUBLISHED.items()]
    return markdown(["model", "seeds", "AUC", "log loss"], lines)


def main() -> None:
    """Trains what the JSON does not have yet and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-path", help="a local copy of MovieLens-1M")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path, default=Path("movielens.json"), help="figures: read, and added to")
    parser.add_argument("--document", type=Path, help="a .md whose part between the marks of movielens is replaced")
    options = parser.parse_args()
    results = figures_of(options.json)
    with tempfile.TemporaryDirectory() as name:
        configs = configurations(options.data_path, Path(name))
        for seed in options.seeds:
            for model in (BOTH, FM, HISTORY):
                own = results.setdefault(model, {})
                if str(seed) in own:
                    continue
                started = time.perf_counter()
                batch_size = configs[BOTH].train.batch_size
                own[str(seed)] = (
                    machine(Path(name), seed, batch_size) if model == FM else metrics_of(configs[model], seed)
                )
                own[str(seed)]["seconds"] = round(time.perf_counter() - started, 1)
                write_text(options.json, json.dumps(results, indent=1) + "\n")
                keras.backend.clear_session()
                gc.collect()
    print(table(results))
    if options.document:
        put(table(results), "movielens", options.document)


if __name__ == "__main__":
    main()
