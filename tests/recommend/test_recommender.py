"""Lists from a trained run: in Python, for whole files, with reasons, and on the command line."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import ranking_cases as cases
from command_line import tfwd

from tfwd.data.rows import Rows
from tfwd.data.source import Source
from tfwd.errors import ConfigError, DataError, RunError
from tfwd.inference.evaluation import evaluate
from tfwd.inference.scorer import Scorer
from tfwd.inference.tensorflow_scorer import keras_scorer
from tfwd.recommend.recommender import Recommender
from tfwd.run import Run


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    # That of the run, whose graph is then traced once.
    return cases.trained().recommender


@functools.cache
def scorer() -> Scorer:
    """The run's model, for ordinary rows."""
    return keras_scorer(cases.trained().model)


def scores(user: str, items: Sequence[str]) -> np.ndarray:
    """The probabilities of pairs, by the run's model on ordinary rows."""
    own = cases.users().set_index("user_id").loc[user]
    rows = cases.items().set_index("movie_id").loc[list(items)].reset_index()
    rows["user_id"], rows["city"], rows["age"] = user, own["city"], own["age"]
    rows["liked"] = [own["liked"]] * len(rows)
    batch = next(Rows(Source.open(rows), scorer().schema, labelled=False).batches(1000))
    return scorer().score(batch.inputs)["probability"]


def test_lists_without_what_was_seen(recommender: Recommender) -> None:
    found = cases.trained().recommend(cases.users().head(3), k=6)
    assert found.columns.tolist() == ["user_id", "place", "movie_id", "title", "score"]
    assert found["place"].tolist() == [1, 2, 3, 4, 5, 6] * 3
    titles = cases.items().set_index("movie_id")["title"]
    assert found["title"].tolist() == titles.loc[found["movie_id"]].tolist()
    for user, own in found.groupby("user_id", sort=False):
        seen = set(cases.users().set_index("user_id").loc[user, "seen"])
        rest = [item for item in cases.items()["movie_id"] if item not in seen]
        assert not seen & set(own["movie_id"])
        np.testing.assert_allclose(own["score"], np.sort(scores(str(user), rest))[::-1][:6], atol=1e-6)
        np.testing.assert_allclose(own["score"], scores(str(user), own["movie_id"].tolist()), atol=1e-6)


def test_lists_with_what_was_seen_and_of_candidates(recommender: Recommender) -> None:
    user = cases.users().head(1)
    whole = recommender.recommend(user, k=1000, include_seen=True)
    assert sorted(whole["movie_id"]) == sorted(cases.items()["movie_id"])
    few = recommender.recommend(user, candidates=["m1", "m2", "no such item"], include_seen=True)
    assert sorted(few["movie_id"]) == ["m1", "m2"]
    assert few["place"].tolist() == [1, 2]
    assert len(recommender.recommend(user)) == 10
    with pytest.raises(DataError, match=r"None of the 2 candidates .* of 90 items, which begins with 'm"):
        recommender.recommend(user, candidates=["a", "b"])
    with pytest.raises(DataError, match="at least one place. Received: k=0"):
        recommender.recommend(user, k=0)
    for k in ("3", 2.5):
        with pytest.raises(DataError, match="the length of a list, must be a whole number"):
            recommender.recommend(user, k=k)  # type: ignore[arg-type]
    assert len(recommender.recommend(user, k=np.int64(3))) == 3  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"candidates are a list of items, such as \['m1'\]"):
        recommender.recommend(user, candidates="m1")
    series = pd.Series(["m1", "m2"])
    assert len(recommender.recommend(user, candidates=series, include_seen=True)) == 2  # type: ignore[arg-type]
    with pytest.raises(DataError, match="The item 'none' is not in the catalogue, which begins with 'm"):
        recommender.reasons(user, ["m1", "none"])
    with pytest.raises(DataError, match="no column 'city'"):
        recommender.recommend(user.drop(columns="city"))
    nobody = pa.Table.from_pandas(cases.users()).slice(0, 0)
    assert recommender.recommend(nobody).columns.tolist() == whole.columns.tolist()


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_whole_file_is_as_one_frame(recommender: Recommender, tmp_path: Path, ending: str) -> None:
    many = pd.concat([cases.users()] * 3, ignore_index=True)
    counted: list[int] = []
    output = tmp_path / f"lists.{ending}"
    rows = recommender.recommend_file(Source.open(many), output, k=4, advance=counted.append)
    found = pd.read_parquet(output) if ending == "parquet" else pd.read_csv(output, dtype={"user_id": str})
    assert rows == len(found) == 4 * len(many)
    assert sum(counted) == len(many)
    assert len(counted) > 1
    expected = recommender.recommend(many, k=4)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=False, atol=1e-6)


