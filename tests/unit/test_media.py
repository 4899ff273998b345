"""What `log_image` and the like make of what they are given, and what they say of what they cannot take."""

from __future__ import annotations

import io
import json
import math
import re
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import submarine_ray as submarine
from submarine_ray.client import media_queue, tracking
from submarine_ray.client.spool import Spool
from submarine_ray.spec.spool import media
from submarine_ray.spec.spool.media import MediaHeader, MediaItem, WrongMedia

Logged = Callable[[], MediaItem]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    """The last item that was queued."""
    spool = Spool(tmp_path / "metrics.jsonl")
    tracking.redirect(spool, None)
    yield lambda: next(media.items(media_queue.waiting(spool.media)[-1].read_bytes()))
    tracking.redirect(None, None)
    spool.close()


def pixels(item: MediaItem) -> Any:
    return np.asarray(Image.open(io.BytesIO(item.content)))


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
RGB = np.dstack([GREY, GREY + 64, GREY + 128])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (GREY, GREY),
        (GREY[:, :, None], GREY),
        (RGB, RGB),
        (np.moveaxis(RGB, 2, 0), RGB),
        (torch.tensor(np.moveaxis(RGB, 2, 0).copy()), RGB),
        (torch.tensor(RGB / 255.0).permute(2, 0, 1).requires_grad_(), RGB),
        (torch.tensor(GREY / 255.0, dtype=torch.bfloat16)[None], GREY),
        (GREY > 31, (GREY > 31) * 255),
        (GREY.astype(np.int64), GREY),
        (GREY / 255, GREY),
        (GREY.tolist(), GREY),
        (np.linspace(-2, 2, 64).reshape(8, 8), np.linspace(0, 255, 64).reshape(8, 8)),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(RGB).convert("CMYK"), RGB),
    ],
)
def test_an_image_of_any_library_becomes_png(logged: Logged, given: Any, wanted: Any) -> None:
    submarine.log_image(given, "some/samples", step=3, caption="ein Bild: ä")
    item = logged()
    assert np.abs(pixels(item).astype(int) - np.asarray(wanted).astype(int)).max() <= 1
    header = item.header
    assert (header.kind, header.key, header.step, header.caption) == ("image", "some/samples", 3, "ein Bild: ä")
    assert (header.width, header.height) == (8, 8)
    assert Image.open(io.BytesIO(item.preview)).format == "WEBP"


