"""Drives an EC2 endpoint with boto3, unmodified: ec2_client.py ENDPOINT IMAGE SCENARIO [ARGUMENT...]
Each scenario asserts what it expects and ends with status 0. The keys are those of the tests."""
import base64
import hashlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization

import ec2_faults
from ec2_tools import (
    ENDPOINT, IMAGE, PUBLIC_KEY, client, ec2, fault, ids_of, instances, refused, run, state, until, wait)


def launch():
    """Prints the ids of some running instances."""
    ids = run(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    wait("instance_running", ids)
    print(" ".join(ids))


def launch_with_key():
    """Launches COUNT instances with the public key in FILE, and the user data in another file where one is named;
    prints the ids of the running instances."""
    user_data = "#!/bin/sh\necho from user data > /root/proof.new\nmv /root/proof.new /root/proof\n"
    if len(sys.argv) > 6:
        with open(sys.argv[6]) as file:
            user_data = file.read()
    with open(sys.argv[5], "rb") as file:
        public = file.read()
    if not ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": ["login"]}])["KeyPairs"]:
        ec2.import_key_pair(KeyName="login", PublicKeyMaterial=public)
    ids = run(
        int(sys.argv[4]),
        KeyName="login",
        UserData=user_data,
        InstanceInitiatedShutdownBehavior="terminate",
    )
    wait("instance_running", ids)
    print(" ".join(ids))


def console_has_host_key():
    deadline = time.monotonic() + 60
    while "BEGIN SSH HOST KEY" not in (text := ec2.get_console_output(InstanceId=sys.argv[4])["Output"]):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


def signature_version_2():
    """A client that signs as Eucalyptus's do; a token stands for the call, whenever it was signed."""
    old = client(signature_version="v2")
    call = dict(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, ClientToken="again")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "a b+/ü*~"}]}]
    first = old.run_instances(TagSpecifications=tags, **call)["Instances"][0]["InstanceId"]
    time.sleep(1.1)  # The next second has another signature.
    again = old.run_instances(TagSpecifications=tags, **call)["Instances"][0]["InstanceId"]
    assert first == again, (first, again)
    found = old.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["a b+/ü*~"]}])
    assert [one["InstanceId"] for group in found["Reservations"] for one in group["Instances"]] == [first]
    refused("403 Forbidden", client(secret="wrong", signature_version="v2").describe_instances, 403)
    old.terminate_instances(InstanceIds=[first])


