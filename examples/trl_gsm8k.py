"""GRPO with AEnt on GSM8K: a TRL script with two names changed.

python examples/trl_gsm8k.py                                   # model and problems from the hub
python examples/trl_gsm8k.py --model ./model --train train.jsonl  # local ones, offline
accelerate launch examples/trl_gsm8k.py --aent_method "{name: aent, low: 0.2, high: 0.4}"

Any flag of TRL's GRPOConfig works: --max_steps 100 --report_to trackio --gradient_checkpointing false
"""

from dataclasses import dataclass, field

from trl import TrlParser

from aent.tasks import GSM8K
from aent.trl import AEntGRPOConfig, AEntGRPOTrainer


@dataclass
class Script:
    """What is trained, and on what."""

    model: str = field(default="Qwen/Qwen2.5-0.5B-Instruct", metadata={"help": "Hub id or model folder."})
    train: str | None = field(
        default=None,
        metadata={"help": "JSONL file with the columns question and answer; without it, the hub's GSM8K."},
    )


def main():
    parser = TrlParser((Script, AEntGRPOConfig))
    parser.set_defaults(
        output_dir="gsm8k-aent",
        aent_method="aent",
        per_device_train_batch_size=16,
        gradient_accumulation_steps=4,
        num_generations=8,
        max_completion_length=512,
        learning_rate=2e-6,
        max_steps=500,
        logging_steps=5,
    )
    script, args = parser.parse_args_and_config()
    task = GSM8K(chat=True) if script.train is None else GSM8K(path=None, train=script.train, chat=True)
    trainer = AEntGRPOTrainer(
        model=script.model,
        reward_funcs=task.reward,
        args=args,
        train_dataset=task.dataset("train"),
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
