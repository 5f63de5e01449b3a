"""How much does each head give? `python -m benchmarks.ablation`.

Trains a preset and what the study compares it with, over several seeds. The validation rows choose the epoch and, among
the learning rates of an optimizer, the rate; the test rows are read once a model. What was measured is added to a JSON
file after every training, so that a study that was broken off goes on, and tables and pictures are made without one.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import tfwd
from benchmarks.ablation.pictures import draw
from benchmarks.ablation.seen import by_times_seen, times_seen
from benchmarks.ablation.tables import tables
from benchmarks.ablation.variants import PARTS, STUDIES, Study, Variant, variants
from benchmarks.documents import figures_of, put
from benchmarks.prepared import prepared_once
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.training.splits import Splits, open_splits
from tfwd.utils.files import write_text

# What is kept of a model's metrics.
KEPT = ("rows", "auc", "log_loss", "mean_label", "mean_prediction", "users", "ndcg_at_10", "gauc", "recall_at_10")


class Measured:
    """Trains variants of a study and measures them.

    Args:
        study: the data set.
        config: its preset, with what the command line changes.
    """

    def __init__(self, study: Study, config: tfwd.Config) -> None:
        self.study, self.config = study, config
        self._parts: Splits | None = None
        self._times: dict[str, NDArray[Any]] = {}

    def measure(self, variant: Variant, seed: int) -> dict[str, Any]:
        """One training: validation and test metrics, by how often was seen what a row is about, seconds, steps."""
        with tempfile.TemporaryDirectory() as folder:
            config = variant.of(self.config, seed)
            started = time.perf_counter()
            run = tfwd.fit(config, Path(folder) / "run")
            seconds = time.perf_counter() - started
            found: dict[str, Any] = {
                part: {name: round(metrics[name], 6) for name in KEPT if name in metrics}
                for part, metrics in run.metrics.items()
            }
            found["seconds"] = round(seconds, 1)
            found["epochs"] = config.train.epochs
            if "wide" in config.model.heads:
                found["weights_not_zero"] = len(run.wide_weights())
            if variant.part in ("heads", "cross"):
                found["seen"] = self._by_times_seen(run)
        keras.backend.clear_session()
        gc.collect()
        return found

    def equal(self, variant: Variant, seed: int, runs: Mapping[str, Mapping[str, Any]]) -> str | None:
        """The name of a variant that is measured already and is the same model by another name."""
        wanted = variant.of(self.config, seed)
        return next(
            (
                other.name
                for other in variants(self.study, PARTS)
                if runs.get(other.name, {}).get(str(seed), {}).get("epochs") == wanted.train.epochs
                and other.of(self.config, seed) == wanted
            ),
            None,
        )

    def _by_times_seen(self, run: tfwd.Run) -> dict[str, dict[str, dict[str, float]]]:
        # Rows are the same in every run; their inputs go by the features that a variant has.
        parts = open_splits(run.config, prepared=run.data).with_classes(run.statistics.label.classes)
        assert parts.test is not None
        if not self._times:
            self._times = {name: times_seen(parts.fit, parts.test, keys) for name, keys in self.study.seen.items()}
        scorer = keras_scorer(run.model)
        batches = [(b.label, scorer.score(b.inputs)["probability"]) for b in parts.test.batches(8192)]
        labels = np.concatenate([label[:, 0] for label, _ in batches if label is not None])
        probabilities = np.concatenate([np.reshape(answer, -1) for _, answer in batches])
        return {
            name: {
                bin: {key: round(figures[key], 6) for key in KEPT if key in figures}
                for bin, figures in by_times_seen(times, labels, probabilities).items()
            }
            for name, times in self._times.items()
        }


def main() -> None:
    """Measures what is not in the JSON yet, prints the tables, and draws where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="at the most, for a quick look")
    parser.add_argument("--rows", type=int, help="training rows at the most in all epochs, for a quick look")
    parser.add_argument("--data-path", help="a local copy of MovieLens")
    parser.add_argument("--json", type=Path, default=Path("ablation.json"), help="figures: read, and added to")
    parser.add_argument("--pictures", type=Path, help="a folder for ablation_*.png")
    parser.add_argument("--document", type=Path, help="a .md whose parts between the data sets' marks are replaced")
    parser.add_argument("--no-training", action="store_true", help="tables and pictures of what the JSON has")
    options = parser.parse_args()
    results = figures_of(options.json)
    for name in () if options.no_training else options.datasets:
        study, changes = STUDIES[name], {}
        if options.epochs:
            changes["train__epochs"] = options.epochs
        config = tfwd.Config.load(study.preset)
        if options.rows:
            changes["train__max_steps"] = max(1, options.rows // config.train.batch_size)
        if options.data_path and name == "movielens":
            changes["data__path"] = str(Path(options.data_path).absolute())
        runs = results.setdefault(name, {})
        with tempfile.TemporaryDirectory() as folder:
            changed = config.replace(**changes)
            measured = Measured(study, prepared_once(changed, Path(folder)) if changed.data.prepared else changed)
            for seed in options.seeds:
                for variant in variants(study, tuple(options.parts)):
                    own = runs.setdefault(variant.name, {})
                    if str(seed) not in own:
                        equal = measured.equal(variant, seed, runs)
                        own[str(seed)] = runs[equal][str(seed)] if equal else measured.measure(variant, seed)
                        write_text(options.json, json.dumps(results, indent=1) + "\n")
    for name in options.datasets:
        if results.get(name):
            text = tables(STUDIES[name], results[name])
            print(f"## {name}\n\n{text}")
            if options.document:
                put(text, name, options.document)
            if options.pictures:
                draw(name, STUDIES[name], results[name], options.pictures)


if __name__ == "__main__":
    main()
