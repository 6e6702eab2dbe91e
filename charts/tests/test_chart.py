"""The chart, rendered by Helm's own engine (4.2.3, as helm-python-sdk brings it).

Run with the Python of the set-up: it has the engine and the schemas of Kubernetes. `UPDATE_GOLDEN=1` writes the golden files anew.
"""

import os
import pathlib
import shutil
import unittest
import warnings

import helm_python as helm
import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).parent
CHART = HERE.parent / "verdigris"
GOLDEN = HERE / "golden"
VALUES = ["minimal", "external", "large"]
# The oldest that the chart says it runs on, one between, and the newest that the validator knows.
KUBERNETES = ["1.27", "1.32", "1.37"]


def values(name):
    """The values of a file in the chart's folder `ci`, as `helm install -f` reads them."""
    return helm.values_from_yaml((CHART / "ci" / f"{name}-values.yaml").read_text())


def render(given, name="farm"):
    """The chart's files by name. It is loaded anew each time: a render changes the loaded one (helm-python-sdk 0.2.2)."""
    return helm.Chart.load(str(CHART)).render(given, name=name, namespace="build")


def documents(given):
    """What a cluster would be given, without the notes."""
    found = []
    for name, text in sorted(render(given).items()):
        if not name.endswith("NOTES.txt"):
            found += [document for document in yaml.safe_load_all(text) if document]
    return found


def by_kind(found, kind, end=""):
    """The one document of a kind whose name ends so."""
    [one] = [d for d in found if d["kind"] == kind and d["metadata"]["name"].endswith(end)]
    return one


def merged(base, change):
    """Values with some of them replaced."""
    result = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


class Rendered(unittest.TestCase):
    maxDiff = None

    def test_each_set_of_values_gives_its_golden_files(self):
        for name in VALUES:
            folder = GOLDEN / name
            found = {
                pathlib.Path(file).name: text.strip() + "\n"
                for file, text in render(values(name)).items()
                if text.strip()
            }
            if os.environ.get("UPDATE_GOLDEN"):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                for file, text in found.items():
                    (folder / file).write_text(text)
            self.assertEqual(sorted(found), sorted(path.name for path in folder.iterdir()))
            for file, text in found.items():
                with self.subTest(name, file=file):
                    self.assertEqual((folder / file).read_text(), text)

    def test_every_document_is_valid_for_three_versions_of_kubernetes(self):
        for name in VALUES:
            for document in documents(values(name)):
                for version in KUBERNETES:
                    with self.subTest(name, kind=document["kind"], version=version):
                        # An unknown kind is only a warning to the validator, and passes unseen.
                        with warnings.catch_warnings():
                            warnings.simplefilter("error")
                            kubernetes_validate.validate(document, version, strict=True)

    def test_helm_finds_nothing_to_complain_of(self):
        for name in VALUES:
            with self.subTest(name):
                found = helm.lint(str(CHART), values(name))
                worst = [m for m in found.get("messages", []) if m.get("severity", 0) >= 2]
                self.assertEqual(worst, [], found)