def make_image():
    """Makes an image of an instance with a name, prints its id when it is there."""
    instance, name = sys.argv[4], sys.argv[5]
    tags = [{"ResourceType": "image", "Tags": [{"Key": "made", "Value": name}]}]
    image = ec2.create_image(InstanceId=instance, Name=name, TagSpecifications=tags)["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    found = ec2.describe_images(Filters=[{"Name": "tag:made", "Values": [name]}])["Images"]
    assert [one["ImageId"] for one in found] == [image] and found[0]["State"] == "available", found
    print(image)


def deregister_image():
    ec2.deregister_image(ImageId=IMAGE)
    refused("InvalidAMIID.NotFound", run)


def stop():
    ec2.stop_instances(InstanceIds=[sys.argv[4]])
    until(sys.argv[4], "stopped")


def start():
    ec2.start_instances(InstanceIds=[sys.argv[4]])
    until(sys.argv[4], "running")


def make_fault():
    fault(fault=sys.argv[4], instance=sys.argv[5])


def life():
    user_data = "#!/bin/sh\necho hello\n"
    arguments = dict(
        least=2,
        UserData=user_data,
        ClientToken="life-1",
        InstanceInitiatedShutdownBehavior="terminate",
        InstanceMarketOptions={"MarketType": "spot"},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}],
        Placement={"AvailabilityZone": "dev-1a"},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "builder"}, {"Key": "Name", "Value": "<&>"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "disk", "Value": "yes"}]},
        ],
    )
    ids = run(**arguments)
    assert len(set(ids)) == 2
    assert run(**arguments) == ids, "the same token gives the same instances"
    refused("IdempotentParameterMismatch", run, **{**arguments, "least": 1})
    wait("instance_running", ids)
    one = instances(InstanceIds=ids[:1])[0]
    assert one["State"] == {"Code": 16, "Name": "running"}, one
    assert one["PrivateIpAddress"].startswith("10.88.") and one["PublicIpAddress"].startswith("127."), one
    assert one["PrivateIpAddress"].split(".")[2:] == one["PublicIpAddress"].split(".")[2:], one
    assert one["InstanceLifecycle"] == "spot" and one["ClientToken"] == "life-1", one
    assert one["MetadataOptions"]["HttpTokens"] == "required", one
    assert {tag["Key"]: tag["Value"] for tag in one["Tags"]} == {"role": "builder", "Name": "<&>"}, one
    assert one["SecurityGroups"][0]["GroupName"] == "default", one
    volume = one["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    tags = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [volume]}])["Tags"]
    assert [(tag["Key"], tag["ResourceType"]) for tag in tags] == [("disk", "volume")], tags
    read = ec2.describe_instance_attribute(InstanceId=ids[0], Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(read).decode() == user_data
    assert "Output" in ec2.get_console_output(InstanceId=ids[0])
    status = ec2.describe_instance_status(InstanceIds=ids)["InstanceStatuses"]
    assert {one["InstanceStatus"]["Status"] for one in status} == {"ok"}, status
    refused("UnsupportedOperation", ec2.stop_instances, InstanceIds=ids[:1])
    change = ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    assert {one["CurrentState"]["Name"] for one in change} == {"shutting-down"}, change
    assert {one["PreviousState"]["Name"] for one in change} == {"running"}, change
    wait("instance_terminated", ids)
    one = instances(InstanceIds=ids[:1])[0]
    assert one["StateReason"]["Code"] == "Client.UserInitiatedShutdown", one
    assert "PublicIpAddress" not in one and one["StateTransitionReason"].startswith("User initiated ("), one
    refused("IdempotentInstanceTerminated", run, **arguments)
    again = ec2.terminate_instances(InstanceIds=ids[:1])["TerminatingInstances"][0]
    assert again["PreviousState"]["Name"] == "terminated", again


def stop_start():
    [instance] = run()
    refused("IncorrectInstanceState", ec2.start_instances, InstanceIds=[terminated()])
    wait("instance_running", [instance])
    before = instances(InstanceIds=[instance])[0]
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
    refused("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    ec2.reboot_instances(InstanceIds=[instance])
    ec2.stop_instances(InstanceIds=[instance])
    until(instance, "stopped")
    assert "PublicIpAddress" not in instances(InstanceIds=[instance])[0]
    assert ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"] == []
    everything = ec2.describe_instance_status(InstanceIds=[instance], IncludeAllInstances=True)["InstanceStatuses"]
    assert everything[0]["InstanceState"]["Name"] == "stopped", everything
    refused("IncorrectInstanceState", ec2.reboot_instances, InstanceIds=[instance])
    started = ec2.start_instances(InstanceIds=[instance])["StartingInstances"][0]
    assert (started["PreviousState"]["Name"], started["CurrentState"]["Name"]) == ("stopped", "pending"), started
    until(instance, "running")
    after = instances(InstanceIds=[instance])[0]
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"], (before, after)
    assert after["LaunchTime"] >= before["LaunchTime"]
    ec2.terminate_instances(InstanceIds=[instance])
    until(instance, "terminated")


def terminated():
    [instance] = run()
    ec2.terminate_instances(InstanceIds=[instance])
    until(instance, "terminated")
    return instance


def pages_and_filters():
    tags = lambda **tags: [{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]
    builders = run(7, TagSpecifications=tags(role="builder", pool="x86-std"))
    other = run(InstanceType="c7i.large", ClientToken="other", TagSpecifications=tags(role="other"))
    wait("instance_running", builders + other)
    page = ec2.describe_instances(MaxResults=5)
    assert sum(len(group["Instances"]) for group in page["Reservations"]) == 5
    paged = [one["InstanceId"] for one in instances(PaginationConfig={"PageSize": 5})]
    assert len(paged) == len(set(paged)) == 8 and set(paged) == set(builders + other)
    refused("InvalidParameterCombination", ec2.describe_instances, InstanceIds=builders, MaxResults=5)
    refused("InvalidParameterValue", ec2.describe_instances, MaxResults=3)
    refused("InvalidNextToken", ec2.describe_instances, NextToken="nonsense")
    assert ids_of(tag__role=["builder"]) == sorted(builders)
    assert ids_of(tag__role=["b*", "other"]) == sorted(builders + other)
    assert ids_of(tag__role=["b*"], instance_id=builders[:1]) == builders[:1]
    assert ids_of(tag_key=["pool"]) == sorted(builders)
    assert ids_of(instance_type=["c7i.*"]) == other
    assert ids_of(client_token=["other"]) == other
    assert ids_of(instance_state_name=["stopped"]) == []
    assert ids_of(instance_state_code=["16"]) == sorted(builders + other)
    one = instances(InstanceIds=other)[0]
    assert ids_of(private_ip_address=[one["PrivateIpAddress"]]) == other
    assert ids_of(ip_address=[one["PublicIpAddress"]]) == other
    assert ids_of(dns_name=[one["PublicDnsName"]]) == other
    assert ids_of(image_id=[IMAGE], availability_zone=["dev-1a"]) == sorted(builders + other)
    assert ids_of(instance_lifecycle=["spot"]) == []
    refused("InvalidParameterValue", ec2.describe_instances, Filters=[{"Name": "colour", "Values": ["red"]}])
    ec2.create_tags(Resources=builders, Tags=[{"Key": "a", "Value": "b c+d/ü"}, {"Key": "empty", "Value": ""}])
    assert ids_of(tag__a=["b c+d/ü"]) == sorted(builders)
    found = [tag for page in ec2.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5}) for tag in page["Tags"]]
    assert len(found) == 7 * 4 + 1, len(found)
    ec2.delete_tags(Resources=builders[:1], Tags=[{"Key": "a", "Value": "not this"}])
    assert ids_of(tag__a=["*"]) == sorted(builders)
    ec2.delete_tags(Resources=builders[:1], Tags=[{"Key": "a"}])
    assert ids_of(tag__a=["*"]) == sorted(builders[1:])
    refused("InvalidInstanceID.NotFound", ec2.create_tags, Resources=["i-00000000000000000"], Tags=[{"Key": "a", "Value": "b"}])
    refused("InvalidParameterValue", ec2.create_tags, Resources=builders, Tags=[{"Key": "aws:x", "Value": "b"}])
    many = [{"Key": f"k{n}", "Value": ""} for n in range(48)]
    refused("TagLimitExceeded", ec2.create_tags, Resources=builders[:1], Tags=many)
    assert ids_of(tag_key=["k1"]) == [], "a refused call has tagged nothing"


def key_der(private, public):
    """A private key as PKCS #8, or a public key as X.509 has it, by another library than the cloud's."""
    encoding = serialization.Encoding.DER
    if private:
        key = serialization.load_pem_private_key(private, None)
        return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = serialization.load_ssh_public_key(public)
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def colons(digest):
    text = digest.hexdigest()
    return ":".join(text[place : place + 2] for place in range(0, len(text), 2))


def key_pairs():
    imported = ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=PUBLIC_KEY)
    refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, KeyName="mine", PublicKeyMaterial=PUBLIC_KEY)
    refused("InvalidKey.Format", ec2.import_key_pair, KeyName="bad", PublicKeyMaterial=b"ssh-ed25519 nonsense")
    for kind, head in [("ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----"), ("rsa", "-----BEGIN RSA PRIVATE KEY-----")]:
        made = ec2.create_key_pair(KeyName=kind, KeyType=kind)
        assert made["KeyMaterial"].startswith(head), made
        public = subprocess.run(["ssh-keygen", "-y", "-f", "/dev/stdin"], input=made["KeyMaterial"], capture_output=True, text=True, check=True)
        shown = ec2.describe_key_pairs(KeyNames=[kind], IncludePublicKey=True)["KeyPairs"][0]
        assert shown["PublicKey"].split()[:2] == public.stdout.split()[:2], (shown, public.stdout)
        if kind == "rsa":
            der = key_der(made["KeyMaterial"].encode(), None)
            assert made["KeyFingerprint"] == colons(hashlib.sha1(der)), made
            again = ec2.import_key_pair(KeyName="rsa-imported", PublicKeyMaterial=public.stdout.encode())
            der = key_der(None, public.stdout.encode())
            assert again["KeyFingerprint"] == colons(hashlib.md5(der)), again
        assert shown["KeyType"] == kind and shown["KeyPairId"] == made["KeyPairId"], shown
    [instance] = run(KeyName="mine")
    refused("InvalidKeyPair.NotFound", run, KeyName="gone")
    wait("instance_running", [instance])
    assert instances(InstanceIds=[instance])[0]["KeyName"] == "mine"
    assert ids_of(key_name=["min?"]) == [instance]
    names = [key["KeyName"] for key in ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": ["m*"]}])["KeyPairs"]]
    assert names == ["mine"], names
    ec2.delete_key_pair(KeyPairId=imported["KeyPairId"])
    ec2.delete_key_pair(KeyName="mine")
    refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["mine"])


