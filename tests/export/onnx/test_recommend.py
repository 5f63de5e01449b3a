"""The file of lists: on all pairs as the model's own file answers, and beside no other model's file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import list_cases
import numpy as np
import onnx as onnx_format
import onnxruntime
import pytest
import ranking_cases as cases
import tensorflow as tf
import typer
from typer.testing import CliRunner

from export import commands, pipeline
from export.onnx import recommend
from export.onnx import writer as onnx
from export.onnx.catalogue_graph import CatalogueGraph, convert_lists
from export.parity import compare as parity
from export.parity import lists as parity_of_lists
from export.parity.lists import check_lists
from tfwd.errors import ExportError
from tfwd.features.raw_tensors import tensors
from tfwd.inference.onnx_scorer import OnnxScorer
from tfwd.inference.onnx_session import with_fingerprints
from tfwd.recommend.top_k import ListMaker
from tfwd.schema import MISSING_INTEGER
from tfwd.server.lists import Lists, lists_beside

app = typer.Typer()
app.command()(commands.onnx)


@pytest.fixture(scope="module", autouse=True)
def few_users() -> Iterator[None]:
    """Exports compare fewer users than for a user of tfwd."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity_of_lists, "USERS", 20)
        yield


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> tuple[ListMaker, Path]:
    """The lists of every kind of feature and cross, with fingerprints for inputs."""
    model, config = list_cases.built(list_cases.HARD)
    lists, file = list_cases.maker(model, config), tmp_path_factory.mktemp("hard") / "hard.onnx"
    with pytest.MonkeyPatch.context() as patch:
        # Only the lists: the other file takes as long again.
        patch.setattr(onnx, "convert", lambda *_: onnx_format.ModelProto())
        patch.setattr(onnx, "check_whole", lambda *_: None)
        patch.setattr(parity, "check_onnx", lambda *_: 0.0)
        onnx.save(model, file, lists=lists, k=7, fingerprint_inputs=True)
    return lists, lists_beside(file)


@pytest.fixture(scope="module")
def counts() -> ListMaker:
    """Items that are integers and have no titles, of a model of counts."""
    model, config = list_cases.built(list_cases.NUMBERED, regression=True, numbered=True, loss="poisson")
    return list_cases.maker(model, config, list_cases.with_numbers(cases.items()))


@pytest.fixture(scope="module")
def converted(counts: ListMaker) -> CatalogueGraph:
    """The graph of the lists of counts: the converter does not see the parts of the items."""
    return convert_lists(counts)


@pytest.fixture(scope="module")
def once(converted: CatalogueGraph, one_conversion_of_the_module: None) -> Iterator[None]:
    """Converts the model of counts and its lists once."""

    def convert(lists: ListMaker, *_: Any) -> CatalogueGraph:
        copy, parts = onnx_format.ModelProto(), lists.items()
        copy.CopyFrom(converted.proto)
        assert set(converted.large) == {"catalogue/wide", "catalogue/deep"}
        return CatalogueGraph(copy, {"catalogue/wide": parts.wide, "catalogue/deep": parts.deep})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommend, "convert_lists", convert)
        yield


