"""What our server and MLflow's own scoring server answer to the same requests, for models of many kinds."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.serving_zoo import FLOATS, ZOO, Answers, Served, pyfunc

pytestmark = pytest.mark.filterwarnings("ignore")
Zoo = Callable[[str], Served]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """Each model is saved and loaded once, when it is first asked for."""
    root, made = tmp_path_factory.mktemp("zoo"), dict[str, Served]()

    def of(name: str) -> Served:
        if name not in made:
            made[name] = Served(root / name.replace(" ", "-"), ZOO[name])
        return made[name]

    logging.disable(logging.ERROR)
    yield of
    logging.disable(logging.NOTSET)


def same(one: Any, other: Any) -> bool:
    """Equal JSON; a float32 may have fewer digits in ours."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-6)
    return type(one) is type(other) and bool(one == other)


def rows(**columns: Any) -> dict[str, Any]:
    """One record; the columns of the zoo's model end in _."""
    return {"dataframe_records": [{f"{name}_": value for name, value in columns.items()}]}


def tensors(*values: Any) -> list[dict[str, Any]]:
    return [{"inputs": value} for value in values]


IMAGE = [[[0.1, 0.2], [0.3, 0.4]]]
NAN, INF = math.nan, math.inf
ANSWERED: dict[str, list[Any]] = {
    "columns": [
        rows(datetime="2024-03-31T02:30:00"), rows(datetime=None), rows(datetime=1711852200), rows(double=None), rows(double="1.5"),
        rows(double=True), rows(double=NAN), rows(double=INF), rows(float=0.1), rows(long=2.0), rows(long=2**63 - 1), rows(long="7"),
        rows(integer=-(2**31)), rows(boolean=1), rows(boolean=False), rows(string="x"), rows(string=None), rows(binary="aGVsbG8="),
        rows(string="x") | {"params": {"temperature": 0.9}}, rows(string="x") | {"params": {"temperature": 1, "stop": ["a", "b"]}},
        {"inputs": {"double_": [1, 2]}}, {"inputs": {"string_": "a"}}, {"inputs": {"binary_": ["aGVsbG8="]}},
        {"inputs": {"datetime_": ["2024-03-31T02:30:00"]}}, {"inputs": [{"double_": 1, "long_": 2}]}, {"inputs": {"float_": [None]}},
        {"instances": [{"double_": 1, "long_": 2}, {"double_": 3, "long_": 2}]}, {"inputs": {"boolean_": [True, False]}},
        {"dataframe_split": {"index": [5], "columns": ["double_"], "data": [[1.5]]}}, {"dataframe_records": []},
    ],
    "nested": [
        {"dataframe_records": [{"ids": [1, 2]}]}, {"inputs": {"ids": [1, 2]}}, {"inputs": [{"ids": [1, 2]}]}, {"inputs": {"it": {"a": "x"}}},
        {"dataframe_records": [{"it": {"a": "x", "b": 1.5}}]}, {"dataframe_records": [{"tags": {"k": "v"}}]}, {"inputs": {"any": [1, "x"]}},
    ],
    "unnamed text": [*tensors(["hello"], "hello"), {"instances": ["a", "b"]}, {"dataframe_split": {"data": [["a"]]}}],
    "required": [{"dataframe_records": [{"b": 1.5, "a": 2}]}, {"inputs": {"a": [1], "b": [2]}}],
    "several": [
        {"inputs": {"ids": [[1, 2]], "image": IMAGE}}, {"instances": [{"ids": [1, 2], "image": IMAGE[0]}]},
        {"dataframe_split": {"columns": ["ids", "image"], "data": [[[1, 2], [0.1, 0.2, 0.3, 0.4]]]}},
        {"inputs": {"ids": [[1, 2]], "image": [[[1, 2], [3, 4]]]}},
    ],
    "text": [*tensors(["hello"], ["a", "bc"]), {"instances": ["q"]}, {"dataframe_split": {"data": [["x"]]}}],
    "uint8": [
        *tensors([[3, 1]], [[255, 0.0]], [["3", "4"]]), {"dataframe_split": {"data": [[1, 2]]}}, {"instances": [[1, 2], [3, 4]]},
        {"dataframe_split": {"columns": ["x"], "data": [[[1, 2]]]}},
    ],
    "floats": [*tensors([[1, 2]], [[1, None]], [[1, "2"]], [[NAN, INF]], [[True, 2]], [[2**70, 1]]), {"inputs": [[1, 2]], "params": {"temperature": 1}}],
    "bools": tensors([True, False], [1, 0]),
    "undeclared": [
        *tensors(["hello"], {"a": [1, 2]}, 5, [2**70], [{"a": 1}]), {"instances": [{"a": 1}]}, {"dataframe_records": [{"a": 1, "b": "x"}]},
        {"dataframe_split": {"columns": [0, 1], "data": [[1, 2]]}}, {"messages": [{"role": "user", "content": "hi"}]},
    ],
    "hinted": tensors(["a", "b"]),
    "pipeline": [
        {"dataframe_records": [{"age": 30.5, "rooms": 2, "town": "Bern"}, {"age": 50, "rooms": 2, "town": "Chur"}]},
        {"inputs": {"age": [30.5], "rooms": [2], "town": ["Bern"]}},
    ],
    **{
        name: [*tensors([[1, 2], [3, -4]], [[NAN, 2]]), {"instances": [[1, 2]]}, {"dataframe_split": {"data": [[1, 2.5]]}}]
        for name in ("forest", "probabilities", "xgboost", "lightgbm")
    },
    "torch": [*tensors([[1, 2, 3]], [[0.5, 2, 3], [4, 5, 6]]), {"dataframe_split": {"data": [[1, 2, 3]]}}],
    "torch columns": [{"dataframe_records": [{"a": 1, "b": 2.5}]}, {"inputs": {"a": [1], "b": [2]}}],
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERED)
def test_what_mlflows_own_server_answers_ours_answers_too(zoo: Zoo, name: str) -> None:
    for document in ANSWERED[name]:
        theirs = zoo(name).theirs(document)
        ours = zoo(name).ask(document)
        assert theirs[0] == 200 and same(list(ours), list(theirs)), (document, ours, theirs)


