"""Log-probability and clamped entropy out of the forward pass that verl's engine makes anyway.

Each class goes over one of verl's engines and changes the method that turns logits into numbers per token.
Passes without gradient (old and reference log-probabilities) stay verl's, except where there are no logits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from verl.utils import tensordict_utils as tu  # pyright: ignore[reportMissingImports]

from aent.errors import InputError
from aent.ops import EntropySlopes, TokenStats, entropy_slopes, linear_token_stats, logit_slopes, token_stats
from aent.ops.closed_form import slices
from aent.ops.parallel import parallel_token_stats
from aent.ops.slopes import CHUNK, CHUNK_ROWS, MOST
from aent.subsets import Full, Subset
from aent.verl.loss import FULL_ENTROPY, SLOPES

if TYPE_CHECKING:
    Engine = Any
else:
    Engine = object


@dataclass(frozen=True)
class Wanted:
    """What a method needs to know of each token."""

    subset: Subset
    slopes: bool = False
    """Whether the slopes of the entropy are measured with it."""


def attach(engine: Any, wanted: Wanted, *, head: bool = False) -> None:
    """Put the class over an engine that fits it.

    Raises:
        InputError: for an engine that aent has no forward pass for, or an output layer that does not fit
            `head`.
    """
    over = _class_for(engine, head)
    engine.aent = wanted
    engine.__class__ = type(f"AEnt{type(engine).__name__}", (over, type(engine)), {})
    if over is FromHead:
        engine.aent_attach_head()


def _class_for(engine: Any, head: bool) -> type[Any]:
    kinds = [cls.__name__ for cls in type(engine).__mro__]
    if "FSDPEngineWithLMHead" in kinds:
        return FromHead if head else FromLogits
    if "MegatronEngineWithLMHead" in kinds and not head:
        return FromVocabularyShards
    raise InputError(
        f"aent has no forward pass for verl's {type(engine).__name__}{' without logits' if head else ''}; "
        "set actor_rollout_ref.actor.strategy to fsdp2 or megatron"
    )


class FromLogits(Engine):
    """FSDP2, from packed logits: both numbers in one pass over them, where verl makes two."""

    aent: Wanted

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, Tensor]:
        """Return nested log-probabilities, entropies, full entropies and slopes of a packed micro-batch."""
        if not torch.is_grad_enabled():
            return super().prepare_model_outputs(output, output_args, micro_batch, logits_processor_func)
        logits = output.logits.squeeze(0)
        if isinstance(logits, DTensor):
            logits = logits.full_tensor()
        if not output_args.get("temperature_is_one", False):
            logits = logits / output_args["temperature_rmpad"].clamp(min=1e-8)[:, None].to(logits.dtype)
        targets = output_args["input_ids_rmpad_rolled"]
        stats = token_stats(logits, targets, subset=self.aent.subset)
        slopes = slopes_of_logits(logits, targets, self.aent.subset) if self.aent.slopes else None
        return self.aent_outputs(stats, slopes, output_args, micro_batch)

    def aent_outputs(
        self, stats: TokenStats, slopes: EntropySlopes | None, output_args: dict[str, Any], micro_batch: Any
    ) -> dict[str, Tensor]:
        """Return the numbers of packed tokens as verl's nested tensors, without padding."""
        offsets, pad = micro_batch["input_ids"].offsets(), output_args["pad_size"]

        def nested(packed: Tensor) -> Tensor:
            return torch.nested.nested_tensor_from_jagged(self._gather_and_unpad_packed(packed, pad), offsets)  # type: ignore[attr-defined]

        outputs = {
            "log_probs": nested(stats.logp),
            "entropy": nested(stats.entropy),
            FULL_ENTROPY: nested(stats.full_entropy),
        }
        if slopes is not None:
            outputs[SLOPES] = nested(torch.stack(slopes, -1))
        return outputs