@pytest.fixture(scope="module")
def saved(counts: ListMaker, once: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the model of counts, beside which are its lists."""
    return onnx.save(counts.model, tmp_path_factory.mktemp("counts") / "model.onnx", lists=counts)


@pytest.fixture
def written(saved: Path, tmp_path: Path) -> Path:
    """A copy of both, to be changed."""
    shutil.copytree(saved.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / saved.name


def users(lists: ListMaker) -> dict[str, np.ndarray]:
    raw = list_cases.requests(lists, lists.model, list_cases.strange_users())
    return {name: texts(values.numpy()) for name, values in raw.items()}


def texts(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    made = np.empty(values.size, object)
    made[:] = [value.decode() for value in values.ravel()]
    return made.reshape(values.shape)


def test_all_pairs_have_the_logits_of_the_plain_model(hard: tuple[ListMaker, Path]) -> None:
    lists, file = hard
    served, asked, catalogue = Lists(file), users(lists), lists.catalogue
    names = [spec.name for spec in served.inputs if spec.name not in served.defaults]
    assert "liked_fingerprint" in names
    count, items = len(asked["city"]), len(catalogue)
    pairs = {name: np.repeat(values, items, axis=0) for name, values in asked.items()}
    pairs |= {name: np.concatenate([values] * count) for name, values in catalogue.inputs.items()}
    expected = lists.model.answers(lists.model.logits(tensors(pairs)))
    for row in range(count):
        user = {name: values[row : row + 1] for name, values in asked.items()}
        own = slice(row * items, (row + 1) * items)
        logits, scores = served.scored(with_fingerprints(names, user))
        np.testing.assert_allclose(logits, expected["logit"].numpy()[own], rtol=1e-5, atol=3e-6)
        np.testing.assert_allclose(scores, expected["probability"].numpy()[own], rtol=0, atol=1e-6)
        places = np.array([3, 80, 5])
        some, _ = served.scored(with_fingerprints(names, user), places)
        np.testing.assert_allclose(some, logits[places], rtol=1e-6, atol=1e-6)
    assert int(served.defaults["k"]) == 7


def test_some_crosses_are_tabulated_and_some_are_not(hard: tuple[ListMaker, Path]) -> None:
    lists, file = hard
    held = {entry.name for entry in onnx_format.load(str(file)).graph.initializer}
    tabulated = {name.removeprefix("catalogue/crosses/") for name in held if name.startswith("catalogue/crosses/")}
    assert tabulated == set(lists.tables)
    assert {"catalogue/keys/ids", "catalogue/keys/first", "catalogue/keys/later", "tables/wide"} <= held


def test_tables_in_half_precision(counts: ListMaker, once: None, tmp_path: Path) -> None:
    """The lists are those of the model's own file, whose tables are rounded too."""
    file = onnx.save(counts.model, tmp_path / "model.onnx", lists=counts, half_tables=True)
    own, found = OnnxScorer(file), Lists(lists_beside(file))
    city, catalogue = np.array(["Drama Town"], object), counts.catalogue
    expected = own.score({"city": np.repeat(city, len(catalogue)), **catalogue.inputs})["prediction"]
    np.testing.assert_allclose(found.scored({"city": city})[1], expected, rtol=1e-6)
    whole = counts.model.answers(counts.model.logits(tensors({"city": np.repeat(city, 90), **catalogue.inputs})))
    assert np.abs(whole["prediction"].numpy() / expected - 1).max() > 1e-5


def test_integers_and_counts(counts: ListMaker, written: Path) -> None:
    served, raw = Lists(lists_beside(written)), list_cases.requests(counts, counts.model, list_cases.strange_users())
    asked, none = users(counts), np.array([[MISSING_INTEGER]])
    exclude = np.array([[3, 5, MISSING_INTEGER, 10**9]])
    for k, candidates in ((6, none), (6, np.array([[7, 2, 3, 999, MISSING_INTEGER]])), (100, none)):
        found = served.recommend({**asked, "k": k, "candidates": candidates, "exclude": exclude})
        expected = counts(raw, tf.constant(k), tf.constant(candidates), tf.constant(exclude))
        places = expected.places.numpy()
        ids = np.where(places < 0, MISSING_INTEGER, counts.catalogue.ids[places])
        assert set(found) == {"items", "scores"}
        assert (found["items"].dtype, found["items"].tolist()) == (np.int64, ids.tolist())
        np.testing.assert_allclose(found["scores"], expected.scores.numpy(), rtol=1e-5)
        assert found["scores"].max() > 1


def test_any_runtime_answers_with_all_items(counts: ListMaker, written: Path) -> None:
    file = lists_beside(written)
    onnx_format.checker.check_model(str(file), full_check=True)
    proto = onnx_format.load(str(file))
    assert {entry.domain for entry in (*proto.opset_import, *proto.graph.node)} <= {"", "ai.onnx.ml"}
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [(entry.name, entry.shape) for entry in session.get_inputs()] == [("city", [1])]
    names = [entry.name for entry in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"city": np.array(["Drama Town"], object)}), strict=True))
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(names, (len(counts.catalogue),))
    assert found["catalogue/items"].tolist() == counts.catalogue.ids.tolist()
    for places in ([], [7, 0, 7], list(range(90))):
        given = {"city": np.array(["Drama Town"], object), "catalogue/places": np.array(places, np.int64)}
        some = session.run(["catalogue/logits"], given)[0]
        np.testing.assert_allclose(some, found["catalogue/logits"][places or slice(None)], rtol=1e-6, atol=1e-6)
    own = onnxruntime.InferenceSession(str(written)).get_modelmeta().custom_metadata_map
    facts = '{"input": "movie_id", "kind": "integer", "items": 90, "k": 10}'
    more = {"tfwd_part": "recommend", "tfwd_catalogue": facts}
    assert session.get_modelmeta().custom_metadata_map == own | more


def spoilt(file: Path, name: str, change: Any) -> Path:
    """The file with another initializer."""
    proto = onnx_format.load(str(file))
    entry = next(entry for entry in proto.graph.initializer if entry.name == name)
    values = np.array(onnx_format.numpy_helper.to_array(entry))
    entry.CopyFrom(onnx_format.numpy_helper.from_array(change(values), name))
    place = file.with_name("spoilt.onnx")
    onnx_format.save_model(proto, str(place))
    return place


