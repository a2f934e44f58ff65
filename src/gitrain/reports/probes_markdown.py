"""What a probe found, as Markdown: a table of verdicts, and the lines that show a failure again."""

from dataclasses import replace

from gitrain.probes.contract_verdicts import EXAMPLE
from gitrain.probes.report import ProbeReport
from gitrain.reports.verdicts_markdown import render_verdicts

__all__ = ["render_probe"]


def render_probe(report: ProbeReport) -> str:
    """The outcome first, then a row a verdict; examples stand below the table, since they do not fit into one."""
    examples = []
    verdicts = []
    for entry in report.verdicts:
        verdict = entry.verdict
        shown = {name: value for name, value in verdict.figures.items() if not name.startswith(EXAMPLE)}
        examples += [str(value) for name, value in verdict.figures.items() if name.startswith(EXAMPLE)]
        verdicts.append(replace(verdict, figures=shown))
    text = render_verdicts(f"Probe {report.probe} ({report.seconds:.1f} s)", verdicts)
    if not examples:
        return text
    # Four blanks make code of a line whatever is in it; a line is all that an example is.
    lines = "\n".join(f"    {' '.join(example.splitlines())}" for example in dict.fromkeys(examples))
    return f"{text}\nTo see the failures again:\n\n{lines}\n"
