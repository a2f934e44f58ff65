"""`gitrain release verify | list | show | unpack | publish`."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from gitrain.cli.console import print_bytes, print_json, print_text
from gitrain.cli.durations import read_durations
from gitrain.operations.find_release import find_release
from gitrain.operations.list_releases import list_releases as list_all
from gitrain.operations.publish_release import ReleaseRegistration, publish_release
from gitrain.operations.record_run import record_run
from gitrain.operations.verify_release import verify_release
from gitrain.reports.releases_markdown import render_release, render_releases, render_steps
from gitrain.reports.verdicts_markdown import render_verdicts
from gitrain.settings import load_settings
from gitrain.tracking.runs import RunRecord
from gitrain.wiring.releases import (
    open_release,
    open_release_keys,
    open_release_store,
    open_release_stores,
    open_signer,
    scratch,
)
from gitrain.wiring.repository import Surroundings, open_git, open_repository, open_run_store

__all__ = ["list_releases", "publish", "show", "unpack", "verify"]


def verify(arguments: argparse.Namespace) -> int:
    """Compute every digest of a release anew; judge its signature and its tag."""
    settings = load_settings(Path(arguments.directory))
    verified = verify_release(
        open_release_stores(settings, arguments.store),
        arguments.version,
        keys=open_release_keys(settings),
        tags=open_git(settings.root).tags(),
    )
    if arguments.json:
        print_json(verified.to_json())
    else:
        title = f"Release {verified.version} in {verified.store}"
        digest = (
            f"\nrecord {verified.record.digest}\nbundle {verified.record.bundle_digest}\n" if verified.record else ""
        )
        print_text(render_verdicts(title, verified.verdicts) + digest)
    return verified.outcome.exit_code


def list_releases(arguments: argparse.Namespace) -> int:
    """The releases of all stores, the newest first."""
    settings = load_settings(Path(arguments.directory))
    found = list_all(open_release_stores(settings, arguments.store), open_git(settings.root).tags())
    if arguments.json:
        print_json([each.to_json() for each in found])
    else:
        print_text(render_releases([(each.record, each.stores, each.tagged) for each in found]))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """One release: its record, or one of its attachments."""
    settings = load_settings(Path(arguments.directory))
    found = find_release(open_release_stores(settings, arguments.store), arguments.version)
    if arguments.attachment is not None:
        print_bytes(found.store.attachment(found.version, arguments.attachment))
    elif arguments.json:
        print_bytes(found.record.to_json().encode())
    else:
        print_text(render_release(found.record, found.store.url, found.store.attachments(found.version)))
    return 0


def unpack(arguments: argparse.Namespace) -> int:
    """The bundle of a release as a folder."""
    print_text(f"{open_release(arguments.directory, arguments.version, arguments.store)}\n")
    return 0


def publish(arguments: argparse.Namespace) -> int:
    """Verify, sign, copy, tag and register a release; what is done already is left as it is."""
    found = open_repository(arguments.directory)
    settings = found.settings
    target = open_release_store(settings, arguments.store)
    published = publish_release(
        found.project,
        # One that is published already, by another machine, is tagged and registered all the same.
        [*open_release_stores(settings), target],
        target,
        arguments.version,
        tags=open_git(settings.root),
        keys=open_release_keys(settings),
        scratch=scratch,
        signer=open_signer(),
        make_tag=not arguments.no_tag,
        registration=None if arguments.no_register else _registration(found),
    )
    verified = published.verified
    if arguments.json:
        print_json(published.to_json())
    else:
        text = render_verdicts(f"Release {verified.version} of {found.project.name}", verified.verdicts)
        steps = [(step.name, step.done, step.text) for step in published.steps]
        print_text(f"{text}\n{render_steps(verified.record, steps)}" if verified.record and steps else text)
    return verified.outcome.exit_code


def _registration(found: Surroundings) -> ReleaseRegistration:
    store = open_run_store(found.settings, with_models=True)

    def record() -> RunRecord:
        return record_run(
            found.project,
            found.params,
            found.workspace,
            open_git(found.settings.root),
            store,
            durations=read_durations(found.workspace),
            now=datetime.now(UTC),
        )

    return ReleaseRegistration(registry=store, workspace=found.workspace, record_run=record)