def test_reasons_are_weights_of_the_wide_head(recommender: Recommender) -> None:
    run = cases.trained()
    user = cases.users().iloc[[5]]
    found = recommender.recommend(user, k=10)
    reasons = recommender.reasons(user, found["movie_id"].tolist(), count=50)
    weights = run.wide_weights().set_index("name")["weight"]
    titles = cases.items().set_index("movie_id")["title"]
    shown = 0
    for item, text in zip(found["movie_id"], reasons, strict=True):
        row = cases.items().set_index("movie_id").loc[item]
        assert "user_id=" not in text
        for genre in row["genres"].split("|"):
            name = f"city={user.iloc[0]['city']} x genres={genre}"
            if weights.get(name, 0) > 0.005:
                assert f"{name} {weights[name]:+.2f}" in text
                shown += 1
        crossed = [part for part in text.split("; ") if part.startswith("liked=") and " x " in part]
        known = {f"liked={titles[liked]}" for liked in user.iloc[0]["liked"]}
        assert {part.split(" x ")[0] for part in crossed} <= known
        assert all(f"movie_id={row['title']}" in part for part in crossed)
        amounts = [float(part.rsplit(" ", 1)[1]) for part in text.split("; ") if part]
        assert amounts == sorted(amounts, reverse=True)
    assert shown > 3


def test_reasons_add_up_to_the_difference_of_two_items(recommender: Recommender) -> None:
    """All that depends on the item, and the deep head beside its mean, make the difference of two logits."""
    from tfwd.recommend.reasons import Reasons

    run = cases.trained()
    batch = next(recommender._users(Source.open(cases.users().iloc[[3]]), False))
    made = Reasons(run, recommender.ranking, recommender.lists)
    rows = np.array([4, 40])
    from tfwd.features.raw_tensors import tensors

    sums = [sum(value for value, _ in reasons) for reasons in made.wide(batch.inputs, rows)]
    wide = recommender.lists.logits(recommender.lists.user(tensors(batch.inputs))).wide.numpy()[rows]
    assert sums[0] - sums[1] == pytest.approx(wide[0] - wide[1], abs=1e-5)


def test_the_command_prints_a_list_with_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert tfwd("rank", cases.trained().path, "--user", "7", "--k", 3) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["title", "score", "why"]
    assert len(lines) == 4
    expected = cases.trained().recommend(cases.users().query("user_id == '7'"), k=3)
    for line, (_, row) in zip(lines[1:], expected.iterrows(), strict=True):
        assert line.startswith(f"{row['place']}  {row['title']}")
        assert f"{row['score']:.4f}  " in line
        assert "+0." in line or "+1." in line


def test_the_command_takes_candidates_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = cases.trained().path
    new = cases.users().head(1).assign(user_id="newcomer", liked=[["m1", "m5"]]).drop(columns="seen")
    new.to_parquet(tmp_path / "new.parquet", index=False)
    assert tfwd("rank", run, "--user", "newcomer", "--data", tmp_path / "new.parquet", "--no-why") == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 11
    assert "+" not in shown
    (tmp_path / "some.txt").write_text("m1\n\nm2\nm3\n", encoding="utf-8-sig")
    output = tmp_path / "lists.csv"
    some = ("--candidates", tmp_path / "some.txt", "--include-seen")
    assert tfwd("rank", run, "--output", output, "--k", 2, *some) == 0
    assert "120 rows in" in capsys.readouterr().out
    listed = pd.read_csv(output)
    assert len(listed) == 2 * cases.USERS
    assert set(listed["movie_id"]) == {"m1", "m2", "m3"}


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = cases.trained().path
    empty = tmp_path / "empty.txt"
    empty.write_text("\n", encoding="utf-8")
    cases_of: list[tuple[list[Any], str]] = [
        (["--user", "77"], "has no user '77'. There is, among others: 7"),
        ([], "Give --user for a list to read, or --output"),
        (["--user", "7", "--candidates", empty], "has no items. Expected: one per line"),
        (["--user", "7", "--candidates", tmp_path / "none.txt"], "none.txt"),
        (["--output", tmp_path / "lists.txt"], "written as .parquet or .csv"),
    ]
    for arguments, message in cases_of:
        assert tfwd("rank", run, *arguments) == 2
        assert message in capsys.readouterr().err
    assert tfwd("rank", tmp_path, "--user", "7") == 2
    assert "is not a run directory" in capsys.readouterr().err