def groups():
    group = ec2.create_security_group(GroupName="builders", Description="for builders")["GroupId"]
    refused("InvalidGroup.Duplicate", ec2.create_security_group, GroupName="builders", Description="again")
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert made["Return"] and made["SecurityGroupRules"][0]["CidrIpv4"] == "10.0.0.0/8", made
    refused("InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule])
    shown = ec2.describe_security_groups(GroupNames=["builders"])["SecurityGroups"][0]
    assert shown["IpPermissions"][0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}], shown
    [instance] = run(SecurityGroupIds=[group])
    refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    refused("InvalidPermission.NotFound", ec2.revoke_security_group_ingress, GroupId=group, IpPermissions=[rule])
    ec2.terminate_instances(InstanceIds=[instance])
    until(instance, "terminated")
    ec2.delete_security_group(GroupId=group)
    refused("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[group])
    refused("InvalidGroup.NotFound", run, SecurityGroupIds=[group])
    refused("CannotDelete", ec2.delete_security_group, GroupName="default")


def places():
    assert [region["RegionName"] for region in ec2.describe_regions()["Regions"]] == ["dev-1"]
    assert [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]] == ["dev-1a"]
    image = ec2.describe_images(Owners=["self"], Filters=[{"Name": "state", "Values": ["available"]}])["Images"][0]
    assert (image["ImageId"], image["Architecture"]) == (IMAGE, "x86_64"), image
    assert ec2.describe_images(Filters=[{"Name": "name", "Values": ["nothing*"]}])["Images"] == []
    small = ec2.describe_instance_types(InstanceTypes=["t3.small"])["InstanceTypes"][0]
    assert (small["VCpuInfo"]["DefaultVCpus"], small["MemoryInfo"]["SizeInMiB"]) == (2, 2048), small
    assert small["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"], small
    pages = ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 5})
    assert "c7i.xlarge" in [one["InstanceType"] for page in pages for one in page["InstanceTypes"]]
    offerings = ec2.describe_instance_type_offerings(Filters=[{"Name": "instance-type", "Values": ["t3.*"]}])
    assert {one["Location"] for one in offerings["InstanceTypeOfferings"]} == {"dev-1"}, offerings
    caller = client(service="sts").get_caller_identity()
    assert image["OwnerId"] == caller["Account"], (image, caller)
    assert client(service="iam").get_user()["User"]["Arn"] == caller["Arn"], caller
    try:
        client(service="iam").get_user(UserName="nobody")
        raise AssertionError("a user that is not there was found")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchEntity", error.response
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    [subnet] = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert subnet["DefaultForAz"] and subnet["AvailabilityZone"] == "dev-1a", subnet
    assert subnet["AvailableIpAddressCount"] > 60000, subnet
    assert ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute="enableDnsSupport")["EnableDnsSupport"] == {"Value": False}
    assert ec2.describe_addresses()["Addresses"] == [] and ec2.describe_placement_groups()["PlacementGroups"] == []
    attributes = ec2.describe_account_attributes(AttributeNames=["max-instances"])["AccountAttributes"]
    assert attributes[0]["AttributeValues"][0]["AttributeValue"] == "256", attributes


