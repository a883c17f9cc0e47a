"""JSON, CSV and verl's console to rows."""

import json

import pytest

from aent.errors import InputError
from aent.logs.formats import rows_of_console, rows_of_csv, rows_of_json

ROWS = [{"step": 1, "reward": 0.5}, {"step": 2, "reward": 0.75}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        "\n".join(map(json.dumps, ROWS)),
        json.dumps({"global_step": 2, "log_history": ROWS}, indent=2),
        "\n".join(json.dumps({"step": r["step"], "data": {"reward": r["reward"]}}) for r in ROWS),
        json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[1]) + '\n{"step": 3, "rew',
    ],
    ids=["list", "lines", "trainer state", "file log of verl", "cut short"],
)
def test_forms_of_json_give_the_same_rows(text):
    assert rows_of_json(text) == ROWS


def test_metrics_of_trackio_one_after_another():
    def printed(metric, values):
        points = [{"timestamp": "t", "step": s, "value": v} for s, v in values]
        return json.dumps({"project": "p", "run": "r", "metric": metric, "values": points}, indent=2)

    text = printed("train/reward", [(1, 0.5)]) + "\n" + printed("train/entropy", [(1, 0.25)])
    assert rows_of_json(text) == [{"step": 1, "train/reward": 0.5}, {"step": 1, "train/entropy": 0.25}]


@pytest.mark.parametrize("text", ["reward,step", '{"a": 1}\n{"b": \n{"c": 1}\n', "nonsense"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(InputError, match="it is not JSON"):
        rows_of_json(text)


def test_the_chart_of_one_run_of_wandb():
    name = "run-1 - train/reward"
    text = f'"Step","{name}","{name}__MIN","{name}__MAX"\n5,0.5,0.1,0.9\n'
    assert rows_of_csv(text) == [{"Step": "5", "train/reward": "0.5"}]


def test_blanks_after_the_commas_belong_to_no_name_and_no_number():
    assert rows_of_csv("step, entropy, reward\n1, 0.8, 0.5\n") == [
        {"step": "1", "entropy": "0.8", "reward": "0.5"}
    ]


def test_the_chart_of_two_runs_is_refused_by_name():
    with pytest.raises(InputError, match=r"2 runs \(a, b\); export one run at a time"):
        rows_of_csv("Step,a - reward,b - reward\n1,2,3\n")


def test_a_last_row_of_a_table_that_was_cut_short_is_left_out():
    text = "step,entropy,reward\n1,0.84,0.25\n2,0.79,0.31\n"
    whole = rows_of_csv(text)
    for length in range(text.index("2,0.79"), text.index(",0.31")):
        assert rows_of_csv(text[:length]) == whole[:1]
    assert rows_of_csv(text[:-1]) == whole
    assert rows_of_csv("step,entropy,reward\n1,0.84\n2,0.79,0.31\n")[0] == {**whole[0], "reward": None}


@pytest.mark.parametrize(
    ("text", "line"),
    [(f"step,reward\n1,0.5\n2,{'9' * 140_000}\n", 3), (f"step,{'a' * 140_000}\n1,0.5\n", 1)],
    ids=["row", "header"],
)
def test_a_cell_that_python_does_not_read_is_refused_with_its_line(text, line):
    """Python's csv reads cells of up to 131,072 characters."""
    message = rf"line {line}: field larger than field limit .*\. Export the step and the metrics"
    with pytest.raises(InputError, match=message):
        rows_of_csv(text)


def test_the_console_of_verl_among_other_lines():
    text = (
        "\x1b[36m(TaskRunner pid=71)\x1b[0m step:0 - val-core/x/acc/mean@1:0.5\n"
        "(TaskRunner pid=71) Training Progress:   1%|\n"
        "\x1b[36m(TaskRunner pid=71)\x1b[0m step:12 - actor/entropy:np.float64(0.25) - "
        "actor/pg_loss:-1e-03 - critic/score/mean:nan - training/global_step:12\n"
        "a step:3 of something else\n"
    )
    assert rows_of_console(text)[1:] == [
        {
            "step": "12",
            "actor/entropy": "0.25",
            "actor/pg_loss": "-1e-03",
            "critic/score/mean": "nan",
            "training/global_step": "12",
        }
    ]
    assert len(rows_of_console(text)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5000, "not a log"),
    ],
    ids=["lists", "mappings", "digits"],
)
def test_what_python_cannot_hold_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        rows_of_json(text)


def test_the_name_of_a_data_set_may_hold_blanks_and_brackets():
    """verl puts the validation in front of the step's other metrics."""
    text = "step:5 - val-core/word problems (easy)/acc/mean@1:0.5 - actor/entropy:0.25 [repeated 2x]\n"
    row = {"step": "5", "val-core/word problems (easy)/acc/mean@1": "0.5", "actor/entropy": "0.25"}
    assert rows_of_console(text) == [row]
