"""A rehearsal as values: its steps and how they ended."""

from dataclasses import dataclass

__all__ = ["Rehearsal", "Step", "StepResult"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: a name, why it is there, and its commands.

    Attributes:
        name: one word.
        why: one sentence for the reader.
        commands: argument lists, run in order in the rehearsal's repository.
        verdict: whether the last command's exit code is a verdict (1 and 4 end nothing) and its stdout JSON.
    """

    name: str
    why: str
    commands: tuple[tuple[str, ...], ...]
    verdict: bool = False


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """A step that was carried out: its last command's result and the seconds it took."""

    step: Step
    exit_code: int
    stdout: str
    seconds: float

    @property
    def outcome(self) -> str:
        """PASSED, or what the exit code of a verdict says."""
        return {0: "PASSED", 1: "FAILED", 4: "INCONCLUSIVE"}.get(self.exit_code, "ERROR")


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """All steps that were carried out."""

    champion_batch: str
    challenger_batch: str
    results: tuple[StepResult, ...]

    def result(self, name: str) -> StepResult:
        """The result of the step of that name."""
        return next(result for result in self.results if result.step.name == name)
