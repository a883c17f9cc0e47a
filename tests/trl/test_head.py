"""Our pass in TRL's fused LM head, against naive logits and against TRL's own kernel."""

from contextlib import contextmanager

import pytest
import torch
import transformers as hf
from peft import LoraConfig, get_peft_model
from stepping import gradient, naive_clamped_entropy, naive_logits, rollout, scored
from torch.utils._python_dispatch import TorchDispatchMode
from trl import GRPOTrainer
from trl.trainer import utils as host
from trl.trainer.utils import add_fused_lm_head

from aent import Fixed, Fraction, Full, InputError, Method
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer
from aent.trl.head import EntropyHead

BONUS = Method(name="test", subset=Fraction(drop=0.25), controller=Fixed(coef=0.3))
SHAPE = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "initializer_range": 0.2, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None,
}  # fmt: skip
LORA = {"r": 2, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False, "task_type": "CAUSAL_LM"}


def model_of(name, dtype=torch.float32, **changes):
    torch.manual_seed(0)
    config = getattr(hf, f"{name}Config")(**{**SHAPE, **changes})
    return getattr(hf, f"{name}ForCausalLM")(config).to(dtype)


MOE = {
    "num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": True,
    "router_aux_loss_coef": 0.5,
}  # fmt: skip
CHECKPOINTED = {"gradient_checkpointing": True}
CASES = {
    # the model, options of the host, options of PEFT
    "tied": (("Qwen2", {"tie_word_embeddings": True}), {}, None),
    "bias": (("Phi", {}), {}, None),
    "scale": (("Cohere", {"logit_scale": 0.3}), {}, None),
    "divisor": (("Granite", {"logits_scaling": 3.0}), {}, None),
    "softcap": (("Gemma2", {"head_dim": 16, "final_logit_softcapping": 2.0}), {}, None),
    "experts": (("Mixtral", MOE), {}, None),
    "lora": (("Qwen2", {}), {}, LORA),
    "lora and whole head": (("Qwen2", {}), {}, {**LORA, "modules_to_save": ["lm_head"]}),
    "lora and tied whole head": (
        ("Qwen2", {"tie_word_embeddings": True}), {}, {**LORA, "modules_to_save": ["lm_head"]},
    ),
    "reentrant": (
        ("Qwen2", {}), {**CHECKPOINTED, "gradient_checkpointing_kwargs": {"use_reentrant": True}}, None,
    ),
    "not reentrant": (
        ("Qwen2", {}), {**CHECKPOINTED, "gradient_checkpointing_kwargs": {"use_reentrant": False}}, None,
    ),
    "lora reentrant": (
        ("Qwen2", {}), {**CHECKPOINTED, "gradient_checkpointing_kwargs": {"use_reentrant": True}}, LORA,
    ),
    "bf16 weights": (("Qwen2", {"dtype": torch.bfloat16}), {}, None),
    "bf16 weights, fp32 head": (
        ("Qwen2", {"dtype": torch.bfloat16}), {"cast_lm_head_to_fp32": True}, None,
    ),
    "bf16 weights, tied fp32 head": (
        ("Qwen2", {"dtype": torch.bfloat16, "tie_word_embeddings": True}),
        {"cast_lm_head_to_fp32": True}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_trls_and_the_naive_bonus(case, build, options):
    (name, shape), changes, lora = CASES[case]
    trainer = build(
        AEntGRPOTrainer,
        AEntGRPOConfig,
        options | {"temperature": 0.8} | changes,
        model=model_of(name, **shape),
        method=BONUS,
        peft_config=None if lora is None else LoraConfig(**lora),
    )
    model = trainer.model
    if "gradient_checkpointing_kwargs" in changes:
        model.gradient_checkpointing_enable(changes["gradient_checkpointing_kwargs"])
    inputs = rollout(trainer, 16)
    ours = gradient(trainer, trainer._compute_loss(model, inputs))
    entropy, tokens = trainer._aent_window.sums.entropy, trainer._aent_window.sums.weight

    with torch.no_grad():
        logp = trainer._get_per_token_logps_and_entropies(model, *scored(inputs))[0]
        logits = naive_logits(trainer.model, inputs, 0.8)
    mask = inputs["completion_mask"].bool()
    expected = logits.log_softmax(-1).gather(-1, inputs["completion_ids"][..., None])[..., 0]
    torch.testing.assert_close(logp[mask], expected[mask], rtol=0, atol=1e-5)

    trainer._aent_head.bonus = False
    plain = gradient(trainer, GRPOTrainer._compute_loss(trainer, model, inputs))
    with trainer._aent_head.recording() as recorded:
        measuring = gradient(trainer, GRPOTrainer._compute_loss(trainer, model, inputs))
    assert torch.equal(measuring, plain)

    naive = naive_clamped_entropy(trainer.model, inputs, 0.25, 0.8)
    assert naive < 0.99 * torch.distributions.Categorical(logits=logits[mask]).entropy().mean()
    assert (entropy / tokens).item() == pytest.approx(naive.item(), abs=1e-5)
    (measured,) = recorded
    assert measured.slopes is None
    assert (measured.entropy.sum() / tokens).item() == pytest.approx(naive.item(), abs=1e-5)

    change = -0.3 * gradient(trainer, naive)
    precision = 5e-6 if shape.get("dtype") is None else 0.02  # of three backward passes in bfloat16
    assert change.norm() > 3 * precision * ours.norm()  # the comparison has something to see
    assert (ours - plain - change).norm() < precision * ours.norm()


FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


@pytest.mark.parametrize("compute", ["float32", "bfloat16", "bfloat16, hidden float32", "autocast"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"logit_scale": 1 / 3},
        {"final_logit_softcapping": 2.0},
        {"logit_scale": 1 / 3, "final_logit_softcapping": 2.0},
    ],
    ids=str,
)
def test_every_field_is_the_hosts(changes, compute):
    """Whatever the host applies to its logits; its kernel and ours see the same hidden states."""
    model = model_of("Phi", **changes)
    if "float32" in compute:  # in 16 bits the host rounds before it adds the bias, and after
        torch.nn.init.normal_(model.lm_head.bias)
    if compute.startswith("bfloat16"):
        model.to(torch.bfloat16)
    if compute.endswith("hidden float32"):
        model.model.final_layernorm.register_forward_hook(lambda _, __, hidden: hidden.float())
    add_fused_lm_head(model, temperature=0.8, outputs=FIELDS)
    ids = torch.randint(2, 96, (3, 7))
    labels = ids.masked_fill(torch.rand(ids.shape) < 0.3, -100)

    def run(forward):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=compute == "autocast"):
            output = forward(input_ids=ids, labels=labels, fused_lm_head=True)
        (output.log_probs * torch.linspace(-1, 1, output.log_probs.numel()).view(3, 6)).sum().backward()
        return output, torch.cat([p.grad.float().flatten() for p in model.parameters()])

    theirs, their_gradient = run(model.forward)
    head = EntropyHead(Fraction(drop=0.25))
    head.attach(model)
    head.bonus = True
    ours, our_gradient = run(model.forward)
    assert set(ours) == {*theirs, "clamped_entropy"}
    for name in ("loss", "label_mask", *FIELDS):
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-5, msg=name)
    assert (ours.clamped_entropy < ours.entropy)[ours.label_mask].all()
    precision = 1e-5 if compute == "float32" else 0.01
    assert (our_gradient - their_gradient).norm() < precision * their_gradient.norm()


