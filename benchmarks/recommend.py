"""One user over a whole catalogue: `python -m benchmarks.recommend`.

The model of the MovieLens preset (3,883 items with genres and a year, the last 50 liked items, crossed with what is
shown) is trained for a moment on made-up events, and exported. Then the signature `recommend` answers one
user at a time, beside `serving_default` of the same SavedModel on the same pairs as raw strings, which are ready as
tensors, and sorted. `tfwd.server.lists` answers the same users with ONNX Runtime, `tfwd serve` does so over HTTP, to
a client of Python's standard library. They are called in turn, in a process for each number of threads.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import markdown, side_by_side

USERS, ITEMS, HISTORY, EVENTS, K = 6040, 3883, 50, 20_000, 10
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
def over_http(file: Path) -> Iterator[Callable[[bytes], Any]]:
    """Serves a file, and gives what asks it for lists over one connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "tfwd.serve", str(file), "--port", str(port)], stderr=subprocess.DEVNULL
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(body: bytes) -> Any:
        connection.request("POST", f"/v1/models/{file.stem}:predict", body)
        return json.loads(connection.getresponse().read())["outputs"]

    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                connection.request("GET", "/readyz")
                found = connection.getresponse()
                found.read()
                if found.status == 200:
                    break
            connection.close()
            time.sleep(0.1)
        yield ask
    finally:
        connection.close()
        server.terminate()
        server.wait()


def one_process(folder: Path, threads: int, rounds: int) -> dict[str, str]:
    """The medians in milliseconds, by contender, with TensorFlow on so many threads."""
    import tensorflow as tf

    from tfwd.features.raw_tensors import tensors
    from tfwd.server.lists import Lists

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    saved = tf.saved_model.load(str(next((folder / "saved" / "model").iterdir())))
    lists = Lists(folder / "saved" / "model.recommend.onnx")
    arrays = dict(np.load(folder / "request.npz", allow_pickle=True))
    request = {name.removeprefix("user/"): values for name, values in arrays.items() if name.startswith("user/")}
    items = {name.removeprefix("item/"): values for name, values in arrays.items() if name.startswith("item/")}
    options = ("k", "candidates", "exclude")
    users, requests, given = [], [], []
    for row in range(20):
        one = {name: values[row : row + 1] for name, values in request.items() if name not in options}
        given.append({**one, **{name: request[name] for name in options}})
        requests.append(tensors({**one, **{name: request[name] for name in options}}))
        users.append(tensors({**{name: np.repeat(values, ITEMS, axis=0) for name, values in one.items()}, **items}))
    ids = np.array(items["movie_id"], object)

    def plain() -> Any:
        scores = (saved.signatures["serving_default"](**user)["logit"].numpy() for user in users)
        return [ids[np.argsort(-values, kind="stable")[:K]].tolist() for values in scores]

    def listed() -> Any:
        found = (saved.signatures["recommend"](**user)["items"].numpy()[0] for user in requests)
        return [[item.decode() for item in items] for items in found]

    def without_tensorflow() -> Any:
        return [lists.recommend(user)["items"][0].tolist() for user in given]

    def http_body(user: dict[str, Any]) -> bytes:
        inputs = {name: np.asarray(values).tolist() for name, values in user.items()}
        return json.dumps({"signature_name": "recommend", "inputs": inputs}).encode()

    bodies = [http_body(user) for user in given]
    with over_http(folder / "saved" / "model.onnx") as ask:

        def served() -> Any:
            return [ask(body)["items"][0] for body in bodies]

        named = {
            "serving_default and a sort": plain,
            "recommend": listed,
            "lists": without_tensorflow,
            "tfwd serve": served,
        }
        answers = zip(*(contender() for contender in named.values()), strict=True)
        agreed = sum(all(other == found[0] for other in found) for found in answers)
        timings = side_by_side(named, rounds)
    slow, fast, light, over = (timings[name] for name in named)
    return {
        "threads": str(threads),
        "`serving_default` and a sort": slow.spread(1e3 / len(users)),
        "`recommend`": fast.spread(1e3 / len(users)),
        "`tfwd.server.lists`": light.spread(1e3 / len(users)),
        "`tfwd serve`": over.spread(1e3 / len(users)),
        "times": ", ".join(f"{slow.median / other.median:.1f}" for other in (fast, light, over)),
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
    print(f"{ITEMS:,} items, milliseconds a user: median (least to most) of {arguments.rounds} rounds of 20 users.\n")
    print(markdown(list(rows[0]), [list(row.values()) for row in rows]))


if __name__ == "__main__":
    main()
