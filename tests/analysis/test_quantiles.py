"""Values at places of a column, against NumPy's sort, in a list and in bins."""

from __future__ import annotations

from typing import Any

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pytest

from tfwd.analysis import quantiles

RANDOM = np.random.default_rng(0)
COLUMNS = {
    "normal": RANDOM.normal(size=1500),
    "heavy tail": np.exp(8 * RANDOM.normal(size=1500)),
    "few values": RANDOM.integers(0, 5, 1500),
    "mostly zero": np.where(RANDOM.random(1500) < 0.6, 0, 1e-30 * RANDOM.normal(size=1500)),
    "the whole range": np.concatenate([RANDOM.normal(size=1000), [3e38, -3e38]]),
    "the smallest": RANDOM.integers(0, 9, 1000) * 1e-45,
    "neighbours": [1.0, np.nextafter(np.float32(1), np.float32(2))] * 400,
    "one value": np.full(100, 3.0),
}


class Asked:
    """A workspace over one column `x`, with NULLs in between."""

    def __init__(self, values: np.ndarray) -> None:
        self.table = ibis.table({"x": "float32"}, name="rows")
        self.connection = duckdb.connect()
        self.connection.register("given", pa.table({"x": pa.array([*values.tolist(), None, None], pa.float32())}))
        self.connection.execute("CREATE TABLE rows AS SELECT * FROM given")

    def query(self, expression: Any) -> Any:
        return self.connection.sql(str(ibis.to_sql(expression, dialect="duckdb")))

    def pairs(self, expression: Any) -> Any:
        return self.query(expression).fetchall()

    def record(self, expression: Any) -> Any:
        return dict(zip(expression.columns, self.pairs(expression)[0], strict=True))

    def arrow(self, expression: Any) -> Any:
        return self.query(expression).to_arrow_table()


# Each place that lies apart takes rounds of questions of its own, the more the fewer the bins.
@pytest.mark.parametrize(
    ("gathered", "bins", "read", "parts"),
    [(10**6, 64, 200, 37), (0, 64, 200, 13), (0, 2, 40, 4), (0, 2**16, 2**21, 37)],
)
@pytest.mark.parametrize("name", COLUMNS)
def test_equal_to_a_sort(
    name: str, gathered: int, bins: int, read: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantiles, "_GATHERED", gathered)
    monkeypatch.setattr(quantiles, "_BINS", bins)
    monkeypatch.setattr(quantiles, "_READ", read)
    values = np.asarray(COLUMNS[name], np.float32)
    ordered = np.sort(values).astype(np.float64)
    moment = {"minimum": float(ordered[0]), "maximum": float(ordered[-1]), "count": len(values)}
    places = {1, len(values), *(max(1, part * len(values) // parts) for part in range(1, parts))}
    workspace: Any = Asked(values)
    found = quantiles.values_at(workspace, "x", moment, places)
    assert found == {place: ordered[place - 1] for place in places}