@pytest.mark.long
def test_keras_models_too(zoo: Zoo) -> None:
    pytest.importorskip("tensorflow")
    for document in ANSWERED["torch"]:
        assert same(list(zoo("keras").ask(document)), list(zoo("keras").theirs(document))), document
    assert zoo("keras").model.joins


def test_tables_as_csv_and_parquet(zoo: Zoo) -> None:
    import io

    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    for body, kind in (
        (frame.to_csv(index=False).encode(), "text/csv; charset=utf-8"),
        (parquet.getvalue(), "application/vnd.apache.parquet"),
    ):
        assert zoo("required").ask(body, kind=kind) == zoo("required").theirs(body, kind), kind
        assert zoo("required").ask(b"\xff\xfe", kind=kind)[0] == 400
    assert zoo("columns").ask(b"integer_\n3000000000\n", kind="text/csv")[0] == 400


# MLflow's server gives the model another value than the caller wrote, or ignores what it wrote.
REFUSED: dict[str, list[tuple[Any, str]]] = {
    "columns": [
        (rows(integer=3000000000), "column 'integer_' .* integer, which goes from -2147483648 to 2147483647, such as 3000000000"),
        (rows(long=2**63), "column 'long_' .* to 9223372036854775807, such as 9223372036854775808"),
        (rows(long=1.0e19), "column 'long_' .* outside of long"),
        (rows(float=1e300), "column 'float_' .* outside of float"),
        (rows(long=2.5), "column 'long_' has values that are no long, such as 2.5"),
        (rows(boolean="false"), "column 'boolean_' has values that are no boolean, such as 'false'"),
        (rows(boolean=2), "are no boolean, such as 2"),
        ({"inputs": {"boolean_": [True, None]}}, "column 'boolean_' has values that are missing"),
        (rows(string=5), "column 'string_' has values that are no string"),
        (rows(binary="a$bc"), "column 'binary_' .* no base64"),
        (rows(datetime="nonsense"), "column 'datetime_' .* no datetime, such as nonsense"),
        (rows(datetime="2024-03-31T02:30:00+02:00"), "name a time zone"),
        (rows(nothing=5), "unknown column 'nothing_'"),
        ({"dataframe_split": {"columns": ["string_", "string_"], "data": [["a", "b"]]}}, "column 'string_' is given twice"),
        ({"inputs": {"long_": [2.5]}}, "are no long, such as 2.5"),
        ({"instances": [{"integer_": 1}, {"integer_": 3000000000}]}, "outside of integer"),
        (rows(string="x") | {"params": {"warmth": 1}}, "unknown parameter 'warmth'; the model takes the parameters temperature \\(double, default 0.5\\)"),
        (rows(string="x") | {"params": {"temperature": "hot"}}, "temperature"),
        (rows(string="x") | {"params": [1]}, "params is no object"),
        (rows(string="x") | {"more": 1}, "unknown field 'more'"),
    ],
    "several": [
        ({"inputs": {"ids": [[1, 2.5]], "image": IMAGE}}, "'ids' .* no int64, such as 2.5"),
        ({"inputs": {"ids": [[1, 2]]}}, "'image' is missing"),
        ({"inputs": {"ids": [[1, 2, 3]], "image": IMAGE}}, "Shape of input \\(1, 3\\)"),
    ],
    "uint8": [
        ({"inputs": [[300, 1]]}, "uint8, which goes from 0 to 255, such as 300"),
        ({"inputs": [[3, -1]]}, "such as -1"),
        ({"inputs": [[3.5, 1]]}, "no uint8, such as 3.5"),
        ({"inputs": [["300", 1]]}, "such as 300"),
        ({"dataframe_split": {"data": [[300, 2]]}}, "such as 300"),
        ({"dataframe_split": {"columns": ["x"], "data": [[[1, 300]]]}}, "such as 300"),
        ({"inputs": [[1, 2]], "params": {"a": 1}}, "the model takes no parameters"),
    ],
    "bools": [({"inputs": [2]}, "no bool, such as 2"), ({"inputs": ["false"]}, "no bool, such as 'false'")],
    "torch": [({"inputs": [[1e300, 1, 1]]}, "outside of float32")],
    "undeclared": [({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "given twice")],
    "hinted": [({"inputs": [5]}, "Expected type str, but got int")],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_would_become_others_are_refused(zoo: Zoo, name: str) -> None:
    import re

    for document, said in REFUSED[name]:
        status, answer = zoo(name).ask(document)
        assert status == 400 and re.search(said, answer["error"]), (document, answer)


VALUES = {
    "double": st.floats() | st.integers(-(2**70), 2**70) | st.none() | st.booleans(),
    "float": st.floats(width=32) | st.integers(-1000, 1000) | st.none(),
    "long": st.integers(-(2**65), 2**65) | st.floats(),
    "integer": st.integers(-(2**33), 2**33) | st.floats(-10, 10),
    "boolean": st.booleans() | st.integers(0, 2) | st.none(),
    "string": st.text(max_size=5) | st.none(),
    "datetime": st.datetimes().map(lambda moment: moment.isoformat()) | st.none() | st.text(max_size=3),
    "binary": st.binary(max_size=8).map(lambda raw: __import__("base64").b64encode(raw).decode()) | st.text(max_size=4),
}


@settings(max_examples=150, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(VALUES[kind], min_size=1, max_size=3))
    ),
    st.sampled_from(["records", "split", "inputs", "instances"]),
)
def test_a_generated_column_is_answered_the_same_or_refused(zoo: Zoo, column: tuple[str, list[Any]], form: str) -> None:
    """Never another answer than MLflow's; a refusal in its place only where the column is named."""
    name, values = f"{column[0]}_", column[1]
    document = {
        "records": {"dataframe_records": [{name: value} for value in values]},
        "split": {"dataframe_split": {"columns": [name], "data": [[value] for value in values]}},
        "inputs": {"inputs": {name: values}},
        "instances": {"instances": [{name: value} for value in values]},
    }[form]
    ours, theirs = zoo("columns").ask(document), zoo("columns").theirs(document)
    if ours[0] == 200:
        assert same(list(ours), list(theirs)), document
    else:
        assert ours[0] == 400 and (theirs[0] != 200 or f"column {name!r} has values that " in ours[1]["error"]), ours


