"""A systemd unit that brings an environment back after its machine was started again."""

__all__ = ["render_unit"]


def render_unit(environment: str, command: str, *, folder: str, user: str) -> str:
    """The text of the unit ``gitrain-ENVIRONMENT.service``.

    Replicas and proxy are processes of the unit that outlive its command: a pass that heals ends at once, and ending
    the unit ends none of them.

    Args:
        environment: its name.
        command: that applies what is desired; a command line.
        folder: where it runs.
        user: as whom.
    """
    # A percent sign begins a specifier, and a dollar a variable.
    line = command.replace("%", "%%").replace("$", "$$")
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
ExecStart={line}

[Install]
WantedBy=multi-user.target
"""
