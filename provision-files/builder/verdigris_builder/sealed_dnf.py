"""dnf 4 with both steps in one process: it downloads, then seals itself in, then runs the transaction (see installer.py).

A program of its own, run by the Python that dnf runs by (which may be older than ours), inside the view. It is trusted until the seal: only
rpm's transaction runs code of packages, and dnf calls that in one place. What cannot be sealed is not run: the caller takes two steps then.

Arguments: the cache, the directory of the run, and those of dnf.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[0] = os.path.dirname(HERE)

from verdigris_builder import inventory, mounting, system, wording  # noqa: E402  (needs the path above)

NOT_SEALED = 120
LISTING = "cache.json"  # what the cache was like before code of packages ran


def seal(cache, directory):
    """Nothing below this process can write into the cache, or get back what is given up here."""
    if len(os.listdir("/proc/self/task")) != 1:
        raise OSError("dnf has threads")
    options = system.MS_REMOUNT | system.MS_BIND | system.MS_RDONLY | system.MS_NODEV
    system.mount(None, cache, None, options)  # refused as long as a file in it is open for writing
    found = {}
    inventory.tree(cache, inventory.by_times, found)
    with open(os.path.join(directory, LISTING), "w") as file:
        json.dump({path[len(cache):]: words for path, words in found.items()}, file)
    layers = [os.path.join(directory, name) for name in ("upper", "work")]
    for layer in layers:
        os.makedirs(layer)
    mounting.overlay(cache, layers[0], layers[1], cache)
    system.mount(None, directory, None, options)
    system.limit_capabilities(system.INSTALLER_CAPABILITIES)


def main(cache, directory, arguments):
    """Run dnf; its exit status, or NOT_SEALED when nothing was installed because the seal is not possible."""
    import dnf.base
    from dnf.cli import main as program
    transaction = getattr(dnf.base.Base, "_run_transaction", None)
    if transaction is None:
        return NOT_SEALED

    def sealed(base, *rest, **more):
        try:
            seal(cache, directory)
        except Exception as error:  # whatever it is: without the seal nothing may run
            sys.stderr.write("cannot be sealed: %s\n" % wording.of(error))
            sys.stderr.flush()
            os._exit(NOT_SEALED)
        return transaction(base, *rest, **more)
    dnf.base.Base._run_transaction = sealed
    return program.user_main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