RESULTS = [
    "np.array(['setosa'] * len(x))", "np.array(['a', None], dtype=object)", "x.sum(axis=0)", "float(x.sum())", "[]", "None", "'text'",
    "{'label': ['a'] * len(x), 'score': x[:, 0]}", "[{'label': 'a', 'score': float(row[0])} for row in x]", "x", "x.astype('float32')",
    "pd.DataFrame(x)", "pd.DataFrame(x, columns=['a', 'b'])", "pd.Series(x[:, 0])", "pd.Series(x[:, 0], name='y')", "(x, x.sum())",
    "pd.DataFrame({'when': pd.to_datetime(['2024-03-31T02:30:00'])})", "pd.DataFrame({'when': pd.to_datetime(['2024-03-31']).tz_localize('Europe/Zurich')})",
    "np.array(['2024-03-31'], dtype='datetime64[s]')", "[datetime.date(2024, 3, 31), datetime.datetime(2024, 3, 31, 2)]", "pd.Timestamp('2024-03-31', tz='UTC')",
    "np.array([1.5, np.nan, np.inf])", "[b'hello']", "np.float32(1.5)", "np.int64(2**62)", "x[0, 0]", "np.array(5)", "x > 1", "{1: 'a', None: 2}",
    "[np.array([1]), {'a': np.float64(2)}]", "pd.DataFrame({'text': ['a', None], 'n': [1, 2]})", "np.zeros((0, 3))", "(row for row in x).__next__()",
    "pd.DataFrame({'list': [[1, 2], [3]]})", "x.T", "x[:, ::-1]", "x.astype('>f8')", "x.astype('float16')", "[[1, 2], [3]]", "True",
]  # fmt: skip


