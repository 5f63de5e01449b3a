"""A datetime feature: what it stands for, and what it refuses, in YAML and in Python alike."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import tfwd
from tfwd.config import yaml12
from tfwd.config.config import Config
from tfwd.config.features.datetime import DatetimeNumber, DatetimePart
from tfwd.errors import ConfigError

CITY = {"type": "categorical", "column": "city", "embedding": 4}
AGE = {"type": "numeric", "column": "age"}
EVERY = ["year", "quarter", "month", "week", "day", "weekday", "hour", "minute", "weekend"]


def moment(column: str = "pickup", **options: Any) -> dict[str, Any]:
    return {"type": "datetime", "column": column, **options}


def of(*features: dict[str, Any], **sections: Any) -> Config:
    """A configuration with both heads of the features, a category and a number."""
    return Config.of({"data": {"label": "y"}, "features": [CITY, AGE, *features], **sections})


def names(config: Config) -> list[str]:
    return [feature.name for feature in config.model_features][2:]


# What is asked of one feature: the keys, and what is said of them.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing asked for": (
        {},
        "a datetime feature needs at least one part, age or cycle: give parts, such as [month, weekday, hour], "
        "age_in_days or cyclic",
    ),
    "no part": ({"parts": []}, "a datetime feature needs at least one part, age or cycle"),
    "unknown part": (
        {"parts": ["month", "wekday"]},
        "parts[1]: expected 'year', 'quarter', 'month', 'week', 'day', 'weekday', 'hour', 'minute' or 'weekend'. "
        "Received: 'wekday'. Did you mean 'weekday'?",
    ),
    "a part that does not come around": (
        {"cyclic": ["day"]},
        "cyclic[0]: expected 'hour', 'weekday' or 'month'. Received: 'day'.",
    ),
    "parts are a text": ({"parts": "month"}, "parts: expected a list. Received: 'month'."),
    "a part twice": ({"parts": ["month", "hour", "month"]}, "parts: 'month' is listed twice."),
    "a cycle twice": ({"cyclic": ["hour", "hour"]}, "cyclic: 'hour' is listed twice."),
    "parts without a place": (
        {"parts": ["month"], "wide": False},
        "its parts must go somewhere: wide, embedding or one_hot",
    ),
    "an embedding of another feature": (
        {"parts": ["month"], "embedding": "city"},
        "embedding: expected 'auto', a whole number or a section of keys. Received: 'city'.",
    ),
    "a width of a part that it has not": (
        {"parts": ["month"], "embedding": {"moth": 3}},
        "embedding.moth: expected 'year', 'quarter',",
    ),
    "a width of another part": (
        {"parts": ["month"], "embedding": {"month": 4, "hour": 3}},
        "embedding: 'hour' is not one of the feature's parts. Add it to parts.",
    ),
    "a width of 0": ({"parts": ["month"], "embedding": {"month": 0}}, "embedding.month: expected"),
    "widths of nothing": ({"parts": ["month"], "embedding": {}, "wide": False}, "its parts must go somewhere"),
    "a part without a place": (
        {"parts": ["month", "hour"], "embedding": {"month": 4}, "wide": False},
        "its parts must go somewhere: wide, embedding or one_hot",
    ),
    "an empty format": ({"parts": ["month"], "format": ""}, "format: expected a string of at least 1 character."),
    "a format without a day": (
        {"parts": ["hour"], "format": "%H:%M"},
        "format: '%H:%M' does not determine a day: it needs %Y (or %y), %m (or %b) and %d, or %Y and %j, or %G, %V and "
        "%u. For whole seconds since 1970 say seconds.",
    ),
    "a format without a year": ({"parts": ["hour"], "format": "%d.%m. %H:%M"}, "does not determine a day"),
    "a format of doubled signs": ({"parts": ["hour"], "format": "%%Y-%%m-%%d"}, "does not determine a day"),
    "seconds in capitals": ({"parts": ["hour"], "format": "Seconds"}, "For whole seconds since 1970 say seconds."),
    "an unknown directive": (
        {"parts": ["hour"], "format": "%Y-%m-%d %Q"},
        "format: '%Y-%m-%d %Q' holds '%Q', and these are the directives: %a %A %b %B %d %f %g %G %H %I %j %m %M %n %p "
        "%S %u %V %w %y %Y %z %Z %%, of which %d %H %I %j %m %M %S may have a -, as in %-d.",
    ),
    "seconds among directives": (
        {"parts": ["hour"], "format": "%Y-%m-%d %s"},
        "holds '%s', and these are the directives",
    ),
    "a week of strptime alone": ({"parts": ["hour"], "format": "%Y-%U-%w"}, "holds '%U', and these are the directives"),
    "a line behind a sign": (
        {"parts": ["hour"], "format": "%Y-%m-%d %\n"},
        r"holds '%\n', and these are the directives",
    ),
    "a sign at the end": ({"parts": ["hour"], "format": "%Y-%m-%d %"}, "holds '%', and these are the directives"),
    "a format without an end": (
        {"parts": ["hour"], "format": "%Y-%m-%d" + " " * 93},
        "format: expected a string of at most 100 characters.",
    ),
    "age to another's column": (
        {"age_in_days": "dropoff"},
        "age_in_days of 'pickup' is counted to 'dropoff', which is neither a day or moment, such as 2024-06-30, nor a "
        "column that a datetime feature reads.",
    ),
    "age to its own column": (
        {"age_in_days": "pickup"},
        "age_in_days: 'pickup' is the feature's own column, from which its age is 0.",
    ),
    "age to no day": ({"age_in_days": "2024-02-30"}, "counted to '2024-02-30', which is neither a day or moment"),
    "age to a number": ({"age_in_days": 20240630}, "age_in_days: expected a string. Received: 20240630."),
    "age to a time of day": ({"age_in_days": "03:00:00"}, "counted to '03:00:00', which is neither a day or moment"),
    "age to nothing": ({"age_in_days": ""}, "age_in_days: expected a string of at least 1 character."),
    "age to a moment before the year 1 in UTC": (
        {"age_in_days": "0001-01-01T00:00:00+05:00"},
        "age_in_days: '0001-01-01T00:00:00+05:00' is outside the years 1 to 9999 in UTC. Give a day or moment in them.",
    ),
    "age to a moment after the year 9999 in UTC": (
        {"age_in_days": "9999-12-31T23:59:59-00:01"},
        "age_in_days: '9999-12-31T23:59:59-00:01' is outside the years 1 to 9999 in UTC.",
    ),
    "no normalization": (
        {"age_in_days": "2024-06-30", "normalization": []},
        "normalization: expected at least one form, each of them once, such as zscore. Received: [].",
    ),
    "a normalization twice": (
        {"age_in_days": "2024-06-30", "normalization": ["log", "log"]},
        "normalization: expected at least one form, each of them once, such as zscore. Received: ['log', 'log'].",
    ),
    **{
        f"{key} without an age": (
            {"parts": ["month"], "cyclic": ["hour"], key: value},
            f"{key}: it belongs to the age, and the feature has none: give age_in_days, or leave {key} out.",
        )
        for key, value in {
            "missing_indicator": True,
            "fill": 0,
            "clip": False,
            "normalization": "log",
            "quantiles": 7,
        }.items()
    },
    **{
        f"{key} without parts: {value}": (
            {"age_in_days": "2024-06-30", "cyclic": ["hour"], key: value},
            f"{key}: it belongs to parts, and the feature has none: give parts, or leave {key} out.",
        )
        for key, value in (("embedding", 4), ("embedding", "auto"), ("embedding", {}), ("one_hot", True))
    },
    "a name of a part that no file could have": (
        {"parts": ["month"], "name": "a" * 235},
        "a datetime's name leads those of its features, and 'aaaaaaaaaaaa",
    ),
    "unknown key": ({"parts": ["month"], "embeding": 3}, "embeding: unknown key. Did you mean 'embedding'?"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_in_yaml_and_in_python_alike(case: str) -> None:
    options, message = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        of(moment(**options))
    text = str(caught.value)
    assert text.startswith("configuration: features[2]")
    assert message in text
    assert "\n" not in text
    with pytest.raises(ConfigError) as caught:
        _in_python(options)
    assert message in str(caught.value)


def _in_python(options: dict[str, Any]) -> None:
    made = tfwd.Datetime("pickup", **options)
    # What holds between features is known to the whole alone.
    tfwd.Config(data=tfwd.DataConfig(label="y"), features=[tfwd.Categorical("city", embedding=4), made])


# What does not go together: features, and what is said of them.
CLASHES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "age to a column that is read as something else": (
        [moment(age_in_days="age")],
        "features[2]: age_in_days of 'pickup' is counted to 'age', which is neither a day or moment",
    ),
    "age to a column whose name is near": (
        [moment(age_in_days="drop_off"), moment("dropoff", parts=["hour"])],
        "nor a column that a datetime feature reads. Did you mean 'dropoff'?",
    ),
    "a cross with the whole": (
        [moment(parts=["month", "hour"], cyclic=["hour"]), {"type": "cross", "keys": ["pickup", "city"], "bins": 9}],
        "features[3]: the cross 'pickup_x_city' has the key 'pickup', a datetime, which is crossed by its parts. "
        "Name one of them: pickup_month, pickup_hour.",
    ),
    "a cross with one of no parts": (
        [moment(cyclic=["hour"]), {"type": "cross", "keys": ["pickup", "city"], "bins": 9}],
        "Name one of them: it has none yet, give it parts.",
    ),
    "a cross with a part that it has not": (
        [moment(parts=["month"]), {"type": "cross", "keys": ["pickup_moth", "city"], "bins": 9}],
        "has an unknown key 'pickup_moth'. Did you mean 'pickup_month'?",
    ),
    "a cross with an angle": (
        [moment(cyclic=["hour"]), {"type": "cross", "keys": ["pickup_hour_sin", "city"], "bins": 9}],
        "has the numeric key 'pickup_hour_sin'; a number is crossed as buckets.",
    ),
    "a vocabulary of the whole": (
        [moment(parts=["month"]), {"type": "categorical", "column": "m", "vocabulary_of": "pickup"}],
        "'m' has vocabulary_of: pickup; expected another categorical feature. Did you mean 'pickup_month'?",
    ),
    "a category called as a part": (
        [moment(parts=["month"]), {"type": "categorical", "column": "pickup_month"}],
        "features[3]: the name 'pickup_month' is taken by another feature. Give one of them a `name`.",
    ),
    "a part called as a category": (
        [{"type": "categorical", "column": "pickup_month"}, moment(parts=["month"])],
        "features[3]: the name 'pickup_month' is taken by another feature.",
    ),
    "a number called as an age": (
        [{"type": "numeric", "column": "pickup_age_in_days"}, moment(age_in_days="2024-06-30")],
        "features[3]: the name 'pickup_age_in_days' is taken by another feature.",
    ),
    "a number called as the form of an age": (
        [{"type": "numeric", "column": "pickup_age_in_days_zscore"}, moment(age_in_days="2024-06-30")],
        "Give one of them another `name`.",
    ),
    "names that differ in case": (
        [{"type": "categorical", "column": "Pickup_Month"}, moment(parts=["month"])],
        "Features 'Pickup_Month' and 'pickup_month' differ only in case",
    ),
    "twice the same": (
        [moment(parts=["month"]), moment(parts=["hour", "month"])],
        "features[3]: the name 'pickup' is taken by another feature. Give one of them a `name`.",
    ),
    "two of one column": (
        [moment(parts=["month"]), moment(parts=["year"], wide=False, one_hot=True)],
        "features[3]: the name 'pickup' is taken by another feature. Give one of them a `name`.",
    ),
    "two of one name": (
        [moment(parts=["month"]), moment("dropoff", name="pickup", parts=["year"])],
        "features[3]: the name 'pickup' is taken by another feature.",
    ),
    "a category called as the whole": (
        [moment(parts=["month"]), {"type": "categorical", "column": "where", "name": "pickup"}],
        "features[3]: the name 'pickup' is taken by another feature.",
    ),
    "the whole called as a part": (
        [moment(parts=["month"]), moment("dropoff", name="pickup_month", parts=["hour"])],
        "features[3]: the name 'pickup_month' is taken by another feature.",
    ),
    "a part called as the whole": (
        [moment("dropoff", name="pickup_month", parts=["hour"]), moment(parts=["month"])],
        "features[3]: the name 'pickup_month' is taken by another feature.",
    ),
}


@pytest.mark.parametrize("case", CLASHES)
def test_refuses_what_does_not_go_together(case: str) -> None:
    features, message = CLASHES[case]
    if case == "a number called as the form of an age":
        features = [features[0], {**features[1], "normalization": ["zscore", "quantile"]}]
    with pytest.raises(ConfigError) as caught:
        of(*features)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_widths_by_part() -> None:
    config = of(moment(parts=["year", "month", "hour"], embedding={"year": "auto", "hour": 6}))
    assert [getattr(part, "embedding", None) for part in config.model_features[2:]] == ["auto", None, 6]
    assert config.deep_features() == ["city", "age", "pickup_year", "pickup_hour"]
    assert Config.of(yaml12.load(config.dump())) == config
    # A warm start gives the widths that the older run chose.
    widths = {"pickup_year": 8, "pickup_hour": 16}
    fixed = config.features[2].with_widths(widths)
    assert [getattr(part, "embedding", None) for part in fixed.expanded()] == [8, None, 6]
    every = of(moment(parts=["year", "hour"], embedding="auto")).features[2].with_widths(widths)
    assert [getattr(part, "embedding", None) for part in every.expanded()] == [8, 16]


def test_it_stands_for_features_of_their_own() -> None:
    config = of(
        moment(parts=EVERY, age_in_days="2024-06-30", cyclic=["hour", "month"], embedding=4, one_hot=True),
        moment("Drop-off at", parts=["hour"], age_in_days="pickup", wide=False, one_hot=True),
    )
    expected = [
        *(f"pickup_{part}" for part in EVERY),
        *("pickup_age_in_days", "pickup_hour_sin", "pickup_hour_cos", "pickup_month_sin", "pickup_month_cos"),
        *("Drop_off_at_hour", "Drop_off_at_age_in_days"),
    ]
    assert names(config) == expected
    assert config.wide_features() == ["city", *expected[:9]]
    assert config.deep_features() == ["city", "age", *expected]
    assert config.input_names() == {
        "city": "city",
        "age": "age",
        "pickup": "pickup",
        "Drop-off at": "Drop_off_at",
    }
    parts = [feature for feature in config.model_features if isinstance(feature, DatetimePart)]
    sizes = {"quarter": 4, "month": 12, "week": 53, "day": 31, "weekday": 7, "hour": 24, "minute": 60, "weekend": 2}
    for part in parts:
        # A year is learned of the rows; all others are known.
        if part.part == "year":
            assert part.vocabulary is None
            continue
        first = 0 if part.part in ("hour", "minute", "weekend") else 1
        assert part.vocabulary == tuple(range(first, first + sizes[part.part]))
    assert {part.source for part in parts} == {"pickup", "Drop-off at"}
    numbers = [feature for feature in config.model_features if isinstance(feature, DatetimeNumber)]
    assert [number.columns for number in numbers] == [("pickup",)] * 5 + [("Drop-off at", "pickup")]
    assert all(number.deep and not number.wide for number in numbers)


def test_an_age_of_an_item_is_counted_to_a_moment_of_the_item() -> None:
    features = [
        {"type": "categorical", "column": "item"},
        {"type": "categorical", "column": "user"},
        moment("released", age_in_days="at"),
        moment("at", parts=["hour"]),
    ]
    ranking = {"user": "user", "item": "item"}
    with pytest.raises(ConfigError) as caught:
        of(*features, ranking={**ranking, "item_columns": ["released"]})
    message = "the feature 'released_age_in_days' reads 'released' and 'at', one of which belongs to the item"
    assert message in str(caught.value)
    for columns in ([], ["released", "at"]):
        assert names(of(*features, ranking={**ranking, "item_columns": columns}))[-1] == "at_hour"


def test_an_item_is_no_date() -> None:
    features = [{"type": "categorical", "column": "user"}, moment("released", parts=["month"], embedding=4)]
    with pytest.raises(ConfigError) as caught:
        of(*features, ranking={"user": "user", "item": "released"})
    message = "ranking.item: the feature 'released_month' reads 'released', but not as one category. An item is told by"
    assert message in str(caught.value)


def test_what_does_nothing_may_be_written_as_it_is_by_default() -> None:
    options = {"normalization": "zscore", "quantiles": 100, "fill": "median", "missing_indicator": False, "clip": True}
    parts = moment(parts=["month"], **options)
    age = moment("dropoff", age_in_days="2024-06-30", embedding=None, one_hot=False, wide=False)
    config = of(parts, age)
    assert Config.of(yaml12.load(config.dump())) == config


def test_a_name_of_its_own_leads_the_names() -> None:
    config = of(moment("Zeit der Abholung", name="t", parts=["hour"], cyclic=["weekday"]))
    assert names(config) == ["t_hour", "t_weekday_sin", "t_weekday_cos"]
    assert config.input_names()["Zeit der Abholung"] == "Zeit_der_Abholung"


def test_a_column_has_features_with_other_places() -> None:
    config = of(moment(parts=["month"]), moment(name="at", parts=["year"], wide=False, one_hot=True))
    assert names(config) == ["pickup_month", "at_year"]
    assert config.wide_features() == ["city", "pickup_month"]
    # Each of them is named, so that each can be changed.
    assert names(config.replace(features__at__parts=["year", "day"])) == ["pickup_month", "at_year", "at_day"]
    assert names(config.replace(features__pickup__parts=["hour"])) == ["pickup_hour", "at_year"]


DAYS: dict[str, tuple[Any, int]] = {
    "text": ("2024-06-30", 1719705600),
    "a moment": ("2024-06-30T12:00:00", 1719748800),
    "a moment with a zone": ("2024-06-30T12:00:00+02:00", 1719741600),
    "a date": (datetime.date(2024, 6, 30), 1719705600),
    "a datetime": (datetime.datetime(2024, 6, 30, 12), 1719748800),
    "a datetime with a zone": (datetime.datetime(2024, 6, 30, 12, tzinfo=datetime.UTC), 1719748800),
    "before 1970": ("1969-12-31T23:59:59.5", -1),
    "the first day": ("0001-01-01", -62135596800),
    "the last second": ("9999-12-31T23:59:59", 253402300799),
}


@pytest.mark.parametrize("case", DAYS)
def test_an_age_is_counted_to_a_day_in_any_form(case: str) -> None:
    day, seconds = DAYS[case]
    for made in (tfwd.Datetime("pickup", age_in_days=day), of(moment(age_in_days=day)).features[2]):
        (age,) = made.expanded()
        assert isinstance(age, DatetimeNumber)
        assert (age.reference, age.reference_column) == (seconds, None)
        assert made.columns == ("pickup",)


def test_a_day_of_yaml_is_a_text() -> None:
    text = (
        "data: {label: y}\nfeatures: [{type: datetime, column: d, age_in_days: 2024-06-30, parts: [hour]}, "
        "{type: numeric, column: x}]"
    )
    (feature, _) = Config.of(yaml12.load(text)).features
    assert isinstance(feature, tfwd.Datetime)
    assert feature.age_in_days == "2024-06-30"


FORMATS = ["seconds", "%d/%m/%Y %H:%M", "%Y%m%d", "%-d.%-m.%y", "%b %d, %Y", "%Y-%j", "%G-W%V-%u", "100%% on %Y-%m-%d"]


@pytest.mark.parametrize("format", [*FORMATS, "it's %Y-%m-%d", '"%Y-%m-%d"', "%Y年%m月%d日"])
def test_a_format_that_tells_a_day_is_taken_and_written_back(format: str) -> None:
    config = of(moment(parts=["month", "hour"], format=format, age_in_days="2024-06-30", cyclic=["hour"], clip=False))
    feature = config.features[2]
    assert isinstance(feature, tfwd.Datetime)
    assert feature.format == format
    assert Config.of(yaml12.load(config.dump())) == config


def test_python_and_yaml_are_equal() -> None:
    options = {"parts": ["month", "weekday"], "cyclic": ["hour"], "embedding": "auto"}
    options |= {"age_in_days": "2024-06-30", "normalization": ["minmax"]}
    assert tfwd.Datetime("pickup", **options) == of(moment(**options)).features[2]
