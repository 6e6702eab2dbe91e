"""Drives devcloud's Eucalyptus profile with Apache libcloud, unmodified: libcloud_client.py ENDPOINT IMAGE"""
import sys
import time
import urllib.parse

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.drivers.ec2 import EucNodeDriver
from libcloud.compute.types import KeyPairDoesNotExistError

ENDPOINT, IMAGE = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2]
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtQ2jMTmBvQ0mP8c1z8yqJ5h0Q2E2Xq0bq1cZ0cQ0aB test"


def connect(secret="test-secret"):
    return EucNodeDriver("test-key", secret, secure=False, host=ENDPOINT.hostname, port=ENDPOINT.port)


driver = connect()


def until(node, state):
    deadline = time.monotonic() + 60
    while True:
        found = {other.id: other for other in driver.list_nodes()}[node.id]
        # EC2's own word: libcloud has none for a node that is stopped.
        if found.extra["status"] == state:
            return found
        assert time.monotonic() < deadline, f"{node.id} is {found.extra['status']}, not {state}, after a minute"
        time.sleep(0.05)


# What is not there yet, and who may not ask.
assert driver.list_nodes() == []
try:
    connect("wrong").list_nodes()
    raise AssertionError("a wrong secret was let in")
except BaseHTTPError as error:
    # Eucalyptus does not say by a code that it is the credentials.
    assert error.code == 403 and "403 Forbidden" in str(error), error

# Sizes and images.
sizes = {size.id: size for size in driver.list_sizes()}
assert (sizes["t3.small"].ram, sizes["t3.small"].extra["cpu"]) == (2048, 2), sizes["t3.small"]
[image] = driver.list_images()
assert image.id == IMAGE, image
assert [one.id for one in driver.list_images(ex_image_ids=[IMAGE])] == [IMAGE]

# Key pairs: each by its own name, and only that one is deleted.
driver.import_key_pair_from_string("a", PUBLIC_KEY)
driver.import_key_pair_from_string("b", PUBLIC_KEY)
made = driver.create_key_pair("c")
assert made.private_key.startswith("-----BEGIN RSA PRIVATE KEY-----"), made
assert sorted(pair.name for pair in driver.list_key_pairs()) == ["a", "b", "c"]
assert driver.get_key_pair("b").name == "b"
assert driver.delete_key_pair(driver.get_key_pair("b"))
assert sorted(pair.name for pair in driver.list_key_pairs()) == ["a", "c"]
try:
    driver.get_key_pair("b")
    raise AssertionError("a deleted key pair was found")
except KeyPairDoesNotExistError:
    pass

# The life of a node.
node = driver.create_node(name="first", image=image, size=sizes["t3.small"], ex_keyname="a", ex_userdata="#!/bin/sh\n")
other = driver.create_node(name="second", image=image, size=sizes["t3.small"])
node = until(node, "running")
until(other, "running")
assert node.name == "first" and node.extra["key_name"] == "a", (node, node.extra)
assert node.public_ips[0].startswith("127.") and node.private_ips[0].startswith("10.88."), node
assert [one.id for one in driver.list_nodes(ex_node_ids=[other.id])] == [other.id]
assert driver.ex_describe_all_addresses() == []
driver.ex_create_tags(node, {"role": "builder"})
tagged = driver.list_nodes(ex_filters={"tag:role": "builder"})
assert [one.id for one in tagged] == [node.id], tagged
driver.ex_delete_tags(node, {"role": "builder"})
assert driver.list_nodes(ex_filters={"tag:role": "builder"}) == []
assert driver.reboot_node(node)
assert driver.stop_node(node)
until(node, "stopped")
assert driver.start_node(node)
until(node, "running")
assert driver.destroy_node(node)
until(node, "terminated")
assert until(other, "running").name == "second", "only the one node was destroyed"

# The network, groups and limits.
[network] = driver.ex_list_networks()
[subnet] = driver.ex_list_subnets()
assert subnet.extra["vpc_id"] == network.id, (subnet.extra, network)
assert "default" in driver.ex_list_security_groups()
assert driver.ex_get_limits()["resource"]["max-elastic-ips"] == 0