@pytest.mark.parametrize("seen", ["m1", 1, [1.5]])
def test_what_was_seen_is_a_list_of_items(recommender: Recommender, seen: Any) -> None:
    user = cases.users().head(1).drop(columns="seen")
    user["seen"] = [seen]
    with pytest.raises(DataError, match="column 'seen': expected lists of items, text or whole numbers, found"):
        recommender.recommend(user)
    assert len(recommender.recommend(user, include_seen=True)) == 10


def test_what_was_seen_may_be_nothing_or_of_a_fixed_length(recommender: Recommender) -> None:
    user = cases.users().head(1).drop(columns="seen")
    everything = recommender.recommend(user, k=90)["movie_id"].tolist()
    assert recommender.recommend(user.assign(seen=[None]), k=90)["movie_id"].tolist() == everything
    fixed = pa.array([["m1", "m2"]], pa.list_(pa.string(), 2))
    found = recommender.recommend(pa.Table.from_pandas(user).append_column("seen", fixed), k=90)
    assert found["movie_id"].tolist() == [item for item in everything if item not in ("m1", "m2")]


def test_the_users_are_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = tmp_path / "users.parquet"
    cases.users().to_parquet(users, index=False)
    before = users.read_bytes()
    assert tfwd("rank", cases.trained().path, "--data", users, "--output", users) == 2
    assert "is what is read: choose another --output" in capsys.readouterr().err
    assert users.read_bytes() == before


def test_runs_that_cannot_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from census_cases import trained

    nothing = "cannot rank: its configuration has no section ranking"
    for rank in (Recommender, lambda run: run.recommend([])):
        with pytest.raises(ConfigError, match=nothing):
            rank(trained())
    for options in (["--user", "7"], ["--output", tmp_path / "lists.csv"]):
        assert tfwd("rank", trained().path, *options) == 2
        said = capsys.readouterr().err
        assert nothing in said
        assert "for example ranking: {user: user_id, item: movie_id}" in said
    with pytest.raises(RunError):
        Run.open(tmp_path)


def test_catalogues_that_do_not_fit(recommender: Recommender) -> None:
    run, items = cases.trained(), cases.items()
    with pytest.raises(DataError, match=r"rows 1 and 91 are both 'm"):
        Recommender(run, pd.concat([items, items.head(1)]))
    with pytest.raises(DataError, match="row 3, column 'movie_id': the item is missing"):
        Recommender(run, items.assign(movie_id=items["movie_id"].where(items.index != 2)))
    with pytest.raises(DataError, match="no items to recommend"):
        Recommender(run, items.head(0))
    with pytest.raises(DataError, match="no column 'genres'"):
        Recommender(run, items.drop(columns="genres"))
    with pytest.raises(DataError, match=r"no column 'title', which ranking\.title reads"):
        Recommender(run, items.drop(columns="title"))


def test_evaluation_knows_the_metrics_by_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = cases.trained()
    names = {"users", "gauc", "ndcg_at_10", "recall_at_10", "hit_rate_at_10", "mrr", "coverage_at_10"}
    assert names <= set(run.metrics["test"])
    # The taste that decides was learned.
    assert run.metrics["test"]["gauc"] > 0.65
    _, test = cases.parts()
    rows = Rows(Source.open(test), run.model.schema)
    assert evaluate(scorer(), rows, ranking=run.config.ranking) == pytest.approx(run.metrics["test"], abs=1e-6)
    assert not names & set(evaluate(scorer(), rows))
    anonymous = test.rename(columns={"user_id": "somebody"})
    anonymous["user_id"] = ""
    anonymous.to_parquet(tmp_path / "test.parquet", index=False)
    assert tfwd("evaluate", run.path, "--data", tmp_path / "test.parquet") == 0
    assert '"gauc"' in capsys.readouterr().out
