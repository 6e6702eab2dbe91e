"""The two kinds of failure: a refused command (ends in an exit code) and a build that stops (ends in a verdict)."""

EXITS = {"not_ready": 1, "usage": 2, "bad_task": 2, "unknown": 3, "fenced": 4, "busy": 5, "fault": 6, "dirty": 7}


class CommandError(Exception):
    """A command that cannot be done. `code` is one of EXITS; the text is for people."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.exit = EXITS[code]


class BuildStop(Exception):
    """The build ends here with this verdict. Carries what `verdicts.make` needs."""

    def __init__(self, result, blame, kind, reason, **more):
        super().__init__(reason)
        self.result, self.blame, self.kind, self.reason, self.more = result, blame, kind, reason, more


def package_fault(kind, reason, **more):
    """The package is to blame: a retry on another builder would end the same way."""
    return BuildStop("failed", "package", kind, reason, **more)


def infrastructure_fault(kind, reason, **more):
    """The builder, a mirror or the network is to blame: worth a retry elsewhere."""
    return BuildStop("failed", "infrastructure", kind, reason, **more)


def service_fault(kind, reason, **more):
    """The farm itself is to blame (these scripts, or a task that does not fit its inputs)."""
    return BuildStop("failed", "service", kind, reason, **more)


def disk_full(where):
    """The verdict for ENOSPC, wherever it happens."""
    return infrastructure_fault("disk", "no space left on device on the builder (%s)" % where)
