"""One user over a whole catalogue: `python -m benchmarks.recommend`.

The model of the MovieLens preset (3,883 items with genres and a year, the last 50 liked items, crossed with what is
shown) is trained for a moment on made-up events, and exported. Then the signature `recommend` answers one
user at a time, beside `serving_default` of the same SavedModel on the same pairs as raw strings, which are ready as
tensors, and sorted. `tfwd.server.lists` answers the same users with ONNX Runtime. They are called in turn, in a process
for each number of threads. Then wrk asks `tfwd serve`, which answers with the same lists, for them over HTTP.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.servers.load import load, script
from benchmarks.servers.session import free_port
from benchmarks.timing import markdown, side_by_side

USERS, ITEMS, HISTORY, EVENTS, K = 6040, 3883, 50, 20_000, 10
# What a request has besides the inputs of its users.
OPTIONS = ("k", "candidates", "exclude")
GENRES = tuple(f"genre {number}" for number in range(18))


def frames() -> tuple[Any, Any]:
    """Events and items, made up."""
    import pandas as pd

    generator = np.random.default_rng(0)
    items = pd.DataFrame(
        {
            "movie_id": [str(number + 1) for number in range(ITEMS)],
            "movie_title": [f"Movie {number + 1}" for number in range(ITEMS)],
            "movie_genres": [
                generator.choice(GENRES, generator.integers(1, 5), replace=False).tolist() for _ in range(ITEMS)
            ],
            "year": generator.integers(1920, 2001, ITEMS).astype(str),
        }
    )
    names = items["movie_id"].to_numpy()
    users = pd.DataFrame(
        {
            "user_id": [str(number + 1) for number in range(USERS)],
            "gender": generator.choice(["F", "M"], USERS),
            "age": generator.choice(["1", "18", "25", "35", "45", "50", "56"], USERS),
            "user_occupation_text": generator.choice([f"occupation {number}" for number in range(21)], USERS),
            "zip_region": generator.integers(0, 10, USERS).astype(str),
            "liked": [generator.choice(names, HISTORY, replace=False).tolist() for _ in range(USERS)],
        }
    )
    shown = items.iloc[generator.integers(0, ITEMS, EVENTS)].reset_index(drop=True)
    seen_by = users.iloc[generator.integers(0, USERS, EVENTS)].reset_index(drop=True)
    events = pd.concat([shown, seen_by], axis=1)
    events["label"] = (generator.random(EVENTS) < 0.2 + 0.005 * (events["year"].astype(int) - 1920)).astype(int)
    return events, items


def make(folder: Path) -> None:
    """Trains and exports; leaves the exports in `saved` and a request's arrays in `request.npz`."""
    import tfwd
    from export.onnx import writer as onnx
    from export.savedmodel import recommend
    from export.savedmodel import writer as savedmodel
    from tfwd.data.rows import Rows
    from tfwd.recommend.recommender import Recommender

    events, items = frames()
    every_id = {f"features__{column}__min_count": 1 for column in ("user_id", "movie_id")}
    preset = tfwd.Config.load("movielens").replace(**every_id)
    config = tfwd.Config(
        data=tfwd.DataConfig(label=tfwd.LabelConfig(column="label")),
        features=preset.features,
        model=preset.model,
        train=tfwd.TrainConfig(epochs=1, batch_size=1024, tensorboard=False),
        ranking=preset.ranking,
    )
    run = tfwd.fit(config, folder / "run", train=events)
    recommender = Recommender(run, items)
    rows = next(Rows(tfwd.Source.open(events), run.model.schema, labelled=False).batches(20)).inputs
    savedmodel.save(run.model, folder / "saved", name="model", rows=rows, lists=recommender.lists)
    onnx.save(run.model, folder / "saved" / "model.onnx", rows=rows, lists=recommender.lists)
    own = {entry.name: rows[entry.name] for entry in recommender.lists.scorer.user_inputs}
    asked = recommend.requests(recommender.lists, own, K)
    pairs = {f"item/{name}": values for name, values in recommender.catalogue.inputs.items()}
    arrays: dict[str, Any] = {**{f"user/{name}": values for name, values in asked.items()}, **pairs}
    np.savez(folder / "request.npz", **arrays)


@contextlib.contextmanager
def served(file: Path) -> Iterator[str]:
    """Serves a file, and gives the address to post to."""
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tfwd.serve", str(file), "--port", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{root}/readyz", timeout=60):
                break
            time.sleep(0.1)
        yield f"{root}/v1/models/{file.stem}:predict"
    finally:
        server.terminate()
        server.wait()


