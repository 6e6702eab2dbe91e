"""Scenarios of ec2_client.py: faults that were asked for, and what tells the dialects apart."""
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from ec2_tools import (
    API, ENDPOINT, EUCALYPTUS, IMAGE, client, control, ec2, fault, ids_of, instances, refused, run,
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
