"""Problems with verifiable rewards, loaded by name or from your own module."""

from aent.tasks.demonstrated import Demonstrated, completion_room
from aent.tasks.generated.chain import Chain
from aent.tasks.generated.countdown import Countdown
from aent.tasks.generated.generated import GeneratedTask
from aent.tasks.generated.lists import Lists
from aent.tasks.generated.words import Words
from aent.tasks.gym import ReasoningGym
from aent.tasks.load import TASKS, load_task
from aent.tasks.math.published import AIME24, AIME25, AMC23, Math500, MathHard, Minerva, OlympiadBench
from aent.tasks.math.task import GSM8K, MathTask
from aent.tasks.task import Completion, Row, Split, Task, check_rewards, text

__all__ = [
    "AIME24",
    "AIME25",
    "AMC23",
    "GSM8K",
    "TASKS",
    "Chain",
    "Completion",
    "Countdown",
    "Demonstrated",
    "GeneratedTask",
    "Lists",
    "Math500",
    "MathHard",
    "MathTask",
    "Minerva",
    "OlympiadBench",
    "ReasoningGym",
    "Row",
    "Split",
    "Task",
    "Words",
    "check_rewards",
    "completion_room",
    "load_task",
    "text",
]