def signed(body, service="ec2"):
    """Sends a form as it is, signed for a service."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = AWSRequest("POST", ENDPOINT + "/", data=body, headers=headers)
    SigV4Auth(Credentials("test-key", "test-secret"), service, "dev-1").add_auth(request)
    return raw(body.encode(), dict(request.headers))


def raw(body, headers={}, path="/", method=None):
    request = urllib.request.Request(ENDPOINT + path, body, headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
        return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def errors():
    refused("AuthFailure", client(secret="wrong").describe_instances, 401)
    refused("AuthFailure", client(key="nobody").describe_instances, 401)
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, 400, InstanceIds=["i-0123456789abcdef0"])
    [instance] = run()
    for call in [ec2.describe_instances, ec2.terminate_instances, ec2.stop_instances]:
        refused("InvalidInstanceID.NotFound", call, InstanceIds=[instance, "i-0123456789abcdef0"])
    refused("InvalidInstanceID.Malformed", ec2.terminate_instances, InstanceIds=["i-nonsense"])
    assert state(instance) in ("pending", "running"), "a refused terminate has terminated nothing"
    refused("DryRunOperation", ec2.terminate_instances, 412, InstanceIds=[instance], DryRun=True)
    refused("DryRunOperation", ec2.run_instances, 412, ImageId=IMAGE, MinCount=1, MaxCount=1, DryRun=True)
    refused("InvalidAMIID.NotFound", ec2.run_instances, ImageId="ami-00000000", MinCount=1, MaxCount=1)
    refused("InvalidAMIID.Malformed", ec2.run_instances, ImageId="debian", MinCount=1, MaxCount=1)
    refused("InvalidParameterValue", run, InstanceType="t99.huge")
    refused("InvalidParameterCombination", run, least=2, most=1)
    refused("InvalidParameterValue", run, UserData="x" * 16385)
    refused("InvalidParameterValue", run, Placement={"AvailabilityZone": "moon-1a"})
    refused("InvalidAction", ec2.describe_volumes)
    refused("AuthFailure", client(signature_version="v2").describe_instances, 401)
    code, text = signed("Action=DescribeInstances&Version=1999-01-01")
    assert code == 400 and "NoSuchVersion" in text and "1999-01-01" in text, text
    code, text = signed("Action=DescribeInstances&Version=2016-11-15", "s3")
    assert code == 401 and "AuthFailure" in text and "correct service" in text, text
    code, text = signed("Action=DescribeInstances&Version=2014-02-01")
    assert code == 200 and "http://ec2.amazonaws.com/doc/2014-02-01/" in text, text
    code, text = signed("Action=DescribeInstances&Version=2016-11-15&MaxResult=5")
    assert code == 400 and "UnknownParameter" in text and "MaxResult is" in text, text
    refused("DryRunOperation", ec2.describe_instances, 412, DryRun=True)
    assert len(instances()) == 1, "what was refused has launched nothing"
    code, text = raw(b"Action=DescribeInstances&Version=2016-11-15")
    assert code == 403 and "MissingAuthenticationToken" in text, text
    code, text = raw(b"Action=DescribeInstances&SignatureVersion=2&AWSAccessKeyId=test-key")
    assert code == 400 and "IncompleteSignature" in text and "Timestamp and Expires" in text, text
    code, text = raw(b"x" * (1024 * 1024 + 1))
    assert code == 413 and "RequestEntityTooLarge" in text, text
    for path in ["ledger", "fault"]:
        code, text = raw(b"{}" if path == "fault" else None, {"Authorization": "Bearer wrong"}, "/_devcloud/" + path)
        assert code == 401, text
    code, text = raw(b'{"fault":"flood"}', {"Authorization": "Bearer test-secret"}, "/_devcloud/fault")
    assert code == 400 and "flood" in text, text
    plan = b'{"rules":[{"action":"RunInstance","effect":"no-ssh"}]}'
    code, text = raw(plan, {"Authorization": "Bearer test-secret"}, "/_devcloud/faults")
    assert code == 405 and "PUT faults" in text, text
    code, text = raw(plan, {"Authorization": "Bearer test-secret"}, "/_devcloud/faults", "PUT")
    assert code == 400 and "rules[0].action" in text, text


if __name__ == "__main__":
    name = sys.argv[3]
    scenario = globals().get(name) or getattr(ec2_faults, name)
    scenario()