@pytest.mark.parametrize(
    ("subset", "calls"), [(Full(), 0), (Fraction(drop=0.25), 1)], ids=["full", "fraction"]
)
def test_measuring_runs_our_pass_only_where_the_hosts_entropy_is_another(subset, calls, monkeypatch):
    model = model_of("Qwen2")
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    head = EntropyHead(subset)
    head.attach(model)
    rows = []
    through = EntropyHead._through

    def counted(self, door, hidden, *args):
        rows.append(len(hidden))
        return through(self, door, hidden, *args)

    monkeypatch.setattr(EntropyHead, "_through", counted)
    ids = torch.randint(2, 96, (3, 7))
    labels = ids.clone()
    labels[:, :4] = -100
    with head.recording() as recorded:
        output = model(input_ids=ids, labels=labels, fused_lm_head=True)
    assert rows == [9] * calls  # three tokens of three completions, no prompts
    (measured,) = recorded
    assert torch.equal(measured.entropy, output.entropy) == (calls == 0)
    model(input_ids=ids, labels=labels, fused_lm_head=True)  # old and reference policies: nothing to measure
    assert rows == [9] * calls


class Products(TorchDispatchMode):
    """Counts the multiplications in products with the output layer, whose 96 rows nothing else has."""

    def __init__(self):
        super().__init__()
        self.multiplications = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket.__name__ in ("mm", "addmm", "addmm_"):
            left, right = args[-2:]
            if 96 in (*left.shape, *right.shape):
                self.multiplications += left.size(0) * left.size(1) * right.size(1)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("coef", "products"), [(0.1, 4), (0.0, 5)])
