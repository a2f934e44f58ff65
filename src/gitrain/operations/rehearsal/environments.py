"""The environments of a rehearsal: small probes and short steps, on free ports of this machine."""

__all__ = ["ENVIRONMENTS", "PRODUCTION", "RATE", "address_of", "environment_files"]

#: In the order of promotion.
ENVIRONMENTS = ("test", "preprod", "production")
PRODUCTION = ENVIRONMENTS[-1]

#: Requests a second of the users.
RATE = 40.0

_HEAD = "# Made by `gitrain rehearse`: {what}.\nschema_version: 1\n\n"
_RUNTIME = """runtime:
  deployer: local
  replicas: 1
  listen: {listen}
  start_seconds: 90
  stop_seconds: 15

"""
_BODIES = {
    "test": """probes:
  required: [smoke, contract]
  contract: {requests: 30}

strategy: {kind: blue-green}
""",
    "preprod": """probes:
  required: [smoke, load]
  load:
    rate: 40
    seconds: 3
    warm_up_seconds: 1
    limits: {p50_ms: 200}

gates: {successful_runs: 1}
strategy: {kind: blue-green}
""",
    # What a user would call slow on a machine that trains a model at the same time.
    "production": """probes:
  required: [smoke]

gates: {successful_runs: 1}
strategy:
  kind: canary
  steps:
    - {percent: 25, seconds: 6}
    - {percent: 50, seconds: 9}
  judge: {requests: 150, wait_seconds: 60, slow_ms: 250}
""",
}
_WHAT = {
    "test": "the newest release of main, and few made-up requests",
    "preprod": "a release that ran in test, under the users' load for some seconds",
    "production": "a release that ran in preprod, by a canary of some seconds",
}


def address_of(port: int) -> str:
    """Where an environment is reached."""
    return f"127.0.0.1:{port}"


def environment_files(ports: dict[str, int]) -> dict[str, str]:
    """The files of the environments by their paths.

    Args:
        ports: the port of each environment.
    """
    files, before = {}, None
    for name in ENVIRONMENTS:
        desired = "follows: main\n" if before is None else f"release: null\ndigest: null\npromotes_from: {before}\n"
        files[f"environments/{name}.yaml"] = (
            _HEAD.format(what=_WHAT[name])
            + desired
            + "\n"
            + _RUNTIME.format(listen=address_of(ports[name]))
            + _BODIES[name]
        )
        before = name
    return files
