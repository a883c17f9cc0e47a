"""One run: policy, evaluation, training, evaluation, picture."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from aent.errors import InputError
from aent.evaluation import EvalConfig, Evaluation, before_after_table, evaluate, load_results
from aent.evaluation.results import RESULTS
from aent.methods.load import load_method
from aent.policies import Warmstart, cached_policy, check_demonstrations
from aent.policies.load import check_model, load_model, loading_options
from aent.progress import counter, hush, progress_bar, say
from aent.report.figure import training_figure
from aent.report.gather import report_content
from aent.report.page import write_page
from aent.runs.folder import RunFolder, checkpoint_step
from aent.runs.recipe import Recipe
from aent.spec import from_mapping
from aent.tasks import Task, completion_room
from aent.training.callbacks import AlreadyTrained, AtTheEnd, MetricsFile, ProgressLines
from aent.training.card import completed_card
from aent.training.checks import check_length, check_packages, check_resumable, check_whole
from aent.training.interrupts import GracefulStop
from aent.training.ranks import is_main, main_first
from aent.trl.algorithms import classes

DISK_FULL = ("No space left", "PytorchStreamWriter failed", "inline_container.cc", "basic_ios::clear")
"""Parts of what safetensors and torch.save say when a file does not fit."""


class Interrupted(Exception):  # noqa: N818  (not an error)
    """The user stopped the run; the message says how to resume it."""


@dataclass(frozen=True)
class Run:
    """A recipe with its options checked, ready to start."""

    recipe: Recipe
    args: Any
    """TRL's training configuration, of the algorithm's class."""
    model_args: Any
    """TRL's ModelConfig."""
    task: Task
    console: Console

    def check(self) -> None:
        """Check everything that can be checked before anything is written or computed.

        Raises:
            InputError: naming the setting, the file or the folder at fault.
        """
        from aent.trl.refusals import fitted

        fitted(self.args, load_method(self.recipe.method))
        check_resumable(self.args)
        self._evaluations()
        check_packages(self.args, self.model_args)
        if self.model_args.model_name_or_path:
            check_model(self.model_args.model_name_or_path, **self._loading)
            check_whole(self.model_args.model_name_or_path)
        elif self.recipe.policy is None:
            raise InputError(
                "no model: give --model_name_or_path (a folder or a hub id), or a recipe with a "
                "policy section to make one from scratch"
            )
        else:
            self._policy()
            check_demonstrations(self.task)
        check_length(self.args, len(self.task.dataset("train")))
        if self.recipe.evaluation is not None:
            self.task.dataset("test")

    def check_model(self) -> None:
        """Check that the model that a run starts from is there, in this folder if its path is relative.

        Raises:
            InputError: if it is not.
        """
        name = self.model_args.model_name_or_path
        if not name:
            return
        try:
            check_model(name, **self._loading)
        except InputError as error:
            if Path(name).is_absolute():
                raise
            raise InputError(
                f"{error}. If {name!r} is a folder, resume the run where it was started: "
                "relative paths count from the current folder"
            ) from error

    @property
    def _loading(self) -> dict[str, Any]:
        """How the model is loaded, for training and both evaluations: in float32 unless told, as in TRL."""
        dtype = (self.args.model_init_kwargs or {}).get("dtype", "float32")
        return {"dtype": dtype, **loading_options(self.recipe.trainer)}

    def start(self, folder: RunFolder) -> None:
        """Make or load the policy, train it, evaluate it before and after, and write picture and report.

        Only what is not done yet is done, so this also resumes a run.

        Raises:
            Interrupted: after Ctrl-C, SIGTERM or SIGHUP during training; a checkpoint is kept.
        """
        model = self.policy_path()
        if Path(model).exists():
            hush()
        with main_first():
            if is_main():
                self._evaluate(model, folder.before, "before training")
        wanted = any(not (folder.after / name / RESULTS).exists() for name in self._evaluations())
        if not folder.finished or (wanted and not folder.has_policy):
            self._train(model, folder)
            gc.collect()  # a trainer is a cycle of references; weights and optimizer would stay in memory
        if is_main():
            self._evaluate(str(folder.policy), folder.after, "after training")
            self._conclude(folder, evaluated=self.recipe.evaluation is not None)

    def policy_path(self) -> str:
        """Return the folder or hub id to start from; make the policy where the recipe describes one."""
        if self.model_args.model_name_or_path:
            return self.model_args.model_name_or_path
        hush()
        bar = ProgressLines(self.console, "warm start", lines=False)

        def callbacks() -> list[Any]:
            self.console.print("making a policy from scratch; the next run finds it in the cache")
            return [bar]

        try:
            with main_first():
                path, cached = cached_policy(self._policy(), self.task, callbacks=callbacks)
        finally:
            bar.close()
        origin = "from the cache" if cached else "made from scratch"
        say(self.console, f"policy: {path} ({origin})")
        return str(path)

    def _policy(self) -> Warmstart:
        return from_mapping("policy", Warmstart, self.recipe.policy or {})

    def _evaluations(self) -> dict[str, EvalConfig]:
        """Return the evaluations by the names of their folders; the main one, ``.``, comes last."""
        if self.recipe.evaluation is None:
            return {}
        section = dict(self.recipe.evaluation)
        others = section.pop("also", None) or {}
        if not isinstance(others, Mapping) or not all(isinstance(own, Mapping) for own in others.values()):
            raise InputError(
                f"evaluation.also is {others!r}; it maps names to settings, "
                "{greedy: {temperature: 0, samples: 1}}"
            )
        sections = {name: {**section, **changes} for name, changes in others.items()}
        return {
            **{name: self._eval_config(f"evaluation.also.{name}", own) for name, own in sections.items()},
            ".": self._eval_config("evaluation", section),
        }

    def _eval_config(self, name: str, section: Mapping[str, Any]) -> EvalConfig:
        config = from_mapping(name, EvalConfig, section)
        if config.max_tokens is not None or not self.recipe.made:
            return config
        return replace(config, max_tokens=completion_room(self.task, made=True))

    def _evaluate(self, model: str, folder: Path, title: str) -> None:
        for name, config in self._evaluations().items():
            if not (folder / name / RESULTS).exists():
                about = f"evaluation {title}" if name == "." else f"evaluation {title}, {name}"
                evaluation = evaluate_folder(model, self.task, config, self.console, about, **self._loading)
                evaluation.save(folder / name)

    def _train(self, model: str, folder: RunFolder) -> None:
        lines = ProgressLines(self.console, f"{self.recipe.algorithm} {self.recipe.method['name']}")
        stop = GracefulStop(self.console)
        trainer = self._trainer(model, [lines, MetricsFile(folder.metrics), stop, AtTheEnd()])
        checkpoint = folder.last_checkpoint()
        for path, cut in folder.checkpoints().items():
            if path == checkpoint:
                break
            say(self.console, f"{path} is passed over: {cut}")
        if is_main():
            folder.cut_metrics(0 if checkpoint is None else checkpoint_step(checkpoint))
        try:
            with stop.listening(), disk_full_explained(folder):
                with suppress(AlreadyTrained):
                    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
                if stop.stopped_at in (None, self.args.max_steps):
                    self._save(trainer, folder)
        finally:
            lines.close()
        if stop.stopped_at is not None:
            raise Interrupted(
                f"stopped at step {stop.stopped_at}; the checkpoint is kept. Continue with: {folder.resuming}"
            )
        if stop.asked:  # after the last step, while the checkpoint or the policy was written
            raise KeyboardInterrupt

    def _save(self, trainer: Any, folder: RunFolder) -> None:
        draft = folder.path / ".policy"
        trainer.save_model(str(draft))
        if is_main():
            folder.keep_policy(draft)

    def _trainer(self, model: str, callbacks: list[Any]) -> Any:
        self.args.model_init_kwargs = {**(self.args.model_init_kwargs or {}), **self._loading}
        kind, _ = classes(self.recipe.algorithm)
        try:
            return self._built(kind, model, callbacks)
        except InputError:
            raise
        except (ValueError, ImportError) as error:  # TRL checks here whether its options fit together
            raise InputError(f"TRL refuses this setup: {error}") from error

    def _built(self, kind: Any, model: str, callbacks: list[Any]) -> Any:
        from transformers import PrinterCallback, ProgressCallback
        from trl import get_peft_config, get_quantization_config

        trainer = kind(
            model,
            self.task.reward,
            self.args,
            train_dataset=self.task.dataset("train"),
            eval_dataset=self.task.dataset("test") if self.args.eval_strategy != "no" else None,
            callbacks=callbacks,
            peft_config=get_peft_config(self.model_args),
            quantization_config=get_quantization_config(self.model_args),
            method=load_method(self.recipe.method),
        )
        trainer._name = f"{self.recipe.algorithm} with {self.recipe.method['name']}"  # in the model card
        trainer._tag_names = [*trainer._tag_names, self.recipe.algorithm]
        base = (
            f"a policy made from scratch for {self.recipe.task['name']}" if self.recipe.made else f"`{model}`"
        )
        folder = Path(self.args.output_dir)
        trainer.create_model_card = completed_card(trainer.create_model_card, folder, base)
        for printing in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(printing)
        return trainer

    def _conclude(self, folder: RunFolder, *, evaluated: bool) -> None:
        rows = folder.logged_steps()
        name = (
            f"{self.recipe.algorithm.upper()} with {self.recipe.method['name']} on {self.recipe.task['name']}"
        )
        if rows:  # a run shorter than its logging interval has nothing to draw
            labels = (self.recipe.method["name"], "baseline")
            training_figure(rows, folder.picture, title=name, labels=labels)
        if evaluated:
            before, after = load_results(folder.before), load_results(folder.after)
            self.console.print(before_after_table(before, after))
        if rows or evaluated:
            write_page(report_content([folder.path]), folder.report)
        say(self.console, where(folder))


