"""What packit 1.17 does with a farm, through the copr library that it does it with: packit.py CONFIG PROJECT SOURCE CHROOTS...

Packit itself needs clients of a dozen services to be installed, so its calls are made here with the arguments that it gives.
"""

import sys

from copr.v3 import Client, CoprNoResultException, CoprRequestException

config, project, source, *chroots = sys.argv[1:]
client = Client.create_from_config_file(config)
owner = client.config["username"]
place = {"ownername": owner, "projectname": project}

# What a project is asked to be, and what of it packit compares before it edits.
wanted = {
    "description": "Continuous builds.",
    "instructions": "None.",
    "unlisted_on_hp": True,
    "delete_after_days": 60,
    "additional_repos": ["https://example.org/repo/"],
    "bootstrap": "on",
    "module_hotfixes": False,
}


def add(chroots):
    """Makes the project, or finds that it is there."""
    client.project_proxy.add(
        **place,
        **wanted,
        chroots=chroots,
        contact="https://github.com/packit/packit/issues",
        follow_fedora_branching=False,
        exist_ok=True,
    )


def told(expected):
    """What the farm says of the project. Packit passes over what it is not told."""
    found = client.project_proxy.get(**place)
    told = {name: found.get(name, expected[name]) for name in expected}
    assert set(expected) - set(found) <= {"delete_after_days"}, found
    assert told == expected, f"{told} is not {expected}"
    return set(found["chroot_repos"])


assert set(chroots) <= set(client.mock_chroot_proxy.get_list())
add(chroots[:1])
# Packit edits whatever is told otherwise than it was asked for: nothing, or it would edit before each build.
assert told(wanted) == set(chroots[:1])
add(chroots[:1])
assert told(wanted) == set(chroots[:1])

# A second task wants another description, and gives nothing else.
client.project_proxy.edit(**place, description="Another.")
assert told({**wanted, "description": "Another."}) == set(chroots[:1])
# One that wants another chroot is refused as a whole: the farm cannot add one to a project yet.
try:
    client.project_proxy.edit(**place, chroots=sorted(chroots), description="A third.")
    raise AssertionError("it is refused")
except CoprRequestException as refused:
    assert "this server cannot change the chroots of a project yet" in str(refused), refused
assert told({**wanted, "description": "Another."}) == set(chroots[:1])

# What is of one chroot only is read, and cannot be edited yet.
of_chroot = client.project_chroot_proxy.get(**place, chrootname=chroots[0])
for name in ["additional_packages", "additional_repos", "additional_modules", "with_opts", "without_opts"]:
    assert of_chroot[name] == [], of_chroot
try:
    client.project_chroot_proxy.edit(**place, chrootname=chroots[0], additional_packages=["make"])
    raise AssertionError("there is no such address")
except CoprNoResultException:
    pass

build = client.build_proxy.create_from_file(**place, path=source, buildopts={"enable_net": False})
assert client.build_proxy.get(build.id).state in {"pending", "importing", "waiting", "starting"}, build
assert [one.id for one in client.build_proxy.get_list(**place)] == [build.id]
client.build_proxy.cancel(build.id)
assert client.build_proxy.get(build.id).state == "canceled"