def test_an_image_file_is_taken_as_it_is_if_it_is_png(logged: Logged, tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.webp"):
        Image.fromarray(RGB).resize((300, 200)).save(tmp_path / name)
        submarine.log_image(tmp_path / name, "file")
        assert (logged().header.width, logged().header.height, logged().header.suffix) == (300, 200, "png")
        assert (logged().content == (tmp_path / name).read_bytes()) == (name == "a.png")
        assert max(Image.open(io.BytesIO(logged().preview)).size) == 256


def test_images_have_the_names_that_mlflow_gives_them(logged: Logged) -> None:
    submarine.log_image(GREY, "val/dogs and cats", step=-7)
    path = logged().header.path
    # As MlflowClient.log_image writes it, and as its pages read it.
    pattern = r"images/val~dogs and cats\+step\+-7\+timestamp\+\d{13}\+[0-9a-f-]{36}"
    assert re.fullmatch(rf"{pattern}\.png", path)
    assert logged().header.preview_path == path.removesuffix(".png") + "+compressed.webp"


def test_figures(logged: Logged) -> None:
    figure = Figure(figsize=(2, 1), dpi=100)
    axes = figure.subplots()
    axes.plot([1, 2])
    for given in (figure, axes):
        submarine.log_figure(given, "loss")
        assert pixels(logged()).shape == (100, 200, 4)
        assert (logged().header.width, logged().header.height, logged().header.suffix) == (200, 100, "png")
    document = {"data": [{"y": [1, 2], "name": "</script><script>alert(1)</script>"}], "layout": {}}
    plotly = SimpleNamespace(to_json=lambda: json.dumps(document), to_plotly_json=dict)
    submarine.log_figure(plotly, "plot")
    content = logged().content.decode()
    assert logged().header.suffix == "html"
    data = content.split(media.PLOTLY_BEGIN)[1].split(media.PLOTLY_END)[0]
    assert json.loads(data) == document


FRAME = pd.DataFrame({"name": ["a", "b"], "score": [0.5, math.nan], "at": pd.to_datetime(["2026-01-01", None])})


@pytest.mark.parametrize(
    ("given", "columns", "wanted"),
    [
        ({"x": [1, 2], "y": np.array([0.5, np.nan])}, None, (["x", "y"], [[1, 0.5], [2, None]])),
        ({"x": 1, "y": "one"}, None, (["x", "y"], [[1, "one"]])),
        ([{"x": 1}, {"y": torch.tensor(2)}], None, (["x", "y"], [[1, None], [None, 2]])),
        ([(1, Path("a")), (2, True)], ["x", "y"], (["x", "y"], [[1, "a"], [2, True]])),
        (np.eye(2), ["x", "y"], (["x", "y"], [[1.0, 0.0], [0.0, 1.0]])),
        ([], None, ([], [])),
    ],
)
def test_tables(logged: Logged, given: Any, columns: Any, wanted: Any) -> None:
    submarine.log_table(given, "t", columns=columns)
    assert json.loads(logged().content) == {"columns": wanted[0], "data": wanted[1]}


def test_a_frame_is_written_as_mlflow_writes_it(logged: Logged) -> None:
    submarine.log_table(FRAME, "predictions.json")
    assert logged().content.decode() == json.dumps(
        json.loads(FRAME.to_json(orient="split", index=False, date_format="iso")), separators=(",", ":")
    )
    assert pd.read_json(io.BytesIO(logged().content), orient="split").columns.tolist() == ["name", "score", "at"]


def test_histograms_texts_and_sounds(logged: Logged, tmp_path: Path) -> None:
    submarine.log_histogram([0.0, 1.0, 1.0, math.nan, math.inf], "weights", bins=2)
    found = json.loads(logged().content)
    assert (found["edges"], found["counts"], found["not_finite"]) == ([0, 0.5, 1], [1, 2], 2)
    assert found["mean"] == pytest.approx(2 / 3)
    submarine.log_text("Größe\n", "sample")
    assert logged().content.decode() == "Größe\n"
    for given in (np.array([0.0, 0.5, -1.0]), torch.tensor([0.0, 1.0, -2.0]), np.array([0, 16384, -32768], np.int16)):
        submarine.log_audio(given, "voice", rate=8000)
        with wave.open(io.BytesIO(logged().content)) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
            samples = np.frombuffer(sound.readframes(3), "<i2")
        assert samples.tolist() == pytest.approx([0, 16384, -32768], abs=2)
    submarine.log_audio(np.zeros((2, 100)), "stereo", rate=8000)
    with wave.open(io.BytesIO(logged().content)) as sound:
        assert (sound.getnchannels(), sound.getnframes()) == (2, 100)
    (tmp_path / "a.mp3").write_bytes(b"ID3 and more")
    submarine.log_audio(str(tmp_path / "a.mp3"), "song")
    assert (logged().header.suffix, logged().content) == ("mp3", b"ID3 and more")


def rows(item: MediaItem) -> list[list[Any]]:
    data: list[list[Any]] = json.loads(item.content)["data"]
    return data


def test_confusion_matrices(logged: Logged) -> None:
    wanted = [["cat", "cat", 2], ["cat", "dog", 0], ["dog", "cat", 1], ["dog", "dog", 1]]
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    for actual, predicted, labels in (
        ([0, 0, 1, 1], [0, 0, 0, 1], ["cat", "dog"]),
        (["cat", "cat", "dog", "dog"], ["cat", "cat", "cat", "dog"], None),
        (torch.tensor([0, 0, 1, 1]), scores, ["cat", "dog"]),
    ):
        submarine.log_confusion_matrix(actual, predicted, labels)
        assert rows(logged()) == wanted
    assert (logged().header.kind, logged().header.key) == ("confusion_matrix", "confusion_matrix")


def area(points: list[list[Any]]) -> float:
    x, y = np.array([point[1] for point in points]), np.array([point[2] for point in points])
    return float(np.trapezoid(y, x))


def test_curves_are_those_of_scikit_learn(logged: Logged) -> None:
    from sklearn import metrics

    random = np.random.default_rng(7)
    actual = random.integers(0, 2, 5000)
    scores = np.round(actual * 0.3 + random.random(5000), 3)  # with ties
    submarine.log_roc_curve(actual, scores, ["bad", "good"])
    found = rows(logged())
    assert {row[0] for row in found} == {"good"} and len(found) <= 500
    assert area(found) == pytest.approx(metrics.roc_auc_score(actual, scores), abs=1e-3)
    assert found[0][1:] == [0, 0, None] and found[-1][1:3] == [1, 1]
    submarine.log_pr_curve(actual, scores)
    found = rows(logged())
    precision, recall, thresholds = metrics.precision_recall_curve(actual, scores)
    exact = {limit: (r, p) for limit, r, p in zip(thresholds.tolist(), recall, precision, strict=False)}
    for _, r, p, limit in found[1:]:
        assert (r, p) == pytest.approx(exact[limit], abs=1e-5)
    several = random.random((5000, 3))
    submarine.log_roc_curve(random.integers(0, 3, 5000), several, ["a", "b", "c"])
    assert {row[0] for row in rows(logged())} == {"a", "b", "c"}


NO_FIGURE = object()


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda: submarine.log_image("samples", GREY), TypeError, "image: the key must be text, not ndarray; what is logged comes first"),
        (lambda: submarine.log_image(GREY, "a:b"), ValueError, "image: 'a:b' cannot be a key"),
        (lambda: submarine.log_image(GREY, "a", step=1.5), ValueError, "image 'a': the step 1.5 is not a whole number"),
        (lambda: submarine.log_image(np.zeros((2, 3, 8, 8)), "a"), ValueError, "image 'a': its shape is 2 × 3 × 8 × 8.*each image of a batch"),
        (lambda: submarine.log_image(GREY.astype(int) * 9, "a"), ValueError, "image 'a': its whole numbers go from 0 to 567"),
        (lambda: submarine.log_image(np.full((2, 2), np.nan), "a"), ValueError, "image 'a': it has NaN"),
        (lambda: submarine.log_image(np.zeros((0, 2)), "a"), ValueError, "image 'a': it is empty"),
        (lambda: submarine.log_image("nowhere.png", "a"), OSError, "there is no such file: 'nowhere.png'"),
        (lambda: submarine.log_image(__file__, "a"), ValueError, "image 'a': .*test_media.py is not an image"),
        (lambda: submarine.log_image(None, "a"), TypeError, "image 'a': a NoneType is not an array of numbers"),
        (lambda: submarine.log_image(GREY, "a", caption="x" * 1001), ValueError, "image 'a': the caption .* has 1001 characters"),
        (lambda: submarine.log_figure(NO_FIGURE, "f"), TypeError, "figure 'f': a object is not a figure of matplotlib or plotly"),
        (lambda: submarine.log_table({"a": [1], "b": [1, 2]}, "t"), ValueError, "table 't': its columns have different lengths: {'a': 1, 'b': 2}"),
        (lambda: submarine.log_table([[1, 2]], "t"), ValueError, "table 't': its rows are lists: name their columns"),
        (lambda: submarine.log_table([[1, 2]], "t", columns=["a"]), ValueError, "table 't': row 0 has 2 values for 1 columns"),
        (lambda: submarine.log_table([{"a": 1}, 3], "t"), TypeError, "table 't': row 0"),
        (lambda: submarine.log_table("a,b", "t"), TypeError, "table 't': a str is not a table"),
        (lambda: submarine.log_text(3, "t"), TypeError, "text 't': a int is not a text"),  # type: ignore[arg-type]
        (lambda: submarine.log_text("\udcff", "t"), ValueError, "text 't': it is not Unicode text"),
        (lambda: submarine.log_text("x" * 2**25, "t"), ValueError, "text 't': it has 32.0 MiB; at most 16 are kept"),
        (lambda: submarine.log_histogram([math.nan], "h"), ValueError, "histogram 'h': none of its values is finite"),
        (lambda: submarine.log_histogram(["a"], "h"), TypeError, "histogram 'h': a list is not an array of numbers"),
        (lambda: submarine.log_histogram([1], "h", bins=0), ValueError, "histogram 'h': bins=0"),
        (lambda: submarine.log_audio(np.zeros(9), "a"), ValueError, "audio 'a': give the samples per second"),
        (lambda: submarine.log_audio(np.zeros((9, 9, 9)), "a", rate=1), ValueError, "audio 'a': its shape is 9 × 9 × 9"),
        (lambda: submarine.log_audio(__file__, "a"), ValueError, "audio 'a': .*test_media.py is not one of .wav"),
        (lambda: submarine.log_confusion_matrix([0, 1], [0]), ValueError, "there are 2 true classes for 1 predictions"),
        (lambda: submarine.log_confusion_matrix([0, 5], [0, 1], ["a", "b"]), ValueError, "actual has the class 5, and there are 2"),
        (lambda: submarine.log_roc_curve([1, 1], [0.1, 0.2]), ValueError, "roc_curve 'roc_curve': no class has both"),
        (lambda: submarine.log_roc_curve([0, 1, 2], [0.1, 0.2, 0.3]), ValueError, "there are 3 classes; give scores of each"),
        (lambda: submarine.log_pr_curve([0, 1], [0.1, math.nan]), ValueError, "its scores have NaN"),
    ],
)  # fmt: skip
def test_what_cannot_be_logged_is_told_in_a_line(
    logged: Logged, call: Callable[[], None], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as failure:
        call()
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 400
    with pytest.raises(IndexError):
        logged()  # nothing was


def test_without_an_experiment_it_is_said_and_printed(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(tracking, "_spool", None)
    monkeypatch.delenv("SUBMARINE_SPOOL", raising=False)
    for name in ("MLFLOW_RUN_ID", "SUBMARINE_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    submarine.log_text("abc", "sample", step=4)
    assert "[text] sample step=4 (3 bytes)" in capsys.readouterr().out


def header(**changes: Any) -> dict[str, Any]:
    whole = {
        "kind": "text",
        "key": "a",
        "step": 1,
        "timestamp": 2,
        "name": media.new_name(),
        "suffix": "txt",
        "size": 3,
    }
    return whole | changes


def test_a_batch_is_what_its_items_are_written_as() -> None:
    found = [
        MediaItem(MediaHeader(**header()), b"a\nb"),
        MediaItem(MediaHeader(**header(kind="image", suffix="png", size=2, preview=1)), b"ab", b"c"),
    ]
    batch = b"".join(item.written() for item in found)
    assert list(media.items(batch)) == found
    assert list(media.items(b"")) == []
    with pytest.raises(WrongMedia, match="cut off"):
        list(media.items(batch[:-1]))
    with pytest.raises(WrongMedia, match="no header"):
        list(media.items(batch + b"more"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "page"}, "kind: 'page'"),
        ({"suffix": "html"}, "kind: 'text' with files .html"),
        ({"name": "../../etc/passwd"}, "name: .* is not a UUID"),
        ({"key": "a\nb"}, "cannot be a key"),
        ({"key": ".."}, "cannot be a key"),
        ({"key": "a "}, "cannot be a key"),
        ({"step": 2**63}, "64 bits"),
        ({"step": True}, "step: True is not int"),
        ({"size": 2**40}, "at most"),
        ({"size": -1}, "at most"),
        ({"preview": 1}, "only images"),
        ({"width": -1}, "width"),
        ({"caption": None}, "caption: None is not str"),
        ({"more": 1}, "not the header of an item"),
    ],
)
def test_a_header_that_cannot_be_stored_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongMedia, match=said):
        MediaHeader.read(json.dumps(header(**changes)).encode())
