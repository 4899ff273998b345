"""Search spaces: what may be asked for, what is drawn, and how it gets into a command."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from submarine_ray.runner.tune import search
from submarine_ray.spec import space
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.launch import Tune
from submarine_ray.spec.plan import plan_launch
from submarine_ray.spec.quantities import Resources

CHOICE = {
    "optimizer": {
        "type": "choice",
        "values": [{"name": "sgd", "momentum": {"type": "uniform", "low": 0, "high": 1}}, {"name": "adam"}],
    }
}
LR = {"type": "loguniform", "low": "1e-4", "high": 0.1}  # as YAML reads 1e-4: a text


def spec(cmd: str = "train.py --lr {{lr}}", replicas: int = 1, worker: Any = None, **tune: Any) -> ExperimentSpec:
    whole = {"searchSpace": {"lr": LR}, "metric": "loss", "mode": "min"} | tune
    worker = worker or {"replicas": replicas, "resources": "cpu=1"}
    document = {"meta": {"name": "a", "framework": "Python", "cmd": cmd}, "spec": {"Worker": worker}, "tune": whole}
    return ExperimentSpec.model_validate(document)


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"searchSpace": {}}, "is empty"),
        ({"searchSpace": {"lr": {"type": "uniform", "low": 1, "high": 0}}}, "low 1 is not below high 0"),
        ({"searchSpace": {"lr": {"type": "loguniform", "low": 0, "high": 1}}}, "begins above 0"),
        ({"searchSpace": {"lr": {"type": "gauss"}}}, "'gauss' is unknown; use uniform"),
        ({"searchSpace": {"lr": {"type": "uniform", "low": 0, "high": 1, "q": 1}}}, "uniform has no 'q'"),
        ({"searchSpace": {"lr": {"type": "uniform", "low": 0}}}, "uniform needs 'high'"),
        ({"searchSpace": {"lr": {"type": "uniform"}}}, "uniform needs 'low'"),
        ({"searchSpace": {"lr": {"type": "quniform", "low": 0, "high": 1, "q": 0}}}, "step must be above 0"),
        ({"searchSpace": {"lr": {"type": "uniform", "low": "a", "high": 1}}}, "'a' is not a number"),
        ({"searchSpace": {"lr": {"type": "randint", "low": 0.5, "high": 2}}}, "is not an integer"),
        ({"searchSpace": {"lr": {"type": "quniform", "low": 0, "high": 1, "q": 2}}}, "step must be above 0"),
        ({"searchSpace": {"lr": {"type": "normal", "mean": 0, "sd": 0}}}, "must be above 0"),
        ({"searchSpace": {"lr": {"type": "choice", "values": []}}}, "at least one value"),
        ({"searchSpace": {"lr": 3}}, "is no domain"),
        ({"searchSpace": {"l r": LR}}, "cannot name a parameter"),
        ({"searchSpace": {"lr": LR, "unused": LR}}, "tune.searchSpace.unused: no command or variable uses it"),
        ({"searchSpace": {"other": LR}}, "asks for {{lr}}, and there is no parameter of that name; there are other"),
        ({"algorithm": "guess"}, "unknown algorithm 'guess'; use one of random, grid"),
        ({"scheduler": "guess"}, "unknown scheduler 'guess'; use one of fifo"),
        ({"scheduler": {"type": "asha", "maxT": 3}}, "Extra inputs"),
        ({"mode": "best"}, "'min' or 'max'"),
        ({"metric": ""}, "at least 1 character"),
        ({"algorithm": "grid"}, "the algorithm grid needs values, and loguniform has a range"),
        ({"algorithm": "tpe", "searchSpace": {"lr": {"type": "grid", "values": [1]}}}, "use the type choice instead"),
        ({"algorithm": "tpe", "scheduler": "pbt"}, "tpe does not go with it"),
        ({"algorithm": "pbt", "scheduler": "asha"}, "asha does not go with the algorithm pbt"),
        ({"resourcesPerTrial": "cpu=lots"}, "not a number of cores"),
        ({"numSamples": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_sweeps_are_refused_by_name(tune: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        spec(**tune)
    assert message in str(refused.value)


def test_a_group_of_replicas_has_no_resources_per_trial() -> None:
    with pytest.raises(ValidationError, match="several replicas; give each role its resources"):
        spec(replicas=2, resourcesPerTrial="cpu=1")
    assert spec(resourcesPerTrial="cpu=2,memory=1Gi").demand == Resources(2, 2**30)
    assert spec(worker={"replicas": 1}).demand == Resources(1)  # nothing would let all trials run at once


def test_a_sweep_that_is_lost_goes_on_by_itself() -> None:
    assert spec().retries == 3
    assert ExperimentSpec.model_validate(spec().model_dump(by_alias=True) | {"maxRetries": 0}).retries == 0


def test_the_grids_values_are_combined_and_the_rest_is_drawn_as_the_seed_has_it() -> None:
    grid = {"a": {"type": "grid", "values": [1, 2]}, "b": {"type": "grid", "values": ["x", "y", "z"]}}
    whole = space.normalized(grid | {"lr": LR, "n": {"type": "randint", "low": 0, "high": 3}})
    drawn = space.samples(whole, 2, 7, grid=False)
    assert Counter((d["a"], d["b"]) for d in drawn) == Counter({(a, b): 2 for a in (1, 2) for b in "xyz"})
    assert all(1e-4 <= d["lr"] <= 0.1 and d["n"] in (0, 1, 2) for d in drawn) and len({d["lr"] for d in drawn}) == 12
    assert drawn == space.samples(whole, 2, 7, grid=False) != space.samples(whole, 2, 8, grid=False)


def test_each_type_is_drawn_from_its_range() -> None:
    whole = space.normalized(
        {
            "q": {"type": "quniform", "low": 0, "high": 1, "q": 0.1},
            "normal": {"type": "normal", "mean": 5, "sd": 2},
            "log": {"type": "loguniform", "low": 1e-6, "high": 1},
        }
    )
    drawn = space.samples(whole, 3000, 1, grid=False)
    assert {d["q"] for d in drawn} == {n / 10 for n in range(11)}
    mean = sum(d["normal"] for d in drawn) / len(drawn)
    assert abs(mean - 5) < 0.2 and 0.1 < sum(d["normal"] > 7 for d in drawn) / len(drawn) < 0.22
    assert 0.4 < sum(d["log"] < 1e-3 for d in drawn) / len(drawn) < 0.6  # half of the logarithms


def test_parameters_inside_of_a_choice_count_where_it_is_chosen() -> None:
    whole = space.normalized(CHOICE)
    drawn = space.samples(whole, 50, 3, grid=False)
    flat = [space.flat(one) for one in drawn]
    assert {frozenset(one) for one in flat} == {
        frozenset({"optimizer.name", "optimizer.momentum"}),
        frozenset({"optimizer.name"}),
    }
    assert space.names(whole) == {"optimizer", "optimizer.name", "optimizer.momentum"}
    assert list(space.combinations(whole, ("choice",))) == [{"optimizer": 0}, {"optimizer": 1}]


def test_a_command_is_filled_word_by_word() -> None:
    sgd = {"lr": 0.5, "on": True, "words": "two words", "optimizer": {"name": "sgd", "momentum": 0.9}}
    adam = {"lr": 1e-05, "on": False, "words": "'", "optimizer": {"name": "adam"}}
    command = (
        "train.py --lr={{lr}} --on {{ on }} {{words}} --momentum {{optimizer.momentum}} --o {{optimizer}} '$(HOME)'"
    )
    assert space.fill_command(command, sgd) == (
        """train.py --lr=0.5 --on true 'two words' --momentum 0.9 --o '{"name": "sgd", "momentum": 0.9}' '$(HOME)'"""
    )
    assert "--momentum" not in space.fill_command(command, adam) and "--lr=1e-05" in space.fill_command(command, adam)
    assert space.fill("a {{lr}} {{optimizer.momentum}}|", adam) == "a 1e-05 |"


def test_the_launch_of_a_sweep_survives_the_way_to_the_cluster() -> None:
    from submarine_ray.spec.launch import Launch

    launch = plan_launch(spec(scheduler="asha", stop={"iterations": 9}), "e-1", "e-1-1", at_once=3)
    assert Launch.loads(launch.dumps()) == launch
    assert launch.tune and launch.tune.scheduler == {"type": "asha"} and launch.tune.max_concurrent == 3
    assert launch.tune.search_space["lr"]["low"] == 1e-4


def test_numbers_drawn_are_whole_where_they_must_be() -> None:
    choose = space.random_chooser(random.Random(1), {})
    drawn = space.draw(space.normalized({"n": {"type": "randint", "low": 1, "high": 4}}), choose)
    assert isinstance(drawn["n"], int)


WHOLE_STEPS = {"type": "quniform", "low": 16, "high": "64", "q": 16}


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cma-es"])
def test_whole_numbers_with_a_step_stay_whole(algorithm: str) -> None:
    whole = space.normalized({"x": WHOLE_STEPS, "y": {"type": "quniform", "low": 0.0, "high": 0.5, "q": 0.1}})
    tune = Tune(whole, "m", "max", num_samples=40, algorithm=algorithm, seed=1)
    drawn = space.samples(whole, 40, 1, False)
    found = drawn if algorithm == "random" else [search._optuna(tune).suggest(f"t{n}")["params"] for n in range(12)]
    assert {space.as_text(params["x"]) for params in found} <= {"16", "32", "48", "64"}
    assert {space.as_text(params["y"]) for params in found} <= {"0.0", "0.1", "0.2", "0.3", "0.4", "0.5"}


def test_what_a_population_perturbs_stays_on_its_steps() -> None:
    whole = space.normalized({"x": WHOLE_STEPS, "n": {"type": "randint", "low": 1, "high": 9}})
    moved = search._inside(whole, {"params": {"x": 48 * 1.2, "n": 3 * 1.2}})["params"]
    assert [space.as_text(value) for value in moved.values()] == ["64", "4"]
    assert search._inside(whole, {"params": {"x": 1000.0, "n": -4}})["params"] == {"x": 64, "n": 1}


def test_a_sweep_whose_command_cannot_be_filled_in_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"spec\.Worker\.cmd: cannot be filled in: No closing quotation"):
        spec(worker={"replicas": 1, "cmd": "train.py 'x {{lr}}"})


def test_a_sweeps_whole_numbers_may_stand_in_a_shells_arithmetic() -> None:
    document = {
        "meta": {"name": "a", "framework": "Shell", "cmd": 'train --steps "$(({{n}} * 2))"'},
        "spec": {"Worker": {"replicas": 1}},
        "tune": {
            "searchSpace": {"n": {"type": "randint", "low": 1, "high": 9}},
            "metric": "loss",
            "mode": "min",
        },
    }
    command = ExperimentSpec.model_validate(document).meta.cmd or ""
    assert space.fill_command(command, {"n": 3}, shell=True) == 'train --steps "$((3 * 2))"'


def test_names_above_others_are_as_deep_as_a_space_can_be() -> None:
    assert space.above(["a.b.c", "d"]) == {"a", "a.b", "a.b.c", "d"}
    deepest = ".".join("x" * (space.MAX_DEPTH + 1))
    assert space.above([deepest]) == {".".join("x" * depth) for depth in range(1, space.MAX_DEPTH + 2)}
    assert len(space.above([".".join("x" * 1000)])) == space.MAX_DEPTH + 3


def test_a_command_is_for_no_shell_unless_it_is_said() -> None:
    filled = space.fill_command("run {{a}}", {"a": "x; $y"})
    assert filled == space.fill_command("run {{a}}", {"a": "x; $y"}, shell=False)


def nested(depth: int) -> dict[str, Any]:
    """A space whose innermost domain is so many choices deep."""
    domain: dict[str, Any] = {"type": "uniform", "low": 0, "high": 1}
    for _ in range(depth):
        domain = {"type": "choice", "values": [{"x": domain}]}
    return {"x": domain}


def test_a_space_is_as_deep_as_it_may_be() -> None:
    whole = space.normalized(nested(space.MAX_DEPTH))
    assert [name for name, _ in space.domains(whole)][-1] == ".".join("x" * (space.MAX_DEPTH + 1))
    with pytest.raises(ValueError, match=f"is nested more than {space.MAX_DEPTH} deep"):
        space.normalized(nested(space.MAX_DEPTH + 1))


def test_every_domain_has_its_dotted_name() -> None:
    whole = space.normalized({"kind": {"type": "choice", "values": [1, "a"]}} | CHOICE)
    assert [name for name, _ in space.domains(whole)] == ["kind", "optimizer", "optimizer.momentum"]


def test_constants_of_a_branch_are_as_they_were_written() -> None:
    branch = {"name": "prototype", "layers": 3, "more": {"a": 1}, "none": None}
    whole = space.normalized({"model": {"type": "choice", "values": [branch]}})
    assert whole["model"] == {"type": "choice", "values": [branch]}
    assert space.samples(whole, 1, 0, grid=False) == [{"model": branch}]


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"low": 1, "high": 2}, "x: is no domain"),
        ({"type": "y" * 99}, f"x.type: '{'y' * 80}' is unknown"),
        ({"type": "uniform", "low": 1, "high": 1}, "low 1 is not below high 1"),
        ({"type": "uniform", "low": True, "high": 2}, "x.low: 'True' is not a number"),
        ({"type": "uniform", "low": "z" * 99, "high": 2}, f"x.low: '{'z' * 80}' is not a number"),
        ({"type": "uniform", "low": 10**400, "high": 2}, f"x.low: '1{'0' * 79}' is not a number"),
        ({"type": "uniform", "low": "nan", "high": 2}, "x.low: nan is not finite"),
        ({"type": "loguniform", "low": -1, "high": 2}, "a logarithmic range begins above 0"),
        ({"type": "normal", "mean": 0, "sd": -1}, "x.sd: must be above 0"),
        ({"type": "quniform", "low": 16, "high": 64, "q": 49}, "the step must be above 0"),
        ({"type": "choice", "values": "abc"}, "x.values: must be a list"),
        ({"type": "choice", "values": [0] * (space.MAX_VALUES + 1)}, f"x.values: has {space.MAX_VALUES + 1} values"),
    ],
)
def test_what_is_no_domain_is_told_by_its_name(domain: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        space.normalized({"x": domain})


def test_a_long_name_is_told_by_its_beginning() -> None:
    with pytest.raises(ValueError, match=f"^'{'-' * 120}' cannot name"):
        space.normalized({"-" * 130: LR})


@pytest.mark.parametrize(
    "domain",
    [
        {"type": "normal", "mean": 0.0, "sd": 0.5},
        {"type": "loguniform", "low": 0.5, "high": 2.0},
        {"type": "quniform", "low": 16, "high": 64, "q": 48},
        {"type": "choice", "values": [0] * space.MAX_VALUES},
    ],
)
def test_what_is_just_within_the_bounds_is_taken_as_it_is(domain: dict[str, Any]) -> None:
    assert space.normalized({"x": domain}) == {"x": domain}


def test_only_whole_numbers_with_a_step_stay_whole() -> None:
    whole = space.normalized({"x": {"type": "uniform", "low": 0, "high": "1"}})
    assert [space.as_text(whole["x"][end]) for end in ("low", "high")] == ["0.0", "1.0"]


class End(random.Random):
    """Chance that always draws one end of what it is asked for."""

    def __init__(self, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last

    def uniform(self, low: float, high: float) -> float:
        return high if self.is_last else low

    def randint(self, low: int, high: int) -> int:
        return high if self.is_last else low

    def randrange(self, low: int, high: int | None = None) -> int:  # type: ignore[override]
        first, beyond = (0, low) if high is None else (low, high)
        return beyond - 1 if self.is_last else first


@pytest.mark.parametrize(
    ("domain", "first", "last"),
    [
        ({"type": "uniform", "low": 2, "high": 3}, 2, 3),
        ({"type": "loguniform", "low": 1, "high": 8}, 1, 8),
        ({"type": "quniform", "low": 0.5, "high": 1, "q": 0.2}, 0.5, 0.9),
        ({"type": "quniform", "low": 16, "high": 64, "q": 16}, 16, 64),
        ({"type": "randint", "low": 3, "high": 9}, 3, 8),
        ({"type": "normal", "mean": 0, "sd": 1}, space.EDGE, 1 - space.EDGE),
        ({"type": "grid", "values": ["a", "b", "c"]}, 0, 2),
    ],
)
def test_the_ends_of_what_is_drawn(domain: dict[str, Any], first: float, last: float) -> None:
    (found,) = space.normalized({"x": domain}).values()
    for is_last, wanted in ((False, first), (True, last)):
        assert space.random_chooser(End(is_last), {})("x", found) == pytest.approx(wanted, abs=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("domain", "value", "nearest"),
    [
        ({"type": "uniform", "low": 0, "high": 1}, 0.25, 0.25),
        ({"type": "uniform", "low": 0, "high": 1}, 7, 1),
        ({"type": "uniform", "low": 0, "high": 1}, -7, 0),
        ({"type": "loguniform", "low": 0.01, "high": 1}, 0.4, 0.4),
        ({"type": "randint", "low": 1, "high": 10}, 99, 9),
        ({"type": "quniform", "low": 16, "high": 64, "q": 16}, 0, 16),
        ({"type": "quniform", "low": 1, "high": 2, "q": 0.3}, 99, 1.9),
        ({"type": "quniform", "low": 0.0, "high": 1, "q": 0.1}, 0.31, 0.3),
        ({"type": "quniform", "low": 0, "high": 0.9, "q": 0.1}, 0.31, 0.3),
    ],
)
def test_the_nearest_value_that_a_domain_has(domain: Any, value: float, nearest: float) -> None:
    assert space.settled(domain, value) == nearest


def test_axes_of_a_grid_go_into_branches() -> None:
    inner = {"type": "grid", "values": [1, 2]}
    whole = space.normalized({"a": {"type": "choice", "values": [{"b": inner}, "plain"]}})
    both = [{"a": 0, "a.b": 0}, {"a": 0, "a.b": 1}, {"a": 1}]
    assert list(space.combinations(whole, ("choice", "grid"))) == both
    assert space.samples(whole, 1, 0, grid=True) == [{"a": {"b": 1}}, {"a": {"b": 2}}, {"a": "plain"}]
    assert len(space.samples(space.normalized(CHOICE), 3, 0, grid=False)) == 3


def test_without_a_shell_what_a_shell_means_is_a_word() -> None:
    assert space.fill_command("run > {{a}}", {"a": "x"}) == "run '>' x"
    assert space.fill_command("run > {{a}}", {"a": "x"}, shell=True) == "run > x"