@pytest.mark.parametrize("code", RESULTS)
def test_results_of_every_kind_alone_and_together(zoo: Zoo, tmp_path: Path, code: str) -> None:
    """The answer is MLflow's, and the same when other requests arrive at the same time."""
    served = Served(tmp_path / "model", pyfunc(Answers(code), FLOATS))
    first, second = {"inputs": [[1, 2]]}, {"inputs": [[3, 4], [5, 6]]}
    alone = [served.ask(first), served.ask(second)]
    assert alone[0][0] == 200, alone
    assert same([list(one) for one in alone], [list(served.theirs(first)), list(served.theirs(second))])
    together = served.ask_all([first, second] * 5)
    assert same([list(one) for one in together], [list(one) for one in alone * 5])


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("[decimal.Decimal('1.10')]", ["1.10"]),
        ("{np.int64(1): 'a'}", {"1": "a"}),
        ("{(1, 2): 'a'}", {"(1, 2)": "a"}),
        ("{'b', 'a'}", ["a", "b"]),
        ("{'frame': pd.DataFrame({'a': [1]})}", {"frame": [{"a": 1}]}),
        ("__import__('scipy.sparse').sparse.csr_matrix([[1, 0]])", [[1, 0]]),
    ],
)
def test_results_that_mlflows_server_fails_at(tmp_path: Path, code: str, written: Any) -> None:
    served = Served(tmp_path / "model", pyfunc(Answers(code), FLOATS))
    assert served.ask({"inputs": [[1, 2]]}) == (200, {"predictions": written})
    assert served.theirs({"inputs": [[1, 2]]})[0] == 500


@pytest.mark.parametrize("code", ["np.array([1j])", "object()", "1 / 0", "[x for x in (1,)].pop(5)"])
def test_a_models_own_failure_is_a_500_that_says_what(zoo: Zoo, tmp_path: Path, code: str) -> None:
    served = Served(tmp_path / "model", pyfunc(Answers(code), FLOATS))
    status, answer = served.ask({"inputs": [[1, 2]]})
    assert status == 500 and "the model" in answer["error"]
    assert json.dumps(answer)