def users_of(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Returns the requests of 20 users, as arrays, and the raw inputs of all items."""
    arrays = dict(np.load(folder / "request.npz", allow_pickle=True))
    request = {name.removeprefix("user/"): values for name, values in arrays.items() if name.startswith("user/")}
    items = {name.removeprefix("item/"): values for name, values in arrays.items() if name.startswith("item/")}
    options = {name: request.pop(name) for name in OPTIONS}
    users = [{**{name: values[row : row + 1] for name, values in request.items()}, **options} for row in range(20)]
    return users, items


def over_http(folder: Path, rounds: int, connections: tuple[int, ...] = (1, 2, 8)) -> list[dict[str, str]]:
    """What wrk measures, by the number of connections: medians of rounds of two seconds, after the lists are compared.

    Raises:
        SystemExit: a list differs from that of `tfwd.server.lists`, or a request failed.
    """
    from tfwd.server.lists import Lists

    file, (users, _) = folder / "saved" / "model.onnx", users_of(folder)
    lists = Lists(folder / "saved" / "model.recommend.onnx")
    bodies = [
        json.dumps({"signature_name": "recommend", "inputs": {k: np.asarray(v).tolist() for k, v in user.items()}})
        for user in users
    ]
    requests = folder / "requests.lua"
    requests.write_text(script([body.encode() for body in bodies]))
    with served(file) as url:
        for user, body in zip(users, bodies, strict=True):
            with urllib.request.urlopen(url, body.encode()) as answer:
                if json.load(answer)["outputs"]["items"] != lists.recommend(user)["items"].tolist():
                    raise SystemExit("tfwd serve and tfwd.server.lists give different lists.")
        measured = [[load(url, requests, count, 2) for count in connections] for _ in range(rounds)]
    found = []
    for count, runs in zip(connections, zip(*measured, strict=True), strict=True):
        if any(run["failed"] for run in runs):
            raise SystemExit(f"Requests over {count} connections failed: {runs}")
        p50 = [run["p50"] for run in runs]
        found.append(
            {
                "connections": str(count),
                "lists a second": f"{np.median([run['rate'] for run in runs]):,.0f}",
                "p50": f"{np.median(p50):.2f} ({min(p50):.2f} to {max(p50):.2f})",
                "p99": f"{np.median([run['p99'] for run in runs]):.1f}",
            }
        )
    return found


def one_process(folder: Path, threads: int, rounds: int) -> dict[str, str]:
    """The medians in milliseconds, by contender, with TensorFlow on so many threads."""
    import tensorflow as tf

    from tfwd.features.raw_tensors import tensors
    from tfwd.server.lists import Lists

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    saved = tf.saved_model.load(str(next((folder / "saved" / "model").iterdir())))
    lists = Lists(folder / "saved" / "model.recommend.onnx")
    given, items = users_of(folder)
    requests = [tensors(user) for user in given]
    users = []
    for user in given:
        own = {name: values for name, values in user.items() if name not in OPTIONS}
        users.append(tensors({**{name: np.repeat(values, ITEMS, axis=0) for name, values in own.items()}, **items}))
    ids = np.array(items["movie_id"], object)

    def plain() -> Any:
        scores = (saved.signatures["serving_default"](**user)["logit"].numpy() for user in users)
        return [ids[np.argsort(-values, kind="stable")[:K]].tolist() for values in scores]

    def listed() -> Any:
        found = (saved.signatures["recommend"](**user)["items"].numpy()[0] for user in requests)
        return [[item.decode() for item in items] for items in found]

    def without_tensorflow() -> Any:
        return [lists.recommend(user)["items"][0].tolist() for user in given]

    named = {"serving_default and a sort": plain, "recommend": listed, "lists": without_tensorflow}
    answers = zip(*(contender() for contender in named.values()), strict=True)
    agreed = sum(all(other == found[0] for other in found) for found in answers)
    timings = side_by_side(named, rounds)
    slow, fast, light = (timings[name] for name in named)
    return {
        "threads": str(threads),
        "`serving_default` and a sort": slow.spread(1e3 / len(users)),
        "`recommend`": fast.spread(1e3 / len(users)),
        "`tfwd.server.lists`": light.spread(1e3 / len(users)),
        "times": ", ".join(f"{slow.median / other.median:.1f}" for other in (fast, light)),
        "equal lists": f"{agreed} of 20",
    }


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, threads = arguments.child
        print(json.dumps(one_process(Path(folder), int(threads), arguments.rounds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        rows = []
        for threads in arguments.threads:
            child = [sys.executable, "-m", "benchmarks.recommend", "--rounds", str(arguments.rounds)]
            done = subprocess.run(
                [*child, "--child", folder, str(threads)], check=True, stdout=subprocess.PIPE, text=True
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
        over = over_http(Path(folder), arguments.rounds)
    print(f"{ITEMS:,} items, milliseconds a user: median (least to most) of {arguments.rounds} rounds of 20 users.\n")
    print(markdown(list(rows[0]), [list(row.values()) for row in rows]))
    print("\n`tfwd serve` over HTTP, by wrk, milliseconds: median (least to most) of as many rounds of 2 s.\n")
    print(markdown(list(over[0]), [list(row.values()) for row in over]))


if __name__ == "__main__":
    main()
