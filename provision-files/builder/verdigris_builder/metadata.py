"""Hiding the cloud's metadata service, whose user data is nobody's business in a build. What hides it is only in the kernel's memory: a reboot empties it."""

import os
import subprocess

from . import command, paths
from .errors import CommandError

ROUTE = ["unreachable", "169.254.169.254/32"]


def hidden():
    """Whether it is, or whoever made this machine a builder did not want it (then there is no file of rules). Only looks."""
    if not os.path.lexists(paths.METADATA_RULES):
        return True
    if run(["nft", "list", "table", "inet", "verdigris"]) is not None:
        return True
    return bool((run(["ip", "route", "show", "type", *ROUTE]) or "").strip())


def hide():
    """Put back what provisioning left, where it is gone."""
    if hidden():
        return
    for argv in (["nft", "-f", paths.METADATA_RULES], ["ip", "route", "replace", *ROUTE]):
        if run(argv) is not None:
            return
    raise CommandError("fault", "the metadata service cannot be hidden from the build")


def run(argv):
    """What a program prints; None where it fails or is not there."""
    try:
        done = subprocess.run(argv, env=dict(command.ENVIRONMENT), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
