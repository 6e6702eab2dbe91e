"""Creates a project, uploads a source package and follows its build, with the client that openapi-python-client has made.

Arguments: the directory that holds the client `farm_client`, the farm's address, login and token, the source package.
"""

import base64
import io
import os
import sys
import time

CLIENTS, ADDRESS, LOGIN, TOKEN, SOURCE = sys.argv[1:]
sys.path.insert(0, CLIENTS)

from farm_client import AuthenticatedClient  # noqa: E402
from farm_client.api.build import create_build_from_upload, get_build, list_builds  # noqa: E402
from farm_client.api.farm import get_attempt_log, list_attempts  # noqa: E402
from farm_client.api.package import get_monitor, list_packages  # noqa: E402
from farm_client.api.project import create_project, edit_project  # noqa: E402
from farm_client.models import (  # noqa: E402
    BuildArguments,
    CreateBuildFromUploadBody,
    Error,
    GetMonitorAdditionalFieldsItem,
    ListBuildsOrderType,
    ListBuildsStatus,
    ProjectAdd,
    ProjectEdit,
)
from farm_client.types import File  # noqa: E402

CHROOT = "microdistro-1-x86_64"


def good(answer):
    """The answer, unless it is none or an error."""
    assert answer is not None and not isinstance(answer, Error), answer
    return answer


client = AuthenticatedClient(
    base_url=ADDRESS,
    token=base64.b64encode(f"{LOGIN}:{TOKEN}".encode()).decode(),
    prefix="Basic",
    raise_on_unexpected_status=True,
)
project = good(create_project.sync("alice", client=client, body=ProjectAdd(name="python", chroots=[CHROOT])))
assert project.full_name == "alice/python", project
changed = good(edit_project.sync("alice", "python", client=client, body=ProjectEdit(description="by a generated client")))
assert changed.description == "by a generated client", changed
refused = create_project.sync("alice", client=client, body=ProjectAdd(name="python", chroots=[CHROOT]))
assert isinstance(refused, Error) and "already have a project" in refused.error, refused

with open(SOURCE, "rb") as file:
    source = File(payload=io.BytesIO(file.read()), file_name=os.path.basename(SOURCE), mime_type="application/x-rpm")
wanted = BuildArguments(ownername="alice", projectname="python", timeout=3600)
build = good(create_build_from_upload.sync(client=client, body=CreateBuildFromUploadBody(json=wanted, pkgs=source)))
deadline = time.monotonic() + 120
while build.state not in ("succeeded", "failed", "canceled", "skipped"):
    assert time.monotonic() < deadline, build
    time.sleep(0.1)
    build = good(get_build.sync(build.id, client=client))
assert build.state == "succeeded" and build.source_package.name == "hello", build

attempts = good(list_attempts.sync(build.id, client=client))
log = good(get_attempt_log.sync(attempts[0].id, client=client, limit=7))
assert (log.text, log.complete) == ("it says", True), log
builds = good(list_builds.sync(client=client, ownername="alice", projectname="python", limit=5, order_type=ListBuildsOrderType.ASC,
                               status=ListBuildsStatus.SUCCEEDED))
assert ([one.id for one in builds.items], builds.meta.limit) == ([build.id], 5), builds
packages = good(list_packages.sync(client=client, ownername="alice", projectname="python", with_latest_build=True))
assert packages.items[0].builds.latest.id == build.id, packages
monitor = good(get_monitor.sync(client=client, ownername="alice", projectname="python",
                                additional_fields=[GetMonitorAdditionalFieldsItem.URL_BUILD]))
cell = monitor.packages[0].chroots[CHROOT]
assert cell.state == "succeeded" and cell.url_build.endswith(f"/coprs/build/{build.id}"), cell
print("followed", build.id)
