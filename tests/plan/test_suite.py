"""A suite file is read strictly, and every fault is one line that says where and what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_plan, write_suite

from bench.contracts.kinds import METRIC
from bench.contracts.metric import PRESETS
from bench.errors import SuiteError
from bench.plan import suite as schema
from bench.plan.suite import Model, load

ROOT = Path(__file__).parents[2]


def fault(folder: Path, *overrides: str, **changes: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        load(write_suite(folder, **changes), overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_leading_comment_is_the_question(tmp_path: Path) -> None:
    assert load(write_suite(tmp_path)).question == "Is it tiny?"


def test_lists_and_mappings_of_rows_mean_the_same(tmp_path: Path) -> None:
    short = load(write_suite(tmp_path, methods=["none", "wkd"]))
    long = load(write_suite(tmp_path, methods={"none": None, "wkd": {}}))
    assert short == long


def test_an_unknown_key_names_the_closest_and_what_exists(tmp_path: Path) -> None:
    text = fault(tmp_path, budget={"stepz": 4, "steps": 4})
    assert "tiny.yaml: budget: unknown key 'stepz'. Did you mean 'steps'? Known: batch" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": {"steps": 4, "epochs": 1}}, "budget: give either steps or epochs."),
        ({"budget": {"steps": 4, "lr": -1.0}}, "budget.lr: should be greater than 0, found -1.0."),
        ({"budget": {"steps": "many"}}, "budget.steps: should be a valid integer, found 'many'."),
        ({"widths": [2, 2]}, "widths: names one value twice, found [2, 2]."),
        ({"seeds": []}, "seeds: List should have at least 1 item"),
        ({"select": "best_on_val"}, "select: say by which metric"),
        ({"teacher": {"width": 4, "mode": "frosen"}}, "teacher.mode: should be 'frozen', 'online'"),
        ({"teacher": {"width": 4, "mode": "assistant"}}, "teacher: mode assistant needs"),
        ({"name": "../etc"}, "name: String should match pattern"),
    ],
)
def test_a_wrong_value_is_said_with_its_place(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    assert said in fault(tmp_path, **changes)


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    path.write_text(path.read_text() + "seeds: [1]\n")
    with pytest.raises(SuiteError, match="key 'seeds' stands twice"):
        load(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"nowhere.yaml: cannot be read: No such file"):
        load(tmp_path / "nowhere.yaml")


def test_no_object_is_made_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(SuiteError, match="could not determine a constructor"):
        load(path)


@pytest.mark.parametrize("text", ["2e-4", "0.0002", "2.0e-04", "+2e-4"])
def test_numbers_are_read_as_people_mean_them(tmp_path: Path, text: str) -> None:
    """YAML 1.1, and so PyYAML, reads 2e-4 as a string."""
    assert load(write_suite(tmp_path), [f"budget.lr={text}"]).budget.lr == 2e-4


def test_overrides_reach_into_rows_and_later_ones_win(tmp_path: Path) -> None:
    suite = load(write_suite(tmp_path), ["methods.wkd.levels=2", "seeds=[3]", "seeds=[4, 5]"])
    assert suite.methods["wkd"] == {"levels": 2}
    assert suite.seeds == [4, 5]


@pytest.mark.parametrize("override", ["budget.steps", "=3", "name.x=1"])
def test_an_override_that_cannot_be_laid_is_an_error(tmp_path: Path, override: str) -> None:
    assert fault(tmp_path, override).startswith(f"--set {override}:")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_every_metric_that_declares_itself_part_of_it(
    tmp_path: Path, preset: str
) -> None:
    suite = load(write_suite(tmp_path, metrics=preset))
    of_each = {name: METRIC.declaration(name, "test").says for name in METRIC.names()}
    assert set(suite.metrics) == {n for n, says in of_each.items() if preset in says.presets}
    assert set(suite.metrics) >= {"params", "macs", "latency", "psnr", "ssim"}
    assert all(given == {} for given in suite.metrics.values())
    assert {p for says in of_each.values() for p in says.presets} == set(PRESETS)
    assert set(tiny_plan(tmp_path, metrics=preset).suite.metrics) == set(suite.metrics)


def test_the_offline_preset_needs_no_weights_and_the_modern_one_is_not_fid_alone(
    tmp_path: Path,
) -> None:
    for name in load(write_suite(tmp_path, metrics="offline")).metrics:
        declaration = METRIC.declaration(name, "test")
        assert declaration.says.pretrained(declaration.params({}, "test")) == []
    modern = load(write_suite(tmp_path, metrics="modern")).metrics
    assert {"fid", "kid", "precision", "recall", "density", "coverage"} <= set(modern)


def test_no_preset_is_an_error_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no preset 'papers': give one of paper, modern, offline"):
        load(write_suite(tmp_path, metrics="papers"))


def test_a_teachers_budget_states_only_what_differs(tmp_path: Path) -> None:
    budget = {"steps": 4, "batch": 3, "lr": 1e-3}
    suite = load(
        write_suite(tmp_path, budget=budget, teacher={"width": 4, "budget": {"epochs": 2}})
    )
    assert suite.teacher is not None
    assert suite.teacher.budget is not None
    assert suite.teacher.budget.model_dump() == {
        "steps": None,
        "epochs": 2,
        "batch": 3,
        "lr": 1e-3,
        "decay": 0.5,
        "to_zero": False,
        "warmup": 0,
    }


@pytest.mark.parametrize("path", sorted((ROOT / "suites").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_suite_of_the_project_is_valid_and_asks_a_question(path: Path) -> None:
    suite = load(path)
    assert suite.name == path.stem
    assert suite.question.endswith(("?", "."))


def test_every_key_of_a_suite_says_what_it_means() -> None:
    """The site's reference is made from this; a stage's keys mean what they do in a budget."""

    models = [m for m in vars(schema).values() if isinstance(m, type) and issubclass(m, Model)]
    assert {m.__name__ for m in models} >= {"Suite", "Budget", "Teacher", "Tune", "Snapshots"}
    said = schema.Budget.model_fields
    for model in models:
        for name, field in model.model_fields.items():
            meaning = field.description or said[name].description
            assert meaning, f"{model.__name__}.{name}"
            assert meaning.endswith("."), f"{model.__name__}.{name}"
