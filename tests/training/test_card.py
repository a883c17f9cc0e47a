from aent.training.card import UNKNOWN, completed_card


def test_only_an_unknown_base_is_replaced(tmp_path):
    card = tmp_path / "README.md"

    def create(model_name):
        card.write_text(f'# {model_name}\n\nA fine-tuned version of {base}.\npipeline(model="{hub}")\n')

    created = completed_card(create, tmp_path, "a policy made from scratch for countdown")
    base, hub = UNKNOWN, "None"
    created("run")
    assert card.read_text() == (
        "# run\n\nA fine-tuned version of a policy made from scratch for countdown.\n"
        f'pipeline(model="{tmp_path}/policy")\n'
    )
    base = "[Qwen/Qwen2.5-0.5B](https://huggingface.co/Qwen/Qwen2.5-0.5B)"
    hub = "me/run"
    created(model_name="run")
    assert base in card.read_text()
    assert 'model="me/run"' in card.read_text()


def test_other_processes_write_no_card(tmp_path):
    completed_card(lambda: None, tmp_path, "x")()
    assert list(tmp_path.iterdir()) == []