class FromHead(FromLogits):
    """FSDP2, without logits: the output layer itself answers with the statistics of each token.

    The layer is called as a module, so FSDP2 gathers its weight around the call, forward and backward. Passes
    without gradient get verl's numbers in the same way, over the whole vocabulary: their logits would take
    as much memory as those that the passes with gradient do not hold.
    """

    aent_call: "tuple[Int[Tensor, ' tokens'], float] | None" = None
    """Targets and temperature of the next call of the output layer; None between passes."""
    aent_answer: "Tensor | None" = None
    """What the output layer last answered."""

    def aent_attach_head(self) -> None:
        """Replace the forward of the output layer of this engine's model.

        Raises:
            InputError: if it is no plain `torch.nn.Linear`.
        """
        head = self.module.get_output_embeddings()  # type: ignore[attr-defined]
        if not isinstance(head, nn.Linear) or not head.weight.is_floating_point():
            raise InputError(
                f"the output layer is a {type(head).__name__}, of which aent.head=True cannot read weight "
                "and bias; it must be a torch.nn.Linear that is neither quantized nor wrapped: leave "
                "aent.head out"
            )
        plain = head.forward

        def forward(input: Tensor) -> Tensor:
            return plain(input) if self.aent_call is None else self.aent_score(head, input)

        head.forward = forward

    def aent_score(
        self, head: nn.Linear, hidden: Float[Tensor, "1 tokens dim"]
    ) -> Float[Tensor, "1 tokens n"]:
        """Return log-probability, entropy, full entropy and, if wanted, three slopes of each token."""
        assert self.aent_call is not None
        targets, temperature = self.aent_call
        trains = torch.is_grad_enabled()
        settings: dict[str, Any] = {
            "bias": head.bias,
            "subset": self.aent.subset if trains else Full(),
            "temperature": temperature,
        }
        columns = [*linear_token_stats(hidden[0], head.weight, targets, **settings)]
        if self.aent.slopes and trains:
            columns += entropy_slopes(hidden[0].detach(), head.weight, targets, **settings)
        self.aent_answer = torch.stack([column[None].float() for column in columns], -1)
        return self.aent_answer

    def prepare_model_inputs(self, micro_batch: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return verl's inputs, and keep what the output layer will need.

        Raises:
            InputError: for a temperature per rollout.
        """
        inputs, args = super().prepare_model_inputs(micro_batch)  # type: ignore[misc]
        temperature = micro_batch["temperature"]
        if isinstance(temperature, Tensor):
            raise InputError("aent.head=True needs one temperature for all rollouts; leave aent.head out")
        self.aent_call = args["input_ids_rmpad_rolled"], float(temperature)
        return inputs, args

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: Any, logits_processor_func: Any
    ) -> dict[str, Tensor]:
        """Return what the output layer answered, as `FromLogits` does; without gradient, as verl does."""
        answer, self.aent_call, self.aent_answer = self.aent_answer, None, None
        _require_untouched(output.logits, answer)
        columns = output.logits.squeeze(0).unbind(-1)
        slopes = EntropySlopes(*columns[3:]) if columns[3:] else None
        outputs = self.aent_outputs(TokenStats(*columns[:3]), slopes, output_args, micro_batch)
        if torch.is_grad_enabled():
            return outputs
        wants_entropy = tu.get_non_tensor_data(micro_batch, key="calculate_entropy", default=False)
        return {name: outputs[name] for name in ("log_probs", *(["entropy"] if wants_entropy else []))}


def _require_untouched(logits: Tensor, answer: Tensor | None) -> None:
    """Check that the model returned what its output layer answered.

    Raises:
        InputError: if it did something to it, as models with a softcap or a scale of the logits do.
    """
    if answer is None or logits.dtype != answer.dtype or not torch.equal(logits.detach(), answer.detach()):
        raise InputError(
            "this model changes its logits after the output layer (a softcap, a scale, another dtype), which "
            "aent.head=True cannot follow; leave aent.head out"
        )


class FromVocabularyShards(Engine):
    """Megatron: each tensor-parallel rank holds the logits of some columns of the vocabulary."""

    aent: Wanted

    def _lm_head_logits_processor(
        self, logits: Tensor, label: Tensor, temperature: Tensor, **keywords: Any
    ) -> dict[str, Tensor]:
        """Return log-probabilities, entropies and full entropies of the tokens in `label`."""
        if not torch.is_grad_enabled():
            return super()._lm_head_logits_processor(logits, label, temperature, **keywords)  # type: ignore[misc]
        from megatron.core import parallel_state  # pyright: ignore[reportMissingImports]

        group = parallel_state.get_tensor_model_parallel_group()
        shard = real_columns(logits, parallel_state.get_tensor_model_parallel_rank(), self.aent_vocabulary)
        scaled = shard / temperature.clamp(min=1e-8)[..., None].to(shard.dtype)
        stats = parallel_token_stats(scaled, label, subset=self.aent.subset, group=group)
        return {"log_probs": stats.logp, "entropy": stats.entropy, FULL_ENTROPY: stats.full_entropy}

    @property
    def aent_vocabulary(self) -> int:
        """Number of tokens of the model, without those that only pad the vocabulary."""
        config = self.model_config.hf_config  # type: ignore[attr-defined]
        return getattr(config, "text_config", config).vocab_size


def real_columns(
    logits: Float[Tensor, "*batch shard"], rank: int, vocabulary: int
) -> Float[Tensor, "*batch real"]:
    """Cut off the columns of a rank's logits that only pad the vocabulary.

    Raises:
        InputError: if a rank holds nothing but padding.
    """
    width = logits.shape[-1]
    real = min(max(vocabulary - rank * width, 0), width)
    if real == 0:
        raise InputError(
            f"tensor-parallel rank {rank} holds nothing but padding of a vocabulary of {vocabulary}; use "
            "fewer tensor-parallel ranks"
        )
    return logits[..., :real]


@torch.no_grad()
def slopes_of_logits(
    logits: Float[Tensor, "tokens vocab"], targets: Int[Tensor, " tokens"], subset: Subset
) -> EntropySlopes:
    """Measure the slopes of at most `MOST` rows, evenly spaced, as `aent.ops.entropy_slopes` does."""
    stride = max(1, -(-len(logits) // MOST))
    slopes = torch.zeros(3, len(logits), device=logits.device)
    sampled, ids, out = logits[::stride], targets[::stride], slopes[:, ::stride]
    for rows in slices(len(sampled), max(CHUNK_ROWS, CHUNK // logits.shape[-1])):
        out[:, rows] = torch.stack(logit_slopes(sampled[rows], ids[rows], subset=subset)).to(slopes.dtype)
    return EntropySlopes(*slopes)