def test_a_file_that_disagrees_is_refused(counts: ListMaker, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, item = lists_beside(written), counts.catalogue.ids[4]

    def moved(values: np.ndarray) -> np.ndarray:
        values[4] += np.float32(1e-4)
        return values

    assert check_lists(counts, file) < 1e-4
    with pytest.raises(
        ExportError, match=rf"hostile user 0, disagrees with the model on the item .*{item}.*: logit is"
    ):
        check_lists(counts, spoilt(file, "catalogue/wide", moved))
    with pytest.raises(ExportError, match="other items or titles than the catalogue"):
        check_lists(counts, spoilt(file, "catalogue/items", lambda values: values[::-1]))
    right = Lists.recommend

    def with_change(change: Any) -> None:
        def recommend(self: Lists, inputs: Any) -> Any:
            return {name: change(values) for name, values in right(self, inputs).items()}

        monkeypatch.setattr(Lists, "recommend", recommend)

    for change, message in (
        (lambda values: values[:, ::-1], "disagrees with the model on the item"),
        (lambda values: np.repeat(values[:, :1], values.shape[1], axis=1), "lists .* Expected: "),
        (lambda values: values[:, :-1], "lists .* Expected: "),
    ):
        with_change(change)
        with pytest.raises(ExportError, match=message):
            check_lists(counts, file)


def test_lists_lie_beside_no_other_model(counts: ListMaker, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written.parent
    both = ["model.onnx", "model.recommend.onnx"]
    assert sorted(os.listdir(folder)) == both
    before = {name: (folder / name).read_bytes() for name in both}

    def fails(*_: Any) -> None:
        raise ExportError("no")

    with monkeypatch.context() as patch:
        patch.setattr(recommend, "check_lists", fails)
        with pytest.raises(ExportError, match="^no$"):
            onnx.save(counts.model, written, lists=counts)
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before
    with monkeypatch.context() as patch:
        patch.setattr(recommend, "convert_lists", fails)
        found = onnx.write(counts.model, written, lists=counts)
    assert (found.lists, found.no_lists) == (None, "no")
    assert found.report() == ["No file of lists: no"]
    assert os.listdir(folder) == ["model.onnx"]
    onnx.save(counts.model, written, lists=counts)
    assert sorted(os.listdir(folder)) == both
    onnx.save(counts.model, written)
    assert os.listdir(folder) == ["model.onnx"]


def test_what_is_no_file_of_lists_is_kept(counts: ListMaker, once: None, tmp_path: Path) -> None:
    file, other = tmp_path / "model.onnx", tmp_path / "model.recommend.onnx"
    other.write_bytes(b"mine")
    onnx.save(counts.model, file)
    with pytest.raises(ExportError, match=r"model\.recommend\.onnx exists and is not a part of a model"):
        onnx.save(counts.model, file, lists=counts)
    assert other.read_bytes() == b"mine"


def test_large_parts_lie_beside_the_file(
    counts: ListMaker, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Lists(lists_beside(written)).recommend(users(counts))
    monkeypatch.setattr(onnx, "INLINE_BYTES", 100)
    folder = tmp_path / "large"
    file = onnx.save(counts.model, folder / "model.onnx", lists=counts)
    wanted = [f"model{part}.onnx{end}" for part in ("", ".recommend") for end in ("", ".data")]
    assert sorted(os.listdir(folder)) == wanted
    assert str(Lists(lists_beside(file)).recommend(users(counts))) == str(inside)


def test_lists_of_another_model_are_refused(counts: ListMaker, tmp_path: Path) -> None:
    other, _ = list_cases.built(list_cases.NUMBERED, numbered=True)
    with pytest.raises(ExportError, match="The lists belong to another model"):
        onnx.save(other, tmp_path / "model.onnx", lists=counts)


def test_a_run_that_ranks_is_exported_with_lists_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, asked = cases.trained(), []

    def write(model: Any, file: Path, **options: Any) -> onnx.Written:
        asked.append((options.get("lists"), options.get("k")))
        return onnx.Written(Path(file), (), 0.0, lists=None, no_lists="there is no such operation")

    monkeypatch.setattr(onnx, "write", write)
    result = CliRunner().invoke(app, [str(run.path), "--output", str(tmp_path / "m.onnx")])
    assert result.exit_code == 0, result.output
    assert "No file of lists: there is no such operation" in " ".join(result.output.split())
    result = CliRunner().invoke(app, [str(run.path), "--output", str(tmp_path / "m.onnx"), "--no-lists"])
    assert result.exit_code == 0, result.output
    pipeline.export_onnx(run, tmp_path / "m.onnx", rows=run.sample(5))
    pipeline.export_onnx(run, tmp_path / "m.onnx", rows=run.sample(5), lists=False)
    made = [(isinstance(lists, ListMaker), k) for lists, k in asked]
    assert made == [(True, 10), (False, None)] * 2