class Roles(unittest.TestCase):
    def pod(self, role, given):
        return by_kind(documents(given), "Deployment", f"-{role}")["spec"]["template"]["spec"]

    def test_no_process_is_root_or_writes_to_its_image(self):
        found = documents(values("minimal"))
        pods = [d["spec"]["template"]["spec"] for d in found if d["kind"] in ("Deployment", "Job")]
        self.assertEqual(len(pods), 4)
        for pod in pods:
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertFalse(pod["automountServiceAccountToken"])
            [container] = pod["containers"]
            context = container["securityContext"]
            self.assertTrue(context["readOnlyRootFilesystem"])
            self.assertFalse(context["allowPrivilegeEscalation"])
            self.assertEqual(context["capabilities"]["drop"], ["ALL"])

    def test_each_process_has_the_keys_that_it_needs_and_no_other(self):
        given = merged(values("minimal"), {"cloudCredentials": {"filesSecret": "files"}})
        keys = {}
        for role in ("api", "controller", "worker"):
            pod = self.pod(role, given)
            secrets = [v["secret"] for v in pod["volumes"] if "secret" in v]
            keys[role] = sorted(
                item["key"] for secret in secrets for item in secret.get("items", [{"key": "files"}])
            )
            env_from = pod["containers"][0].get("envFrom", [])
            self.assertEqual(bool(env_from), role == "controller")
        self.assertEqual(
            keys,
            {
                "api": [],
                "controller": ["builders.ed25519", "files"],
                "worker": ["builders.ed25519", "signing.passphrase"],
            },
        )

    def test_the_migration_runs_before_the_release_and_needs_nothing_of_it(self):
        found = documents(values("minimal"))
        job = by_kind(found, "Job")
        self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade")
        pod = job["spec"]["template"]["spec"]
        self.assertNotIn("serviceAccountName", pod)
        [address] = [e for e in pod["containers"][0]["env"] if e["name"] == "VERDIGRIS_DATABASE__URL"]
        name = address["valueFrom"]["secretKeyRef"]["name"]
        secret = by_kind(found, "Secret", name)
        self.assertIn("helm.sh/hook", secret["metadata"]["annotations"])
        self.assertLess(int(secret["metadata"]["annotations"]["helm.sh/hook-weight"]), 0)

    def test_the_longest_names_fit_and_still_differ_as_those_of_pods(self):
        longest = "a-release-with-a-name-as-long-as-helm-takes-one-53-abc"[:53]
        for release, change in ((longest, {}), ("farm", {"fullnameOverride": "f" * 63}), ("farm", {"nameOverride": "n" * 63})):
            names = []
            for text in render(merged(values("minimal"), change), release).values():
                for document in yaml.safe_load_all(text) if "apiVersion" in text else ():
                    names.append((document["kind"], document["metadata"]["name"]))
                    labels = document["metadata"]["labels"].values()
                    with self.subTest(release, change=change, name=names[-1]):
                        self.assertLessEqual(max(len(text) for text in [*labels, names[-1][1]]), 63)
                        self.assertRegex(names[-1][1], "^[a-z]([-a-z0-9]*[a-z0-9])?$")
            # Kubernetes cuts what stands before a pod's own ending to 58 letters.
            pods = {name[:58] for kind, name in names if kind in ("Deployment", "Job")}
            self.assertEqual(len(pods), 4, pods)

    def test_numbers_of_settings_are_not_written_as_floating_point(self):
        environment = {e["name"]: e.get("value") for e in self.pod("worker", values("large"))["containers"][0]["env"]}
        self.assertEqual(environment["VERDIGRIS_WORKER__PARALLEL"], "1000000")
        self.assertEqual(environment["VERDIGRIS_DATABASE__MAX_CONNECTIONS"], "40")

    def test_the_fleet_file_arrives_letter_by_letter(self):
        for text in (values("large")["fleet"]["yaml"], "  # more to the right\nfleet: a\n", "a: 1", "a: 1\n\n\n", "a: |\n\tb\r\n"):
            given = merged(values("large"), {"fleet": {"yaml": text}})
            self.assertEqual(by_kind(documents(given), "ConfigMap")["data"]["fleet.yaml"], text)

    def test_an_image_may_be_named_by_its_digest(self):
        digest = "sha256:" + "0" * 64
        [container] = self.pod("api", merged(values("minimal"), {"image": {"digest": digest}}))["containers"]
        self.assertEqual(container["image"], "registry.example.org/verdigris@" + digest)

    def test_pods_are_replaced_when_the_fleet_file_changes_and_not_otherwise(self):
        def mark(given):
            template = by_kind(documents(given), "Deployment", "-controller")["spec"]["template"]
            return template["metadata"]["annotations"]["checksum/fleet"]

        given = values("minimal")
        changed = merged(given, {"fleet": {"yaml": given["fleet"]["yaml"] + "# another\n"}})
        self.assertEqual(mark(given), mark(values("minimal")))
        self.assertNotEqual(mark(given), mark(changed))

    def test_only_pods_that_have_the_fleet_file_are_marked_with_it(self):
        for name in VALUES:
            for document in documents(values(name)):
                if document["kind"] == "Deployment":
                    template = document["spec"]["template"]
                    has_it = "fleet" in [volume["name"] for volume in template["spec"]["volumes"]]
                    is_marked = "checksum/fleet" in template["metadata"].get("annotations", {})
                    self.assertEqual(is_marked, has_it, document["metadata"]["name"])
                    self.assertEqual(has_it, not document["metadata"]["name"].endswith("-worker"))

    def test_annotations_of_the_values_join_the_charts_own(self):
        own = {"checksum/fleet": "mine", "prometheus.io/scrape": "true"}
        for role in ("api", "worker"):
            text = render(merged(values("minimal"), {role: {"podAnnotations": own}}))[f"verdigris/templates/{role}.yaml"]
            # A parser of YAML keeps the last of two equal keys, and says nothing.
            self.assertEqual(text.count("checksum/fleet"), 1)
            deployment = next(d for d in yaml.safe_load_all(text) if d["kind"] == "Deployment")
            self.assertEqual(deployment["spec"]["template"]["metadata"]["annotations"], own)

    def test_each_process_may_have_an_address_of_its_own_for_the_database(self):
        def addresses(given):
            found = documents(given)
            secrets = {d["metadata"]["name"]: d["stringData"] for d in found if d["kind"] == "Secret"}
            places = {}
            for document in found:
                if document["kind"] in ("Deployment", "Job"):
                    [container] = document["spec"]["template"]["spec"]["containers"]
                    [variable] = [e for e in container["env"] if e["name"] == "VERDIGRIS_DATABASE__URL"]
                    key = variable["valueFrom"]["secretKeyRef"]
                    places[container["name"]] = secrets[key["name"]][key["key"]] if key["name"] in secrets else (key["name"], key["key"])
            return places

        base, common = values("minimal"), values("minimal")["database"]["url"]
        roles = ("api", "controller", "worker", "migrate")
        self.assertEqual(addresses(base), dict.fromkeys(roles, common))
        self.assertEqual(addresses(merged(base, {"database": {"roles": None}})), dict.fromkeys(roles, common))
        own = {"database": {"roles": {role: {"url": f"postgres://farm_{role}:x@db/farm"} for role in roles[:3]}}}
        self.assertEqual(addresses(merged(base, own)), {**{role: f"postgres://farm_{role}:x@db/farm" for role in roles[:3]}, "migrate": common})
        # The Secret of the processes has no address that none of them uses: the owner's is the migration's alone.
        self.assertNotIn(common, by_kind(documents(merged(base, own)), "Secret", "-database")["stringData"].values())
        given = merged(values("external"), {"database": {"roles": {"api": {"existingSecretKey": "api"}}}})
        secret = "verdigris-postgres"
        self.assertEqual(addresses(given), {**{role: (secret, "uri") for role in roles}, "api": (secret, "api")})

    def test_a_default_is_taken_away_by_null(self):
        [container] = self.pod("api", values("large"))["containers"]
        self.assertNotIn("limits", container["resources"])
        given = merged(values("minimal"), {"securityContext": None, "podSecurityContext": None})
        self.assertNotIn("securityContext", self.pod("api", given))

    def test_the_ingress_has_the_host_of_the_public_address_without_its_port(self):
        [rule] = by_kind(documents(values("external")), "Ingress")["spec"]["rules"]
        self.assertEqual(rule["host"], "build.example.org")

    def test_results_outlive_the_release_unless_they_shall_not(self):
        kept = by_kind(documents(values("minimal")), "PersistentVolumeClaim")
        self.assertEqual(kept["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        self.assertNotIn("annotations", by_kind(documents(values("large")), "PersistentVolumeClaim")["metadata"])


class Refused(unittest.TestCase):
    def test_what_kubernetes_and_the_program_take_is_taken(self):
        base = values("minimal")
        for change in (
            {"api": {"resources": {"requests": {"cpu": 0.5, "memory": 268435456}, "limits": {"cpu": 1.5, "memory": "1e9"}}}},
            {"storage": {"size": "1.5Ti"}},
            {"storage": {"size": "1Pi"}},
            {"publicUrl": "http://192.0.2.1:5080/farm/"},
            {"publicUrl": "http://[2001:db8::1]"},
            {"publicUrl": "https://build.example.org:8443/farm", "ingress": {"enabled": True}},
            {"publicUrl": "http://localhost:65535", "ingress": {"enabled": True}},
            {"settings": {"http": {"max_upload": "10GiB", "max_connections": "5000", "trusted_proxies": "10.0.0.0/8"}}},
            {"settings": {"database": {"keep_history": "90d", "max_connections": 20}, "storage": {"min_free": "1 GiB"}}},
            {"image": {"repository": "localhost:5000/v", "tag": "1.2_rc-1"}},
            {"image": {"repository": "v"}},
            {"fullnameOverride": "f"},
        ):
            with self.subTest(change=change):
                for document in documents(merged(base, change)):
                    kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)

    def test_a_release_whose_name_no_service_can_have_is_refused_with_the_way_out(self):
        for name in ("1farm", "my.farm"):
            with self.assertRaises(helm.HelmError) as refused:
                render(values("minimal"), name)
            self.assertIn("set fullnameOverride", str(refused.exception))
            render(merged(values("minimal"), {"fullnameOverride": "farm"}), name)

    def test_what_cannot_work_is_refused_before_it_is_installed(self):
        base = values("minimal")
        wrong = {
            "image/repository": {"image": {"repository": ""}},
            "publicUrl": {"publicUrl": "build.example.org"},
            "publicUrl ": {"publicUrl": ""},
            "builderUrl": {"builderUrl": "10.0.0.5:5080"},
            "database": {"database": {"url": ""}},
            "database ": {"database": {"existingSecret": "both"}},
            "database/url": {"database": {"url": "sqlite:///farm.db"}},
            # Each would be passed over in silence.
            "existingSecretKey": {"database": {"roles": {"api": {"existingSecretKey": "api"}}}},
            "additional properties 'apy'": {"database": {"roles": {"apy": {"url": "postgres://a@b/c"}}}},
            "database/roles/api/url": {"database": {"roles": {"api": {"url": "sqlite:///farm.db"}}}},
            "secrets/existingSecret": {"secrets": {"existingSecret": ""}},
            "secrets/existingSecret ": {"secrets": {"existingSecret": "Not_A_Name"}},
            "fleet": {"fleet": {"yaml": ""}},
            "fleet ": {"fleet": {"existingConfigMap": "both"}},
            "storage/size": {"storage": {"size": "100"}},
            # Null takes a default away.
            "missing property 'size'": {"storage": {"size": None}},
            "missing property 'replicas'": {"worker": {"replicas": None}},
            "storage/accessModes": {"storage": {"accessModes": []}},
            "api/replicas": {"api": {"replicas": -1}},
            "api/replicas ": {"api": {"replicas": "2"}},
            "api/service/port": {"api": {"service": {"port": 70000}}},
            "worker": {"worker": {"service": {"port": 80}}},
            "worker/terminationGracePeriodSeconds": {"worker": {"terminationGracePeriodSeconds": 5}},
            "api/resources": {"api": {"resources": {"limit": {"memory": "1Gi"}}}},
            "api/resources/limits/memory": {"api": {"resources": {"limits": {"memory": "1GiB"}}}},
            "additional properties 'htpp'": {"settings": {"htpp": {"max_upload": "1GiB"}}},
            "additional properties 'listen'": {"settings": {"http": {"listen": "0.0.0.0:1"}}},
            "additional properties 'url'": {"settings": {"database": {"url": "postgres://here"}}},
            "additional properties 'mirrors'": {"settings": {"http": {"mirrors": {"a": "b"}}}},
            "additional properties 'replica'": {"replica": 3},
            # Services and their hosts are DNS labels that begin with a letter.
            "fullnameOverride": {"fullnameOverride": "my.farm"},
            "fullnameOverride ": {"fullnameOverride": "1farm"},
            "nameOverride": {"nameOverride": "Farm"},
            "publicUrl  ": {"publicUrl": "https://:80"},
            "publicUrl   ": {"publicUrl": "https://a:99999"},
            "publicUrl    ": {"publicUrl": "https://user:password@build.example.org"},
            "publicUrl     ": {"publicUrl": "https://192.0.2.1", "ingress": {"enabled": True}},
            "publicUrl      ": {"publicUrl": "https://[2001:db8::1]/", "ingress": {"enabled": True}},
            "publicUrl       ": {"publicUrl": "https://Build.Example.org", "ingress": {"enabled": True}},
            "additional properties 'colour'": {"settings": {"http": {"colour": "red"}}},
            "settings/http/max_upload": {"settings": {"http": {"max_upload": 10737418240}}},
            "settings/worker/signing_keys": {"settings": {"worker": {"signing_keys": "dsa"}}},
            "settings/http/body_timeout": {"settings": {"http": {"body_timeout": "20"}}},
            "fleet/yaml": {"fleet": {"yaml": "   \n"}},
            "missing property 'existingSecretKey'": {"database": {"existingSecretKey": None}},
            "image/repository  ": {"image": {"repository": "registry.example.org/v@sha256:" + "0" * 64}},
            "image/tag": {"image": {"tag": "a b"}},
            "image/digest": {"image": {"digest": "sha256:0"}},
            "image/pullSecrets/0": {"image": {"pullSecrets": [""]}},
            "storage/size ": {"storage": {"size": "0Gi"}},
            "api/resources/limits/cpu": {"api": {"resources": {"limits": {"cpu": -1}}}},
        }
        for where, change in wrong.items():
            with self.subTest(where, change=change):
                with self.assertRaises(helm.HelmError) as refused:
                    render(merged(base, change))
                self.assertIn(where.strip(), str(refused.exception))


if __name__ == "__main__":
    unittest.main()
