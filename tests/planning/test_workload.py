import pytest

from aent.errors import InputError
from aent.planning.memory import states
from aent.planning.timing import scoring_flops


def test_batches_stay_on_another_number_of_gpus(planned):
    usual, more = planned(), planned(gpus=16)
    assert usual.flags == ""
    assert more.flags == "--gradient_accumulation_steps 16 --steps_per_generation 64"
    assert more.work.completions == usual.work.completions == 8192
    assert more.work.batches == usual.work.batches == 420
    given = more.flags.split()
    again = planned(*given).work  # the flags, on the GPUs the recipe is written for: a quarter of the batch
    assert (again.completions, again.batches) == (2048, 420)
    with pytest.raises(InputError, match="cannot be spread evenly over 3"):
        planned(gpus=3)


def test_what_a_recipe_may_ask_that_the_estimate_does_not_know(planned):
    for argv, name, said in (
        (["--algorithm", "ppo", "--num_generations", "1"], "gsm8k", "critic"),
        ([], "countdown", "makes its own policy"),
        (["--load_in_4bit", "true"], "gsm8k-lora", "load_in_4bit=True changes the memory.*knows only False"),
        (["--optim", "adamw_bnb_8bit"], "gsm8k", "optim=adamw_bnb_8bit.*adamw_torch_fused or adamw_torch;"),
        (["--vllm_tensor_parallel_size", "2"], "paper-math", "vllm_tensor_parallel_size=2"),
        (["--max_steps", "-1"], "gsm8k", "max_steps"),
    ):
        with pytest.raises(InputError, match=said):
            planned(*argv, name=name)
    with pytest.raises(InputError, match="mean length 4000"):
        planned(mean=4000)


@pytest.mark.parametrize(
    "name",
    [
        "num_generations",
        "gradient_accumulation_steps",
        "per_device_train_batch_size",
        "steps_per_generation",
        "num_iterations",
    ],
)
def test_what_a_batch_is_counted_in_is_at_least_one(planned, name):
    with pytest.raises(InputError, match=f"{name}=0 must be at least 1"):
        planned(f"--{name}", "0")


@pytest.mark.parametrize(
    ("name", "generator"), [("gsm8k", "transformers"), ("paper-math", "vLLM on the training GPUs")]
)
def test_gpus_of_a_server_need_a_server(planned, name, generator):
    with pytest.raises(InputError, match=f"generates with {generator}; add --use_vllm --vllm_mode server"):
        planned(name=name, server_gpus=4)
    served = planned("--use_vllm", "--vllm_mode", "server", name=name, server_gpus=4).work
    assert (served.generator, served.server_gpus) == ("server", 4)


def test_rloo_always_scores_its_rollouts(planned):
    """It has a ratio even where rollouts serve one step; TRL's GRPO then takes the one of the update."""
    flags = ("--beta", "0", "--use_vllm", "--vllm_mode", "server")
    assert planned("--algorithm", "rloo", *flags, name="gsm8k").work.scored
    assert not planned(*flags, "--vllm_importance_sampling_correction", "false", name="gsm8k").work.scored


def test_the_reference_of_an_adapter_takes_time_but_no_memory(planned):
    alone, beside = (planned("--beta", beta, name="gsm8k-lora") for beta in ("0", "0.1"))
    assert scoring_flops(beside.sizes, beside.work) > scoring_flops(alone.sizes, alone.work)
    assert states(beside.sizes, beside.work) == states(alone.sizes, alone.work)
    assert "reference model" in states(planned("--beta", "0.1").sizes, planned("--beta", "0.1").work)