def evaluate_folder(
    model: str, task: Task, config: EvalConfig, console: Console, title: str, **options: Any
) -> Evaluation:
    """Load a model folder (or hub id, or a PEFT adapter) and evaluate it on a task."""
    policy, tokenizer = load_model(model, **options)
    with progress_bar(console) as bar:
        return evaluate(policy, tokenizer, task, config, progress=counter(bar, title))


def where(folder: RunFolder) -> str:
    """Return what each file of a run folder holds, one a line."""
    entries: Mapping[Path, str] = {
        folder.report: "curves, pass@k, settings and tokens by entropy on one page",
        folder.picture: "reward, entropies with the band, coefficient",
        folder.policy: "the trained policy (transformers folder)",
        folder.metrics: "one row per logging step",
        folder.before: "results and every sampled answer, before training",
        folder.after: "the same, after training",
        folder.path / "config.yaml": "the recipe as run; aent train PATH runs it again",
    }
    existing = [(str(path), what) for path, what in entries.items() if path.exists()]
    width = max(len(path) for path, _ in existing)
    return "\n".join(f"{path:<{width}}  {what}" for path, what in existing)


@contextmanager
def disk_full_explained(folder: RunFolder) -> Iterator[None]:
    """Turn what the libraries raise on a full disk into one message; let other errors pass.

    Raises:
        InputError: if the disk is full.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, RuntimeError) as error:  # RuntimeError is what torch.save raises
        if not any(sign in str(error) for sign in DISK_FULL):
            raise
        raise InputError(
            f"the disk is full: {error}. What was written before is kept; make room and continue with: "
            f"{folder.resuming}"
        ) from error
