"""What a model's page says of its versions, without a browser."""

from __future__ import annotations

from submarine_ray.spec.answers.models import ModelColumn, ModelFiles, ModelSignature, ModelVersion, ModelVersionDetails
from submarine_ray.workbench import model_rows
from submarine_ray.workbench.model_rows import Compared
from submarine_ray.workbench.model_versions import markup
from submarine_ray.workbench.promote import Standing, consequences


def version(number: int, stage: str = "None", **more: object) -> ModelVersion:
    known = {"name": "m", "id": None, "userId": "", "experimentId": None, "modelType": None, "creationTime": None}
    kept = {"lastUpdatedTime": None, "source": None, "dataset": None, "description": None, "tags": []}
    return ModelVersion.model_validate({**known, **kept, "version": number, "currentStage": stage, **more})


def compared(number: int, metrics: dict[str, float | str], columns: int = 1, **more: object) -> Compared:
    files = ModelFiles(
        flavors=["sklearn"], size_bytes=number * 1500, mlflow_version="3.17.2", python_version=None,
        requirements=["numpy==2.4.6", f"torch>={number}", "pip"],
    )  # fmt: skip
    details = ModelVersionDetails(name="m", version=number, metrics=metrics, params={"lr": f"0.{number}"}, files=files)
    inputs = [ModelColumn(name=f"c{n}", type="double", shape=None, required=True) for n in range(columns)]
    return Compared(version(number, **more), details, ModelSignature(inputs=inputs, outputs=[], example=None))


def test_versions_are_compared_by_all_that_is_known_of_them() -> None:
    found = [compared(1, {"loss": 0.25, "lr": 9.0}), compared(2, {"loss": 0.5}, columns=2, aliases=["champion"])]
    rows = model_rows.sections(found)
    assert list(rows) == ["About", "Metrics", "Parameters", "Signature", "Files", "Packages"]
    assert rows["About"] == {"Stage": ["None", "None"], "Aliases": ["", "champion"], "Served": ["no", "no"]}
    assert rows["Metrics"] == {"loss": ["0.25", "0.5"], "lr": ["9.0", ""]}  # a parameter has this name, too
    assert rows["Parameters"] == {"lr": ["0.1", "0.2"]}
    assert rows["Signature"]["Inputs"] == ["1 column", "2 columns"]
    assert rows["Signature"]["input c1"] == ["", "c1 double"]
    assert rows["Files"]["Size"] == ["1.5 kB", "3 kB"]
    assert rows["Packages"] == {"torch": [">=1", ">=2"]}  # of the others nothing differs
    assert (model_rows.best("loss", found), model_rows.best("lr", found)) == ({0}, set())


def test_what_is_not_known_of_a_version_leaves_its_cells_empty() -> None:
    rows = model_rows.sections([compared(1, {"loss": 0.25}), Compared(version(2), None, None)])
    assert rows["Metrics"] == {"loss": ["0.25", ""]}
    assert rows["Signature"]["Inputs"] == ["1 column", "unknown"]
    assert rows["Files"]["Size"] == ["1.5 kB", ""]
    assert "NaN" not in str(model_rows.best("loss", [compared(1, {"loss": "NaN"}), compared(2, {"loss": 1.0})]))


def test_thousands_of_columns_are_counted_and_the_differing_ones_shown() -> None:
    rows = model_rows.sections([compared(1, {}, columns=3000), compared(2, {}, columns=3100)])["Signature"]
    assert rows["Inputs"] == ["3,000 columns", "3,100 columns"]
    assert len(rows) <= model_rows.MOST_COLUMNS + 4
    assert "input c0" not in rows and "input c3000" in rows
    assert "and 70 more that differ" in rows


def test_what_a_user_wrote_is_no_markup_of_the_comparison() -> None:
    hostile = "<img src=x onerror=window.hacked=1>"
    found = [compared(1, {hostile: 1.0}, dataset=hostile), compared(2, {hostile: 2.0}, tags=[hostile])]
    made = "".join(markup("m", found))
    assert "<img" not in made and "&lt;img" in made


def standing(**more: object) -> Standing:
    known = {"served": {}, "weights": {}, "versions": [version(1, "Production", aliases=["champion"]), version(2)]}
    return Standing(**{"version": 2, **known, **more})  # type: ignore[arg-type]


def test_a_promotion_says_before_what_it_changes_and_what_it_does_not() -> None:
    told = consequences(standing(), "Production")
    assert told[0] == "The stage of version 2 becomes Production."
    assert any("cannot be deleted" in one for one in told)
    assert any("It is not served. A stage deploys nothing" in one for one in told)
    assert not any("shared URL" in one for one in told)
    weighed = consequences(standing(weights={1: 90, 3: 10}), "Production")
    assert weighed[-1] == (
        "The weights of the shared URL do not change: version 1 90%, version 3 10%. Version 2 gets none of its requests."
    )
    with_share = consequences(standing(weights={1: 90, 2: 10}, served={2: "'m-2' on cluster 'local'"}), "Archived")
    assert with_share == [
        "The stage of version 2 becomes Archived.",
        "Its endpoint 'm-2' on cluster 'local' does not change.",
        "The weights of the shared URL do not change: version 1 90%, version 2 10%.",
    ]


def test_a_promotion_offers_what_the_version_before_had() -> None:
    assert (standing().in_production, standing().aliases) == ([1], {"champion": 1})
    assert (standing(version=1).in_production, standing(version=1).aliases) == ([], {})
