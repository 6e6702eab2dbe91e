"""What a build cannot see, reach or kill. The package "probe" tries, and prints lines that begin with PROBE."""

import os
import shutil
import subprocess
import sys
import unittest

from support import ENTRY, HERE, BuilderTest, microdistro, until_true

RULES = os.path.join(os.path.dirname(ENTRY), "../firewall/metadata.nft")


class Isolation(BuilderTest):
    """Without network, on this host."""

    def probe(self, **changes):
        """Build the probe; its lines as a dictionary."""
        secret = os.path.join(self.builder.root, "secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("secret")
        os.chmod(secret, 0o644)
        victim = subprocess.Popen(["sleep", "300"])
        self.addCleanup(lambda: (victim.kill(), victim.wait()))
        macros = {"farm_probe_host": "127.0.0.1", "farm_probe_port": str(self.shared.server.server_port), "farm_probe_file": secret,
                  "farm_probe_word": os.path.basename(self.builder.root), "farm_probe_pid": str(victim.pid), **changes.pop("macros", {})}
        task, status = self.builder.build("probe", macros=macros, **changes)
        self.assert_verdict(status, result="succeeded")
        self.assertIsNone(victim.poll())
        lines = self.builder.result(task["attempt"], "build.log").decode().split("\n")
        return dict(line[6:].partition(" ")[::2] for line in lines if line.startswith("PROBE "))

    def test_a_build_has_no_network_no_capability_and_sees_nothing_of_the_host(self):
        found = self.probe()
        devices = set(found.pop("devices").split())
        # The first two say "root" and an overlay's options, which name the builder's own directories only.
        self.assertEqual(found, {
            "user": "61000:61000", "network": "no", "metadata": "no", "file": "no", "above": "no", "mounts": found["mounts"],
            "processes": "few", "capabilities": "none", "privileges": "1", "mount": "no", "mknod": "no", "system": "no", "host": "builder"})
        self.assertLessEqual(int(found["mounts"]), 1)
        self.assertEqual(devices - {"full", "null", "zero", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"}, set())


class Network(Isolation):
    """With enable_net, in network namespaces of the test: a builder's, and one with a server and a metadata address."""

    def namespace(self):
        """A process that holds a network namespace."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
        self.addCleanup(lambda: (holder.kill(), holder.wait()))
        own = os.readlink("/proc/self/ns/net")
        until_true(lambda: os.readlink("/proc/%d/ns/net" % holder.pid) != own, "the network namespace")
        return holder.pid

    def inside(self, holder, *argv, check=True):
        """Run a program in that namespace."""
        return subprocess.run(["nsenter", "-t", str(holder), "-n", *argv], check=check, capture_output=True)

    def neighbourhood(self):
        """The builder's namespace, in which all its commands run from now on, with a server for it in another."""
        builder, outside = self.namespace(), self.namespace()
        self.outside = outside
        self.inside(builder, "ip", "link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", str(outside))
        for holder, device, addresses in ((builder, "va", ["10.99.0.1/24", "169.254.169.1/24"]), (outside, "vb", ["10.99.0.2/24", "169.254.169.254/24"])):
            for address in addresses:
                self.inside(holder, "ip", "address", "add", address, "dev", device)
            for name in (device, "lo"):
                self.inside(holder, "ip", "link", "set", name, "up")
        server = subprocess.Popen(["nsenter", "-t", str(outside), "-n", sys.executable, "-m", "http.server", "8000", "--directory", microdistro()],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (server.kill(), server.wait()))
        until_true(lambda: self.reaches_metadata(builder), "the metadata server, for root")
        self.addCleanup(setattr, self.builder, "wrapper", [])
        self.builder.wrapper = ["nsenter", "-t", str(builder), "-n"]
        self.builder.define(base=[{**self.builder.definition["base"][0], "baseurl": "http://10.99.0.2:8000/"}])
        return builder

    def reaches_metadata(self, builder, port=8000):
        """Whether root on the builder does."""
        return self.inside(builder, "timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/169.254.169.254/%d" % port, check=False).returncode == 0

    def test_a_build_has_no_network_no_capability_and_sees_nothing_of_the_host(self):
        builder = self.neighbourhood()
        target = {"farm_probe_host": "10.99.0.2", "farm_probe_port": "8000"}
        found = self.probe(enable_net=True, macros=target)
        self.assertEqual((found["network"], found["metadata"]), ("yes", "no"))
        self.assertEqual((found["file"], found["capabilities"], found["processes"]), ("no", "none", "few"))
        found = self.probe(macros=target)
        self.assertEqual((found["network"], found["metadata"]), ("no", "no"))
        # Root on the builder still reaches it, and the rules are there once however many builds ran.
        self.assertTrue(self.reaches_metadata(builder))
        self.probe(enable_net=True, macros=target)
        rules = self.inside(builder, "ip", "rule", "show", "pref", "60").stdout.decode().splitlines()
        self.assertEqual(len(rules), 1, rules)

    def test_rules_that_a_reboot_has_emptied_hide_the_metadata_service_again_from_root_too(self):
        builder = self.neighbourhood()
        place = os.path.join(self.builder.root, "etc/verdigris/metadata.nft")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy(RULES, place)
        self.addCleanup(os.unlink, place)
        self.assertTrue(self.reaches_metadata(builder))
        status, told = self.builder.refused("live")
        self.assertEqual((status, told["exposed"]), (1, True))
        self.assertRegex("; ".join(told["problems"]), "nothing hides the metadata service any more, as .*/metadata.nft did")
        self.assertTrue(self.reaches_metadata(builder), "it only looks")
        for _ in range(2):
            found = self.probe(enable_net=True, macros={"farm_probe_host": "10.99.0.2", "farm_probe_port": "8000"})
            self.assertEqual((found["network"], found["metadata"]), ("yes", "no"))
            self.assertFalse(self.reaches_metadata(builder))
            self.assertEqual(self.builder.ok("live")["exposed"], False)
        rules = self.inside(builder, "nft", "list", "ruleset").stdout.decode()
        self.assertEqual(rules.count("169.254.0.0/16"), 1, rules)

    def test_without_nftables_a_route_that_leads_nowhere_counts_and_is_put_back(self):
        builder = self.neighbourhood()
        place = os.path.join(self.builder.root, "etc/verdigris/metadata.nft")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        # A kernel without nftables takes no rules.
        with open(place, "w", encoding="utf-8") as file:
            file.write("no rules at all\n")
        self.addCleanup(os.unlink, place)
        self.builder.ok("ready")
        self.assertTrue(self.builder.refused("live")[1]["exposed"])
        found = self.probe(enable_net=True, macros={"farm_probe_host": "10.99.0.2", "farm_probe_port": "8000"})
        self.assertEqual((found["network"], found["metadata"]), ("yes", "no"))
        self.assertFalse(self.reaches_metadata(builder))
        self.assertFalse(self.builder.ok("live")["exposed"])

    def test_the_rules_let_the_builders_own_question_pass_and_nobody_elses(self):
        builder = self.neighbourhood()
        service = subprocess.Popen(["nsenter", "-t", str(self.outside), "-n", sys.executable,
                                    os.path.join(HERE, "metadata_service.py"), "169.254.169.254", "80"])
        self.addCleanup(lambda: (service.kill(), service.wait()))
        until_true(lambda: self.reaches_metadata(builder, 80), "the metadata service")
        self.inside(builder, "nft", "-f", RULES)
        self.assertFalse(self.reaches_metadata(builder, 80), "root is anybody")
        told = self.builder.ok("notices")
        self.assertEqual(told["notice"]["action"], "terminate")
        # As scriptlets run: root without what a mark takes.
        self.builder.wrapper += ["setpriv", "--bounding-set=-net_admin,-net_raw"]
        self.assertEqual(self.builder.ok("notices"), {"notice": None})


if __name__ == "__main__":
    unittest.main()
