"""A systemd unit that brings an environment back after its machine was started again."""

from collections.abc import Mapping

__all__ = ["render_unit"]


def render_unit(environment: str, command: str, *, folder: str, user: str, variables: Mapping[str, str]) -> str:
    """The text of the unit ``gitrain-ENVIRONMENT.service``.

    Replicas and proxy are processes of the unit that outlive its command: a pass that heals ends at once, and ending
    the unit ends none of them.

    Args:
        environment: its name.
        command: that applies what is desired; a command line.
        folder: where it runs.
        user: as whom.
        variables: that the command reads: where state, releases and features are.
    """
    # A percent sign begins a specifier, and a dollar a variable.
    line = command.replace("%", "%%").replace("$", "$$")
    settings = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in sorted(variables.items()))
    return f"""[Unit]
Description=Gitrain: the environment {environment}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
User={user}
WorkingDirectory={folder.replace("%", "%%")}
{settings}ExecStart={line}

[Install]
WantedBy=multi-user.target
"""


def _quoted(text: str) -> str:
    """One word of a unit file (systemd.syntax(7), "Quoting")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'
