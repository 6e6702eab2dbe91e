"""Scenarios of ec2_client.py: faults that were asked for, and what tells the dialects apart."""
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from ec2_tools import (
    API, ENDPOINT, EUCALYPTUS, IMAGE, client, control, ec2, fault, ids_of, instances, ledger, refused, run,
    terminate_all, until, wait)


def faults():
    throttle = {"fail": {"code": "RequestLimitExceeded"}}
    rules = [{"action": "DescribeRegions", "after": 1, "count": 2, "effect": throttle}]
    control("PUT", "faults", {"seed": 1, "rules": rules})
    ec2.describe_regions()
    for _ in range(2):
        refused("RequestLimitExceeded", ec2.describe_regions, 503)
    ec2.describe_regions()
    fault(fault="fail-run-instances", code="InsufficientInstanceCapacity", count=2)
    refused("InsufficientInstanceCapacity", run, 500)
    refused("InsufficientInstanceCapacity", run)
    fault(fault="lose-answer")
    try:
        run(ClientToken="lost")
        raise AssertionError("the answer came")
    except BotoCoreError:
        pass
    lost = ids_of(client_token=["lost"])
    assert len(lost) == 1, "the launch happened although its answer was lost"
    assert run(ClientToken="lost") == lost, "and the token finds it again"
    wait("instance_running", lost)
    fault(fault="power-cut", instance=lost[0])
    until(lost[0], "terminated")
    assert instances(InstanceIds=lost)[0]["StateReason"]["Code"] == "Server.InternalError"


def plans():
    plan = lambda *rules: control("PUT", "faults", {"rules": list(rules)})
    # What was launched is not found at once: the waiters of botocore know that, and wait.
    plan({"action": "RunInstances", "effect": {"delay-visibility": {"milliseconds": 2500}}})
    [late] = run()
    assert ids_of() == [], "it is in no list yet"
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[late])
    refused("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=[late])
    wait("instance_exists", [late])
    wait("instance_running", [late])
    # A list may be too short, or have everything twice, on each of its pages.
    all_ids = sorted(run(6) + [late])
    plan(
        {"action": "DescribeInstances", "count": 2, "effect": {"leave-out": {"percent": 100}}},
        {"action": "DescribeInstances", "after": 2, "count": 2, "effect": "double"},
    )
    assert ids_of() == [] and ids_of(instance_id=[late]) == [], "a good answer without instances"
    paged = sorted(one["InstanceId"] for one in instances(PaginationConfig={"PageSize": 5}))
    assert paged == sorted(all_ids * 2) and ids_of() == all_ids, paged
    plan({"action": "RunInstances", "effect": {"spot-loss": {"after_milliseconds": 200, "notice_milliseconds": 200}}})
    [spot] = run()
    until(spot, "terminated")
    lost = instances(InstanceIds=[spot])[0]
    assert lost["StateReason"]["Code"] == lost["StateTransitionReason"] == "Server.SpotInstanceTermination", lost


def lost():
    """Answers that are lost before, while and after the work is done: what counts is what the ledger says."""
    launched = lambda: len(ledger()["instances"])
    errors = (ConnectionClosedError, EndpointConnectionError, ReadTimeoutError)
    for when, hang, made in [
        ("before", False, 0), ("during", False, 1), ("after", False, 1), ("before", True, 0), ("after", True, 1),
    ]:
        effect = {"lose-answer": {"when": when, "hang": hang}}
        control("PUT", "faults", {"rules": [{"action": "RunInstances", "effect": effect}]})
        before = launched()
        impatient = boto3.client(
            "ec2", endpoint_url=API, region_name="dev-1", aws_access_key_id="test-key", aws_secret_access_key="test-secret",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=2))
        call = dict(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, ClientToken=f"{when}-{hang}")
        try:
            impatient.run_instances(**call)
            raise AssertionError(f"an answer came: {effect}")
        except errors as error:
            assert isinstance(error, ReadTimeoutError) == hang, (effect, error)
        deadline = time.monotonic() + 10
        while launched() < before + made:
            assert time.monotonic() < deadline, f"nothing was launched: {effect}"
            time.sleep(0.02)
        time.sleep(0.2)
        assert launched() == before + made, effect
        # The same token again: one instance, whatever became of the first call.
        ec2.run_instances(**call)
        assert launched() == before + 1, effect


