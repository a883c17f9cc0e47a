import contextlib
import json
import re
from fractions import Fraction

import pytest
from reasoning_gym.games.countdown import CountdownDataset

from aent.errors import InputError
from aent.tasks import ReasoningGym

SOURCES = [
    "arc_1d",
    "base_conversion",
    "basic_arithmetic",
    "calendar_arithmetic",
    "chain_sum",
    "coin_flip",
    "complex_arithmetic",
    "countdown",
    "family_relationships",
    "gsm_symbolic",
    "leg_counting",
    "letter_jumble",
    "mini_sudoku",
    "n_queens",
    "simple_equations",
    "spell_backward",
    "word_sorting",
]


@pytest.mark.parametrize("source", SOURCES)
def test_validate(source):
    task = ReasoningGym(source=source, train_size=5, test_size=5)
    assert task.validate("test") == task.validate("train") == 5


def test_scorers_that_compare_tuples_get_them_back():
    assert ReasoningGym(source="arc_agi", train_size=3, test_size=3).validate() == 3


def test_reward_reads_the_last_tag_or_the_whole_completion():
    task = ReasoningGym(source="chain_sum", test_size=1)
    row = task.dataset("test")[0]
    gold = json.loads(row["entry"])["answer"]
    completions = [
        gold,
        f" {gold}\n",
        f"<answer>0</answer> no, <answer> {gold} </answer> it is",
        f"<answer>{gold}</answer> no, <answer>none</answer>",
        "",
        [{"role": "assistant", "content": f"<answer>{gold}</answer>"}],
    ]
    rewards = task.reward(completions, entry=[row["entry"]] * 6, trainer_state=None)
    assert rewards == [1.0, 1.0, 1.0, 0.0, 0.0, 1.0]


