"""From a log to a diagnosis."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aent.diagnosis.advice import Advice, advice
from aent.diagnosis.findings import Finding, findings
from aent.diagnosis.movement import EntropyMovement, Movement, Trade, entropy_movement, movement, trade
from aent.diagnosis.words import (
    advice_text,
    block,
    entropy_lines,
    finding_lines,
    reward_lines,
    summary,
)
from aent.errors import InputError
from aent.logs.read import Log
from aent.report.figure import training_figure

PNG = b"\x89PNG"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What a log says."""

    log: Log
    entropy: EntropyMovement | None
    """None if the log has fewer than three finite values of the entropy."""
    reward: Movement | None
    trade: Trade | None
    """The fit of reward to entropy; None where it cannot be made."""
    findings: Sequence[Finding]
    advice: Sequence[Advice]

    @property
    def text(self) -> str:
        """The diagnosis in plain words."""
        return "\n".join(
            (
                summary(self.log),
                "",
                block("Entropy", entropy_lines(self.entropy)),
                block("Reward", reward_lines(self.reward, self.trade)),
                block("Suspicious", finding_lines(self.findings), bullets=bool(self.findings)),
                advice_text(self.advice),
            )
        )


def diagnose(log: Log) -> Diagnosis:
    """Say how entropy and reward moved, what is suspicious, and what to try."""
    entropy = entropy_movement(log.rows)
    found = findings(log.rows, entropy)
    return Diagnosis(
        log=log,
        entropy=entropy,
        reward=movement(log.rows, "reward"),
        trade=trade(log.rows),
        findings=found,
        advice=advice(log.rows, entropy, found),
    )


def draw(log: Log, path: Path) -> None:
    """Draw reward, entropy and coefficient over steps into a PNG; an earlier PNG is replaced.

    Raises:
        InputError: if another file has this name, or the picture cannot be written.
    """
    if path.suffix != ".png":
        raise InputError(f"--output {path} must end in .png")
    try:
        if path.exists() and not path.read_bytes().startswith(PNG):
            raise InputError(f"{path} exists and is not a PNG; give another --output, or move it")
        training_figure(log.rows, path, title=str(log.source))
    except OSError as error:
        raise InputError(f"the picture cannot be written: {error}. Give another --output") from error