def limits():
    """A cloud that is down for a while, to every call, and one bucket for all that describes."""
    down = {"action": "*", "lasts_milliseconds": 4000, "effect": {"fail": {"code": "ServiceUnavailable"}}}
    control("PUT", "faults", {"rules": [down]})
    refused("ServiceUnavailable", ec2.describe_regions, 503)
    refused("ServiceUnavailable", ec2.terminate_instances, 503, InstanceIds=["i-00000001"])
    time.sleep(4.1)
    ec2.describe_regions()
    control("PUT", "faults", {"rules": [], "buckets": [{"actions": ["Describe*"], "size": 2, "per_minute": 12}]})
    ec2.describe_regions()
    ec2.describe_images()
    refused("RequestLimitExceeded", ec2.describe_regions, 503)
    time.sleep(5.1)
    ec2.describe_regions()


def dialect():
    """What a client can tell the dialects by: each row is for Amazon, then for Eucalyptus."""
    launched = [run()[0] for _ in range(6)]
    options = {"HttpTokens": "required"}
    spot = {"MarketType": "spot"}
    rows = [
        (client(secret="wrong").describe_instances, {}, "401 AuthFailure", "403 403 Forbidden"),
        (client(signature_version="v2").describe_instances, {}, "401 AuthFailure", "200"),
        (ec2.describe_instances, {"DryRun": True}, "412 DryRunOperation", "400 400 Bad Request"),
        (ec2.describe_images, {"MaxResults": 5}, "200", "400 400 Bad Request"),
        (ec2.describe_instances, {"MaxResults": 5}, "200", "200"),
        (ec2.describe_instances, {"InstanceIds": ["i-00000000"]}, *["400 InvalidInstanceID.NotFound"] * 2),
        (run, {"MetadataOptions": options}, "200", "400 400 Bad Request"),
        (run, {"InstanceMarketOptions": spot}, "200", "400 400 Bad Request"),
        (run, {"InstanceInitiatedShutdownBehavior": "terminate"}, "200", "200"),
        (ec2.describe_launch_templates, {}, "400 InvalidAction", "400 400 Bad Request"),
        (ec2.describe_instance_type_offerings, {}, "200", "400 400 Bad Request"),
    ]
    for call, arguments, amazon, eucalyptus in rows:
        try:
            call(**arguments)
            told = "200"
        except ClientError as error:
            answer = error.response
            told = f"{answer['ResponseMetadata']['HTTPStatusCode']} {answer['Error']['Code']}"
        assert told == (eucalyptus if EUCALYPTUS else amazon), (arguments, told)
    page = ec2.describe_instances(MaxResults=5)
    seen = [one["InstanceId"] for group in page["Reservations"] for one in group["Instances"]]
    assert ("NextToken" in page) != EUCALYPTUS, page
    assert len(seen) == 5 if not EUCALYPTUS else set(launched) <= set(seen), seen
    for path in ["", "/", "/services/computer", "/services/Tokens"]:
        elsewhere = boto3.client(
            "ec2", endpoint_url=ENDPOINT + path, region_name="dev-1", aws_access_key_id="test-key",
            aws_secret_access_key="test-secret", config=Config(retries={"total_max_attempts": 1}))
        if EUCALYPTUS:
            refused("404 Not Found", elsewhere.describe_instances, 404)
        else:
            elsewhere.describe_instances()
    elsewhere = boto3.client(
        "sts", endpoint_url=ENDPOINT + "/services/Tokens", region_name="dev-1", aws_access_key_id="test-key",
        aws_secret_access_key="test-secret")
    assert len(elsewhere.get_caller_identity()["Account"]) == 12
    terminate_all()