def test_train_and_test_share_no_question():
    # Two digits and a sign: some 200 questions, so that the two splits draw the same ones.
    task = ReasoningGym(
        source="chain_sum",
        config={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
        train_size=60,
        test_size=30,
    )
    train, test = (task.dataset(split)["prompt"] for split in ("train", "test"))
    assert len(set(train)) == 60
    assert len(set(test)) == 30
    assert not set(train) & set(test)


def test_neighbouring_seeds_share_no_items():
    one, other = (ReasoningGym(seed=seed, test_size=30).dataset("test") for seed in (0, 1))
    assert not set(one["prompt"]) & set(other["prompt"])
    again = ReasoningGym(seed=1, test_size=30).dataset("test")
    assert again.to_list() == other.to_list()


def test_config_changes_the_problems():
    config = {"min_terms": 7, "max_terms": 7}
    prompts = ReasoningGym(source="chain_sum", config=config, test_size=5).dataset("test")["prompt"]
    assert all(len(re.findall("[0-9]+", prompt)) == 7 for prompt in prompts)


def test_items_without_a_gold_answer_are_left_out():
    task = ReasoningGym(source="string_manipulation", test_size=60, train_size=5)
    assert task.skipped("test") > 0  # some strings are empty in the end
    assert all(json.loads(entry)["answer"] for entry in task.dataset("test")["entry"])


def test_a_data_set_without_gold_answers_is_refused():
    with pytest.raises(InputError, match="'graph_color' has no gold answers"):
        ReasoningGym(source="graph_color").dataset("test")


def test_a_scorer_that_pays_any_answer_is_refused_before_anything_is_trained():
    # it compares the truth values of the texts, so that every text that is not empty is right
    with pytest.raises(InputError, match=r"'game_of_life_halting': its scorer .* pays every answer"):
        ReasoningGym(source="game_of_life_halting", test_size=2)


def test_a_scorer_that_pays_wrong_answers_fails_validation(monkeypatch):
    task = ReasoningGym(source="chain_sum", test_size=2)
    monkeypatch.setattr(ReasoningGym, "score", lambda *_: 1.0)
    with pytest.raises(InputError, match=r"row 0: .* scores 1.0 and the wrong answer .* scores 1.0"):
        task.validate()


@pytest.mark.parametrize("answer", ["nan", "NaN", "nan+nani", "nani", "inf", "-Infinity", "infj", "1e999"])
@pytest.mark.parametrize(
    "source", ["complex_arithmetic", "number_format", "number_sorting", "decimal_chain_sum"]
)
def test_what_is_no_finite_number_earns_nothing(source, answer):
    task = ReasoningGym(source=source, test_size=3)
    assert max(task.score(answer, row) for row in task.dataset("test").to_list()) <= 0.05


def test_a_prefix_of_a_probability_earns_nothing():
    task = ReasoningGym(source="coin_flip", test_size=30)
    for row in task.dataset("test").to_list():
        gold = Fraction(json.loads(row["entry"])["answer"])
        for answer in ("0", "0.", "0.0", "0,0", "0/1", "1", "1e-400000000", "0.1"):
            right = answer[:2] != "1e" and abs(Fraction(answer.replace(",", "")) - gold) <= 1e-4
            assert task.score(answer, row) == (1.0 if right else 0.0), answer
        assert task.score(str(gold), row) == 1.0


def test_a_probability_with_an_exponent_is_right():
    """As the gold answer of a question about many coins is written."""
    entry = {"question": "?", "answer": "3.051757812e-05", "metadata": {}}
    task, row = ReasoningGym(source="coin_flip"), {"entry": json.dumps(entry)}
    assert task.score(task.gold(row), row) == 1.0
    for answer in ("e-05", ".e-05", "3e-", "3.05e-01", "3.05e-999999999", "", "."):
        assert task.score(answer, row) == 0.0, answer


def test_a_scorer_that_takes_too_long_or_too_much_pays_nothing():
    task = ReasoningGym(source="coin_flip", test_size=1)
    row = task.dataset("test")[0]
    assert task.score("1e999999999", row) == 0.0  # as a fraction it has a billion digits
    assert task.score("9" * 10**7, row) == 0.0
    assert task.score("<answer>" * 10**5, row) == 0.0


def test_an_answer_that_the_scorer_cannot_read_is_wrong():
    task = ReasoningGym(source="prime_factorization", test_size=1)
    row = task.dataset("test")[0]
    for text in ("no", "[1,2", "{}", "9/0", "__import__('os')", "٣"):
        assert task.score(text, row) < 1


def _attacks(marker):
    opened = f"open('{marker}','w')"
    return [
        f"__import__('os').system('touch {marker}')",
        opened,
        f"[{opened}]",
        f"(open)('{marker}','w')",
        f'exec("{opened}")',
        f'S("{opened}")',
        f"{opened}!",
        f"[f'{{{opened}}}']",
        f"ｏｐｅｎ('{marker}','w')",
    ]


EVALUATED = [
    "binary_matrix",
    "countdown",
    "intermediate_integration",
    "n_queens",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
    "spiral_matrix",
    "string_insertion",
]


@pytest.mark.parametrize("source", EVALUATED)
def test_no_answer_is_run_as_code(source, tmp_path):
    task = ReasoningGym(source=source, test_size=3, train_size=3)
    row = task.dataset("test")[0]
    for attack in _attacks(tmp_path / "ran"):
        assert task.score(attack, row) == 0.0
        assert not (tmp_path / "ran").exists(), attack
    assert task.validate() == 3  # and honest answers still pass


def test_no_other_scorer_runs_answers_as_code(tmp_path):
    from reasoning_gym.factory import DATASETS, create_dataset

    slow = {"composite", "acre", "zebra_puzzles", "futoshiki", "knight_swap", "rubiks_cube"}
    for source in set(DATASETS) - slow - set(EVALUATED):
        made = create_dataset(source, size=1, seed=0)
        entry = made[0]
        for attack in _attacks(tmp_path / "ran"):
            with contextlib.suppress(Exception):  # whether they raise is not the question here
                made.score_answer(attack, entry)
            assert not (tmp_path / "ran").exists(), (source, attack)


def test_a_huge_number_never_reaches_an_evaluating_scorer(monkeypatch):
    task = ReasoningGym(source="countdown", test_size=1)
    row = task.dataset("test")[0]
    monkeypatch.setattr(CountdownDataset, "score_answer", lambda *_: pytest.fail("it would stall there"))
    assert task.score("9**9**9**9", row) == 0.0


SHOWN = ["lcm", "simple_equations", "spell_backward", "string_manipulation"]


@pytest.mark.parametrize("source", SHOWN)
def test_demonstrations_are_training_questions_with_bare_gold_answers(source):
    task = ReasoningGym(source=source, train_size=100, test_size=50)
    shown = task.demonstrations(300).to_list()
    assert len(shown) == 300
    assert len({row["prompt"] for row in shown}) > 200
    held_out = {row["prompt"]: row["entry"] for row in task.dataset("test")}
    assert not held_out.keys() & {row["prompt"] for row in shown}
    # the scorer judges an answer by its entry, which a wider draw of the same side holds
    side = ReasoningGym(source=source, train_size=1000, test_size=50).dataset("train")
    entries = {row["prompt"]: row["entry"] for row in side}
    met = [row for row in shown if row["prompt"] in entries]
    assert met
    assert all(task.score(row["completion"], {"entry": entries[row["prompt"]]}) == 1 for row in met)
    assert not any("<answer>" in row["completion"] for row in shown)


def test_demonstrations_leave_out_what_the_test_split_asks():
    # two numbers from 2 to 6: 25 questions, of which 5 are held out and 20 can be shown
    task = ReasoningGym(
        source="lcm", config={"min_value": 2, "max_value": 6}, train_size=18, test_size=5, seed=3
    )
    shown = set(task.demonstrations(2000)["prompt"])
    held_out = set(task.dataset("test")["prompt"])
    assert not shown & held_out
    assert len(held_out) == 5
    assert len(shown) == 20
    assert set(task.dataset("train")["prompt"]) <= shown
    assert all(re.search(r": [2-6], [2-6]$", prompt) for prompt in shown | held_out)


def test_demonstrations_depend_on_their_seed():
    task = ReasoningGym(source="spell_backward", train_size=50, test_size=20)
    first, again, other = (task.demonstrations(50, seed).to_list() for seed in (0, 0, 1))
    assert first == again != other


def test_alphabet_and_length_cover_splits_and_demonstrations():
    task = ReasoningGym(source="simple_equations", train_size=60, test_size=30)
    shown, golds = task.demonstrations(1000), []
    for split in ("train", "test"):
        rows = task.dataset(split)
        golds += [json.loads(entry)["answer"] for entry in rows["entry"]]
        assert set("".join(rows["prompt"])) <= set(task.alphabet)
    assert set("".join(golds)) <= set(task.alphabet)
    assert set("".join([*shown["prompt"], *shown["completion"]])) <= set(task.alphabet)
    assert task.max_length == max(map(len, golds))
    assert max(map(len, shown["completion"])) <= task.max_length
    assert list(task.alphabet) == sorted(set(task.alphabet))


def test_what_the_alphabet_lacks_is_not_shown():
    # one training question with few letters: most words hold others
    task = ReasoningGym(source="spell_backward", train_size=1, test_size=1)
    words = set("".join(task.demonstrations(20)["completion"]))
    assert words <= set(task.alphabet)
    assert not words >= set("abcdefghijklmnopqrstuvwxyz")


def test_nothing_to_demonstrate():
    config = {"min_value": 2, "max_value": 3}  # four questions, and the test split takes them all
    task = ReasoningGym(source="lcm", config=config, train_size=1, test_size=4)
    with pytest.raises(InputError, match=r"gave 0 distinct train questions .* train_size=1 asks for more"):
        task.demonstrations(1)
    with pytest.raises(InputError, match=r"demonstrations\(n=0\)"):
        ReasoningGym().demonstrations(0)


def test_too_few_questions():
    config = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    with pytest.raises(InputError, match=r"distinct test questions .* test_size=5000 asks for more"):
        ReasoningGym(source="chain_sum", config=config, test_size=5000).dataset("test")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": "chain_sums"}, r"unknown reasoning-gym data set 'chain_sums'. Did you mean "),
        ({"config": {"foo": 1}}, r"'chain_sum' refuses config \{'foo': 1\}.*max_terms, min_digits"),
        ({"config": {"min_terms": -1}}, "refuses config"),
        ({"config": {"seed": 3}}, "sets seed; set train_size, test_size and seed of the task"),
        ({"test_size": 0}, "test_size=0 is out of range"),
        ({"seed": -1}, "seed=-1 is out of range"),
    ],
)
def test_fields(fields, message):
    with pytest.raises(InputError, match=message):
        ReasoningGym(**fields)


def test_a_conversation_asks_for_tags_and_reads_only_them():
    bare = ReasoningGym(source="lcm", train_size=3, test_size=3)
    chat = ReasoningGym(source="lcm", train_size=3, test_size=3, chat=True)
    row, plain = chat.dataset("test")[0], bare.dataset("test")[0]
    (message,) = row["prompt"]
    assert message["content"].startswith(plain["prompt"])
    assert message["content"].endswith("between <answer> and </answer>.")
    gold = chat.answer(chat.gold(row))
    assert (chat.score(chat.gold(row), row), chat.score(gold, row), bare.score(gold, plain)) == (1, 0, 1)
    assert chat.validate("test") == 3
    with pytest.raises(InputError, match="a policy from scratch is trained on bare questions"):
        chat.demonstrations(1)


def test_an_empty_answer_is_no_vote():
    task = ReasoningGym(source="lcm", train_size=3, test_size=3, chat=True)
    row = task.dataset("test")[0]
    for completion in ("", "no tags: 12", "<answer> \n</answer>"):
        assert task.answer(completion) is None
        assert task.score(completion, row) == 0
