"""Where things are. `VERDIGRIS_ROOT` (tests) is put before every absolute path."""

import os

PREFIX = os.environ.get("VERDIGRIS_ROOT", "").rstrip("/")
STATE = PREFIX + "/var/lib/verdigris"
ATTEMPTS = STATE + "/attempts"
FENCES = STATE + "/fences"
ROOTS = STATE + "/roots"
CACHE = STATE + "/cache"
HOMES = STATE + "/homes"
SEALS = STATE + "/seals"
START_LOCK = STATE + "/start.lock"
BASELINE = STATE + "/baseline.json"
DIRTY = STATE + "/dirty.json"
PROVEN = STATE + "/proven.json"  # from a clean comparison, or an operator's word, to the next build
CHROOTS = PREFIX + "/etc/verdigris/chroots"
IDENTITY = PREFIX + "/etc/verdigris/builder.json"
METADATA_RULES = PREFIX + "/etc/verdigris/metadata.nft"
MOCK_CONFIGS = PREFIX + "/etc/mock"
MOCK_CACHES = (PREFIX + "/var/cache/mock", PREFIX + "/var/lib/mock")
IMAGE_ROOTS = PREFIX + "/usr/lib/verdigris/roots"

# A number no distribution gives to anybody: below systemd's dynamic users, above every ordinary one.
BUILD_UID = 61000
BUILD_USER = "mockbuild"
# Who runs mock on the host; the provisioner makes this user a member of the group "mock".
MOCK_USER = os.environ.get("VERDIGRIS_MOCK_USER", "builder")
MOCK_GROUP = os.environ.get("VERDIGRIS_MOCK_GROUP", "mock")


def make_state_directories():
    """Create what every command expects; idempotent."""
    for path in (STATE, ATTEMPTS, FENCES, ROOTS, CACHE, HOMES):
        os.makedirs(path, mode=0o755, exist_ok=True)
    os.makedirs(SEALS, mode=0o700, exist_ok=True)
