"""What the scenarios of ec2_client.py and ec2_faults.py share: the client, and the control endpoint."""
import json
import sys
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, IMAGE = sys.argv[1], sys.argv[2]
EUCALYPTUS = IMAGE.startswith("emi-")
API = ENDPOINT + ("/services/compute" if EUCALYPTUS else "")
PUBLIC_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtQ2jMTmBvQ0mP8c1z8yqJ5h0Q2E2Xq0bq1cZ0cQ0aB test"


def client(key="test-key", secret="test-secret", service="ec2", **more):
    return boto3.client(
        service,
        endpoint_url=API,
        region_name="dev-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30, **more),
    )


ec2 = client()


def run(least=1, most=None, **more):
    more.setdefault("InstanceType", "t3.micro")
    answer = ec2.run_instances(ImageId=IMAGE, MinCount=least, MaxCount=most or least, **more)
    return [instance["InstanceId"] for instance in answer["Instances"]]


def instances(**more):
    pages = ec2.get_paginator("describe_instances").paginate(**more)
    return [one for page in pages for group in page["Reservations"] for one in group["Instances"]]


def ids_of(**filters):
    wanted = [{"Name": name.replace("__", ":").replace("_", "-"), "Values": values} for name, values in filters.items()]
    return sorted(one["InstanceId"] for one in instances(Filters=wanted))


def refused(code, call, status=None, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        if status:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call} was not refused with {code}")


def state(instance):
    return instances(InstanceIds=[instance])[0]["State"]["Name"]


def until(instance, wanted, patience=60):
    deadline = time.monotonic() + patience
    while (now := state(instance)) != wanted:
        assert time.monotonic() < deadline, f"{instance} is {now}, not {wanted}, after {patience} s"
        time.sleep(0.02)


def wait(name, ids):
    ec2.get_waiter(name).wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def control(method, path, body):
    request = urllib.request.Request(
        ENDPOINT + "/_devcloud/" + path,
        json.dumps(body).encode(),
        {"Authorization": "Bearer test-secret", "Content-Type": "application/json"},
        method=method,
    )
    assert json.load(urllib.request.urlopen(request, timeout=30)) == {"done": True}


def fault(**fault):
    control("POST", "fault", fault)


def terminate_all():
    ids = [one["InstanceId"] for one in instances()]
    ec2.terminate_instances(InstanceIds=ids)


def ledger():
    headers = {"Authorization": "Bearer test-secret"}
    request = urllib.request.Request(ENDPOINT + "/_devcloud/ledger", None, headers)
    return json.load(urllib.request.urlopen(request, timeout=30))
