"""`gitrain release build | containerize`."""

import argparse
from datetime import UTC, datetime

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.operations.build_release import ReleaseBuild, build_release
from gitrain.release.images import image_labels
from gitrain.reports.verdicts_markdown import render_verdicts
from gitrain.wiring.bundles import open_image_builder, open_pack_tools, open_release_tools
from gitrain.wiring.releases import fetch

__all__ = ["build", "containerize"]


def build(arguments: argparse.Namespace) -> int:
    """Build the release of the commit that is checked out."""
    progress = progress_to_stderr()
    done = build_release(
        open_release_tools(arguments.directory, progress, today=datetime.now(UTC).date()),
        open_pack_tools(arguments.directory, arguments.store),
        base=arguments.base,
        bump=arguments.bump,
    )
    if arguments.json:
        print_json(
            {
                "outcome": done.outcome.value,
                "commit": done.commit,
                "version": done.version.version if done.version is not None else None,
                "reason": done.version.reason if done.version is not None else None,
                "store": done.store,
                "published": done.published,
                "record_digest": done.record.digest if done.record is not None else None,
                "record": done.record.to_payload() if done.record is not None else None,
                "verdicts": [verdict.to_json() for verdict in done.verdicts],
            }
        )
    else:
        print_text(_text(done))
    return done.outcome.exit_code


def containerize(arguments: argparse.Namespace) -> int:
    """Build the container image of a release."""
    progress = progress_to_stderr()
    builder = open_image_builder(arguments.engine)
    release = fetch(arguments.directory, arguments.version, arguments.store)
    identity = release.record.identity
    image = builder.build(
        release.folder,
        tags=arguments.tag or [f"{identity.project}:{identity.version}"],
        labels=image_labels(release.record),
        base_image=arguments.base_image,
        options=arguments.opt or [],
        progress=progress,
    )
    payload = {
        "outcome": "PASSED",
        "version": identity.version,
        "bundle_digest": release.record.bundle_digest,
        "engine": image.engine,
        "tags": list(image.tags),
        "digest": image.digest,
        "size": image.size,
        "base_image": image.base_image,
        "user": image.user,
    }
    if arguments.json:
        print_json(payload)
    else:
        size = f"{image.size / 1e6:,.0f} MB" if image.size is not None else "of a size that the engine does not tell"
        print_text(
            f"{', '.join(image.tags)}: {size}, runs as {image.user}\n"
            f"image {image.digest}, by {image.engine} on {image.base_image}\n"
            f"release {identity.version}, bundle {release.record.bundle_digest}\n"
        )
    return 0


def _text(done: ReleaseBuild) -> str:
    version = done.version.version if done.version is not None else None
    title = f"Release {version} of commit {done.commit[:12]}" if version else f"Commit {done.commit[:12]}"
    text = render_verdicts(title, done.verdicts)
    if done.record is None or done.version is None:
        return f"{text}\nThere is no release: mend what is named above, commit, and build again.\n"
    new = "new" if done.published else "it was there already, and is the same to the last byte"
    return (
        f"{text}\nversion {version}: {done.version.reason}\nbundle {done.record.bundle_digest}\n"
        f"record {done.record.digest}\nin {done.store}: {new}\n"
    )