def test_a_bonus_adds_no_product(coef, products):
    """TRL's kernel takes two products for logits and two for gradients; measuring at 0 takes one more."""
    model = model_of("Qwen2")
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    ids = torch.randint(2, 96, (3, 7))

    def count():
        with Products() as counted:
            output = model(input_ids=ids, labels=ids, fused_lm_head=True)  # every position has a label
            bonus = coef * output.clamped_entropy if "clamped_entropy" in output else 0
            (output.log_probs + bonus).sum().backward()
        return counted.multiplications / ((3 * 6) * 32 * 96)

    assert count() == 4
    head = EntropyHead(Fraction(drop=0.25))
    head.attach(model)
    head.bonus = coef != 0
    with head.recording():
        assert count() == products


def test_a_partitioned_head_is_gathered_in_forward_and_backward(monkeypatch):
    """As ZeRO-3 does it: between uses the weight is empty, and a context brings it back."""
    model = model_of("Qwen2")
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    head = EntropyHead(Fraction(drop=0.25))
    head.attach(model)
    head.bonus = True
    ids = torch.randint(2, 96, (3, 7))
    weight = model.lm_head.weight
    whole = weight.data

    def gradients():
        output = model(input_ids=ids, labels=ids, fused_lm_head=True)
        loss = (output.log_probs + 0.1 * output.clamped_entropy).sum()
        return torch.autograd.grad(loss, [weight, model.model.norm.weight])

    @contextmanager
    def gathered(*parameters):
        assert parameters[0] is weight
        if weight.numel():  # the host is in the same context already
            yield
            return
        weight.data = whole
        yield
        weight.data = whole.new_empty(0)

    expected = gradients()
    monkeypatch.setattr(host, "maybe_gather_lm_head_ctx", gathered)
    weight.data = whole.new_empty(0)
    for got, want in zip(gradients(), expected, strict=True):
        assert torch.equal(got, want)


def test_compiling_changes_nothing():
    model = model_of("Qwen2", num_hidden_layers=1)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    head = EntropyHead(Fraction(drop=0.25))
    head.attach(model)
    head.bonus = True
    ids = torch.randint(2, 96, (3, 7))
    results = []
    for forward in (model, torch.compile(model, backend="eager")):
        model.zero_grad()
        output = forward(input_ids=ids, labels=ids, fused_lm_head=True)
        (output.log_probs + 0.1 * output.clamped_entropy).sum().backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters()])
        results.append((output.log_probs, output.clamped_entropy, gradients))
    torch.testing.assert_close(*results)


def quantized():
    model = model_of("Qwen2")
    weight = (model.lm_head.weight * 50).to(torch.int8)
    model.lm_head.weight = torch.nn.Parameter(weight, requires_grad=False)
    return model


def deeper():
    model = model_of("Qwen2")
    model.lm_head = torch.nn.Sequential(torch.nn.Linear(32, 96))
    return model


def encoder_decoder():
    shape = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    return hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=96, **shape, **ids))


def classifier():
    return hf.Qwen2ForSequenceClassification(hf.Qwen2Config(**SHAPE))


REFUSED = {
    encoder_decoder: r"T5ForConditionalGeneration is an encoder-decoder.*AutoModelForCausalLM",
    classifier: r"Qwen2ForSequenceClassification is a model without an output layer.*AutoModelForCausalLM",
    quantized: r"torch\.int8.*llm_int8_skip_modules=\['lm_head'\]",
    deeper: r"Sequential.*torch\.nn\.Linear.*'none'",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_a_model_that_does_not_fit_is_refused_at_construction(make, build, options):
    with pytest.raises(InputError, match=REFUSED[make]):
        build(AEntGRPOTrainer, AEntGRPOConfig, options, model=make(), method=BONUS)


def test_a_head_whose_tokens_peft_trains_is_refused_at_construction(build, options):
    """With tied weights PEFT wraps the head; TRL alone would fail in the first step."""
    lora = LoraConfig(**LORA, trainable_token_indices=[3, 4])
    model = model_of("Qwen2", tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"TrainableTokensWrapper.*trainable_token_indices"):
        build(AEntGRPOTrainer, AEntGRPOConfig, options, model=model, method=BONUS, peft_config=lora)


def test_an_adapter_on_the_head_is_refused_by_the_host(build, options):
    """TRL says it well, so aent leaves it to TRL; the head itself does not rely on that."""
    lora = LoraConfig(**{**LORA, "target_modules": ["q_proj", "lm_head"]})
    with pytest.raises(ValueError, match=r"adapter to `lm_head` is not supported"):
        build(AEntGRPOTrainer, AEntGRPOConfig, options, method=BONUS, peft_config=lora)
    model = model_of("Qwen2")
    add_fused_lm_head(model)
    get_peft_model(model, lora)
    with pytest.raises(InputError, match=r"target_modules"):
        EntropyHead(Full()).attach(model)
