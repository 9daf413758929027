"""Events, schedules, mail and the clock over HTTP, in a sandbox whose clock is moved."""

import io
import json
import re
import stat
import threading
import time
import urllib.error
import urllib.request
import zipfile
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from mammo_mlops.sandbox import server

LAMBDA = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
SAGEMAKER = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}


@pytest.fixture(scope="module")
def sandbox(own_sandbox):
    """This file's own sandbox."""
    return own_sandbox


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def refusal(call, **request):
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def wait_for(happened, seconds=20):
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, f"nothing happened within {seconds} s"
        time.sleep(0.02)
    return found


class World:
    """One account: a rule for the test's own events, and short words."""

    def __init__(self, sandbox, name, profile="dev"):
        self.sandbox, self.name, self.profile, self.account = sandbox, name, profile, sandbox.account(profile)
        self.events, self.sqs, self.sns, self.iam = (sandbox.client(service, profile) for service in ("events", "sqs", "sns", "iam"))
        self.rule = f"arn:aws:events:us-east-1:{self.account}:rule/{name}"

    def put_rule(self, pattern=None, name=None, **more):
        given = {} if "ScheduleExpression" in more else {"EventPattern": json.dumps(pattern or {"source": [self.name]})}
        return self.events.put_rule(Name=name or self.name, **given, **more)["RuleArn"]

    def target(self, arn, rule=None, **more):
        answer = self.events.put_targets(Rule=rule or self.name, Targets=[{"Id": arn.rpartition(":")[2].replace("/", "-")[:60], "Arn": arn, **more}])
        assert answer["FailedEntryCount"] == 0

    def put(self, detail=None, **more):
        entry = {"Source": self.name, "DetailType": "Test", "Detail": json.dumps(detail or {}), **more}
        answer = self.events.put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        return answer["Entries"][0]["EventId"]

    def deliveries(self, event_id):
        """Deliveries of the event by all buses, once none is under way."""
        def ended():
            found = [d for event in server.events(self.sandbox.folder) if event["id"] == event_id for d in event["deliveries"]]
            return found if found and all(d["status"] != "under way" for d in found) else None

        return wait_for(ended)

    def read(self, url, count=1, seconds=10):
        found = []
        wait_for(lambda: found.extend(self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])) or len(found) >= count, seconds)
        assert len(found) == count
        return found

    def bodies(self, url, count=1):
        return [json.loads(message["Body"]) for message in self.read(url, count)]

    def empty(self, url):
        return not self.sqs.receive_message(QueueUrl=url).get("Messages")

    def role(self, name, trust, *statements):
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=document(*statements))
        return arn

    def events_role(self, action="sagemaker:StartPipelineExecution", resource="*", source=None):
        trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust["Condition"] = {"StringEquals": {"aws:SourceAccount": self.account}, "ArnEquals": {"aws:SourceArn": source or self.rule}}
        return self.role(f"{self.name}-{action.split(':')[1]}", trust, {"Effect": "Allow", "Action": action, "Resource": resource})

    def pipeline(self, *parameters):
        step = {"Name": "Check", "Type": "Condition", "Arguments": {"Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], "IfSteps": [], "ElseSteps": []}}
        role = self.role(f"{self.name}-pipeline", SAGEMAKER, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
        text = json.dumps({"Version": "2020-12-01", "Parameters": [{"Name": p, "Type": "String"} for p in parameters], "Steps": [step]})
        return self.sandbox.client("sagemaker", self.profile).create_pipeline(PipelineName=self.name, RoleArn=role, PipelineDefinition=text)["PipelineArn"]

    def executions(self):
        return self.sandbox.client("sagemaker", self.profile).list_pipeline_executions(PipelineName=self.name, SortOrder="Ascending")["PipelineExecutionSummaries"]

    def function(self, text, dead=None):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("index.py", text)
        role = self.role(f"{self.name}-function", LAMBDA, {"Effect": "Allow", "Action": ["sqs:SendMessage", "sns:Publish"], "Resource": "*"})
        more = {"DeadLetterConfig": {"TargetArn": dead}} if dead else {}
        return self.sandbox.client("lambda", self.profile).create_function(FunctionName=self.name, Role=role, Runtime="python3.12", Handler="index.handler", Timeout=10, Code={"ZipFile": archive.getvalue()}, **more)["FunctionArn"]

    def permit(self, source=None):
        self.sandbox.client("lambda", self.profile).add_permission(FunctionName=self.name, StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com", SourceArn=source or self.rule, SourceAccount=self.account)

    def topic(self, key=None, policy=True):
        topic = self.sns.create_topic(Name=self.name, Attributes={"KmsMasterKeyId": key} if key else {})["TopicArn"]
        if policy:
            condition = {"ArnEquals": {"aws:SourceArn": self.rule}, "StringEquals": {"aws:SourceAccount": self.account}}
            statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic, "Condition": condition}
            self.sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(statement))
        return topic

    def key(self, *services):
        root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{self.account}:root"}, "Action": "kms:*", "Resource": "*"}
        others = [{"Effect": "Allow", "Principal": {"Service": service}, "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*"} for service in services]
        return self.sandbox.client("kms", self.profile).create_key(Policy=document(root, *others))["KeyMetadata"]["Arn"]

    def mails(self, to=None):
        return [mail for mail in server.mails(self.sandbox.folder) if mail["to"] == (to or f"{self.name}@example.com")]


@pytest.fixture
def dev(sandbox, name):
    return World(sandbox, name)


def attributes(message):
    return {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}


# Rules


def test_a_wrong_pattern_is_refused_when_the_rule_is_put(dev):
    code, message = refusal(dev.put_rule, pattern={"source": "aws.sagemaker"})
    assert (code, message) == ("InvalidEventPatternException", 'Event pattern is not valid. Reason: "source" must be an object or an array')
    assert dev.events.list_rules(NamePrefix=dev.name)["Rules"] == []


def test_a_pattern_can_be_tried(dev):
    event = {"id": "1", "source": "aws.sagemaker", "detail-type": "x", "account": dev.account, "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {"failureReason": "ClientError: Quality check failed\nage"}}
    answers = [dev.events.test_event_pattern(EventPattern=json.dumps({"detail": {"failureReason": [reason]}}), Event=json.dumps(event))["Result"] for reason in ({"wildcard": "*Quality*age"}, {"prefix": "InternalServerError"}, {"anything-but": {"prefix": ["Other"]}})]
    assert answers == [True, False, True]


@pytest.mark.parametrize(("schedule", "bus"), [("rate(1 days)", None), ("cron(0 23 * * * *)", None), ("cron(0 25 * * ? *)", None), ("rate(1 day)", "custom")])
def test_a_wrong_schedule_is_refused(dev, schedule, bus):
    more = {"EventBusName": dev.events.create_event_bus(Name=dev.name)["EventBusArn"].rpartition("/")[2]} if bus else {}
    assert refusal(dev.put_rule, ScheduleExpression=schedule, **more)[0] == "ValidationException"


@pytest.mark.parametrize(("target", "says"), [
    ({"Arn": "arn:aws:states:us-east-1:{account}:stateMachine:s"}, "events are delivered to SageMaker pipelines, Lambda functions"),
    ({"Arn": "arn:aws:logs:us-east-1:{account}:log-group:/aws/events/x"}, "events are delivered to SageMaker pipelines, Lambda functions"),
    ({"Arn": "arn:aws:sagemaker:us-east-1:{account}:pipeline/p"}, "RoleArn is required for target"),
    ({"Arn": "arn:aws:sqs:us-east-1:{account}:q", "RoleArn": "arn:aws:iam::{account}:role/r"}, "RoleArn is not supported"),
    ({"Arn": "arn:aws:sqs:us-east-1:{account}:q", "Input": "not JSON"}, "JSON syntax error in input for target 1"),
    ({"Arn": "arn:aws:sqs:us-east-1:{account}:q", "Input": "{}", "InputPath": "$.detail"}, "Only one of Input, InputPath, or InputTransformer"),
    ({"Arn": "arn:aws:sqs:us-east-1:{account}:q", "InputTransformer": {"InputPathsMap": {"a": "$.detail"}, "InputTemplate": "plain <a>"}}, "Invalid InputTemplate for target 1"),
    ({"Arn": "arn:aws:sqs:us-east-1:{account}:q", "InputTransformer": {"InputTemplate": '"<b>"'}}, "<b> is not in InputPathsMap"),
])
def test_a_target_that_could_not_be_served_is_refused(dev, target, says):
    dev.put_rule()
    filled = {key: value.replace("{account}", dev.account) if isinstance(value, str) and key.endswith("Arn") else value for key, value in target.items()}
    code, message = refusal(dev.events.put_targets, Rule=dev.name, Targets=[{"Id": "1", **filled}])
    assert says in message and code in ("ValidationException", "UnsupportedOperation")
    assert dev.events.list_targets_by_rule(Rule=dev.name)["Targets"] == []


def test_an_event_reaches_every_rule_that_matches_and_no_other(dev, open_queue):
    queues = {suffix: open_queue(suffix=suffix) for suffix in ("-one", "-two", "-other", "-off")}
    for suffix, (_, arn) in queues.items():
        dev.put_rule({"source": [dev.name], "detail": {"kind": ["x"] if suffix == "-other" else ["a", {"prefix": "b"}]}}, dev.name + suffix, State="DISABLED" if suffix == "-off" else "ENABLED")
        dev.target(arn, dev.name + suffix)
    event_id = dev.put({"kind": "bc"}, Resources=["arn:x"])
    assert {d["status"] for d in dev.deliveries(event_id)} == {"delivered"}
    (one,), (two,) = dev.bodies(queues["-one"][0]), dev.bodies(queues["-two"][0])
    assert one == two and (one["id"], one["account"], one["resources"], one["detail"]) == (event_id, dev.account, ["arn:x"], {"kind": "bc"})
    assert dev.empty(queues["-other"][0]) and dev.empty(queues["-off"][0])


@pytest.mark.parametrize(("shape", "expected"), [
    ({"Input": '{"fixed": 1}'}, {"fixed": 1}),
    ({"InputPath": "$.detail.steps[1]"}, {"name": "Train"}),
    ({"InputTransformer": {"InputPathsMap": {"n": "$.detail.steps[0].name", "none": "$.detail.none"}, "InputTemplate": '"<n> <none>failed"'}}, "Preprocess failed"),
    ({"InputTransformer": {"InputPathsMap": {"steps": "$.detail.steps"}, "InputTemplate": '{"rule": "<aws.events.rule-name>", "steps": <steps>}'}}, {"steps": [{"name": "Preprocess"}, {"name": "Train"}]}),
])
def test_inputs_are_shaped(dev, open_queue, shape, expected):
    url, arn = open_queue()
    dev.put_rule()
    dev.target(arn, **shape)
    dev.put({"steps": [{"name": "Preprocess"}, {"name": "Train"}]})
    body = dev.bodies(url)[0]
    assert (body if not isinstance(expected, dict) else {key: body[key] for key in expected}) == expected


@pytest.mark.parametrize(("entry", "code"), [({"Source": "aws.sagemaker"}, "NotAuthorizedForSourceException"), ({"Detail": "[]"}, "MalformedDetail"), ({"Detail": "{"}, "MalformedDetail")])
def test_a_client_can_not_put_every_event(dev, entry, code):
    answer = dev.events.put_events(Entries=[{"Source": dev.name, "DetailType": "x", "Detail": "{}", **entry}])
    assert (answer["FailedEntryCount"], answer["Entries"][0]["ErrorCode"]) == (1, code)


# Pipelines


def test_a_rule_starts_a_pipeline_in_its_role_with_parameters(dev):
    pipeline, role = dev.pipeline("Reason", "Batch"), None
    dev.put_rule()
    role = dev.events_role(resource=pipeline)
    values = [{"Name": "Reason", "Value": "drift"}, {"Name": "Batch", "Value": "$.detail.batch"}]
    dev.target(pipeline, RoleArn=role, SageMakerPipelineParameters={"PipelineParameterList": values})
    assert dev.deliveries(dev.put({"batch": "s3://b/1.csv"}))[0]["status"] == "delivered"
    arn = dev.executions()[0]["PipelineExecutionArn"]
    sagemaker = dev.sandbox.client("sagemaker")
    described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    assert f":assumed-role/{role.rpartition('/')[2]}/" in described["CreatedBy"]["IamIdentity"]["Arn"]
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    assert {item["Name"]: item["Value"] for item in given} == {"Reason": "drift", "Batch": "s3://b/1.csv"}


def test_a_role_that_may_not_start_the_pipeline_ends_in_the_dead_letter_queue_at_once(dev, open_queue):
    url, dead = open_queue()
    pipeline = dev.pipeline()
    dev.put_rule()
    dev.target(pipeline, RoleArn=dev.events_role(resource=pipeline + "-other"), DeadLetterConfig={"Arn": dead})
    event_id = dev.put({"n": 1})
    message = dev.read(url)[0]
    found = attributes(message)
    assert json.loads(message["Body"])["id"] == event_id
    assert (found["RULE_ARN"], found["TARGET_ARN"], found["ERROR_CODE"], found["RETRY_ATTEMPTS"]) == (dev.rule, pipeline, "NO_PERMISSIONS", "0")
    assert "is not authorized to perform: sagemaker:StartPipelineExecution" in found["ERROR_MESSAGE"] and "EXHAUSTED_RETRY_CONDITION" not in found
    assert dev.executions() == []


def test_a_role_for_another_rule_is_refused_when_put_and_when_it_changes_later(dev, open_queue):
    url, dead = open_queue()
    pipeline = dev.pipeline()
    dev.put_rule()
    role = dev.events_role(source=dev.rule + "-other")
    code, message = refusal(dev.events.put_targets, Rule=dev.name, Targets=[{"Id": "1", "Arn": pipeline, "RoleArn": role}])
    assert (code, message) == ("ValidationException", f"Provided role '{role}' cannot be assumed by principal 'events.amazonaws.com'.")
    name = role.rpartition("/")[2]
    trust = json.dumps(dev.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
    dev.iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust.replace("-other", ""))
    dev.target(pipeline, RoleArn=role, DeadLetterConfig={"Arn": dead})
    dev.iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    dev.put()
    assert attributes(dev.read(url)[0])["ERROR_CODE"] == "FAILED_TO_ASSUME_ROLE"


@pytest.mark.parametrize("broken", ["a parameter the event lacks", "a parameter the pipeline lacks", "no pipeline"])
def test_a_pipeline_that_can_not_be_started_so(dev, open_queue, broken):
    url, dead = open_queue()
    pipeline = dev.pipeline("Batch")
    dev.put_rule()
    parameter = {"Name": "Other" if "pipeline lacks" in broken else "Batch", "Value": "$.detail.batch"}
    dev.target(pipeline + ("x" if broken == "no pipeline" else ""), RoleArn=dev.events_role(), SageMakerPipelineParameters={"PipelineParameterList": [parameter]}, DeadLetterConfig={"Arn": dead})
    dev.put({} if "event lacks" in broken else {"batch": "x"})
    assert attributes(dev.read(url)[0])["ERROR_CODE"] == ("NO_RESOURCE" if broken == "no pipeline" else "INVALID_PARAMETER")


def test_an_event_may_come_twice_and_late(dev):
    pipeline = dev.pipeline()
    dev.put_rule({"detail": {"pipelineArn": [dev.name]}})
    dev.target(pipeline, RoleArn=dev.events_role())
    event_id = dev.put({"pipelineArn": dev.name})
    dev.deliveries(event_id)
    server.redeliver(dev.sandbox.folder, event_id)
    wait_for(lambda: len(dev.executions()) == 2)
    server.advance(dev.sandbox.folder, hours=1)
    server.redeliver(dev.sandbox.folder, event_id)
    wait_for(lambda: len(dev.executions()) == 3)
    with pytest.raises(server.SandboxError, match="No event nobody is among the last 1000"):
        server.redeliver(dev.sandbox.folder, "nobody")


# Functions


TELL = "import json, os, boto3\ndef handler(event, context):\n    boto3.client('sqs').send_message(QueueUrl=event['queue'], MessageBody=json.dumps({'id': context.aws_request_id, 'n': event['n']}))\n    if event['n'] < 0: raise ValueError('negative')\n"


def test_a_function_is_called_when_its_policy_lets_the_rule_in(dev, open_queue):
    (url, _), (dead_url, dead) = open_queue(), open_queue(suffix="-dead")
    function = dev.function(TELL)
    dev.permit(dev.rule + "-other")
    dev.put_rule()
    dev.target(function, InputPath="$.detail", DeadLetterConfig={"Arn": dead})
    dev.put({"queue": url, "n": 1})
    assert attributes(dev.read(dead_url)[0])["ERROR_CODE"] == "NO_PERMISSIONS"
    dev.sandbox.client("lambda").remove_permission(FunctionName=dev.name, StatementId="rule")
    dev.permit()
    dev.put({"queue": url, "n": 2})
    assert [body["n"] for body in dev.bodies(url)] == [2]


def test_a_function_that_fails_is_called_twice_more_and_then_its_event_is_a_dead_letter(dev, open_queue):
    (url, _), (dead_url, dead) = open_queue(), open_queue(suffix="-dead")
    function = dev.function(TELL, dead)
    dev.permit()
    dev.put_rule()
    dev.target(function, InputPath="$.detail")
    event = {"queue": url, "n": -1}
    assert dev.deliveries(dev.put(event))[0]["status"] == "delivered"  # EventBridge's part is done
    server.advance(dev.sandbox.folder, hours=1)
    assert len({body["id"] for body in dev.bodies(url, 3)}) == 1
    message = dev.read(dead_url)[0]
    assert json.loads(message["Body"]) == event
    assert (attributes(message)["ErrorCode"], attributes(message)["ErrorMessage"]) == ("200", "negative")


def test_a_client_may_call_a_function_and_not_wait(dev, open_queue):
    url, _ = open_queue()
    dev.function(TELL)
    answer = dev.sandbox.client("lambda").invoke(FunctionName=dev.name, InvocationType="Event", Payload=json.dumps({"queue": url, "n": 5}).encode())
    assert answer["StatusCode"] == 202 and dev.bodies(url)[0]["n"] == 5


# Topics, keys, mail


def subscribe(dev, topic, **more):
    answer = dev.sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=f"{dev.name}@example.com", **more)
    return answer["SubscriptionArn"]


def confirm(dev):
    link = re.search(r"http\S+ConfirmSubscription\S+", dev.mails()[-1]["body"])[0]
    return urllib.request.urlopen(link).read().decode()


def test_a_subscription_is_pending_until_its_link_is_opened(dev):
    topic = dev.topic(policy=False)
    assert subscribe(dev, topic) == "pending confirmation"
    arn = subscribe(dev, topic, ReturnSubscriptionArn=True)
    assert arn.startswith(topic + ":") and [mail["subject"] for mail in dev.mails()] == ["AWS Notification - Subscription Confirmation"] * 2
    assert [item["SubscriptionArn"] for item in dev.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == ["PendingConfirmation"]
    assert dev.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "true"
    dev.sns.publish(TopicArn=topic, Message="too early")
    assert "pending confirmation" in refusal(dev.sns.unsubscribe, SubscriptionArn=arn)[1]
    assert f"<SubscriptionArn>{arn}</SubscriptionArn>" in confirm(dev)
    assert dev.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "false"
    assert [item["SubscriptionArn"] for item in dev.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == [arn]
    assert dev.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"
    assert len(dev.mails()) == 2


def test_a_mail_is_a_file_for_its_owner(dev):
    topic = dev.topic(policy=False)
    subscribe(dev, topic)
    assert {"to": f"{dev.name}@example.com", "topic": topic} in server.confirm_subscriptions(dev.sandbox.folder)
    dev.sns.publish(TopicArn=topic, Subject="mammo-severity (dev): a batch has drifted", Message="Alter größer als erwartet.")
    dev.sns.publish(TopicArn=topic, Message=json.dumps({"default": "short", "email": "long"}), MessageStructure="json")
    mails = dev.mails()[1:]
    assert [(mail["subject"], mail["account"]) for mail in mails] == [("mammo-severity (dev): a batch has drifted", dev.account), ("AWS Notification Message", dev.account)]
    assert mails[0]["body"].startswith("Alter größer als erwartet.\n") and "?Action=Unsubscribe&" in mails[0]["body"] and mails[1]["body"].startswith("long\n")
    now = datetime.fromisoformat(server.status(dev.sandbox.folder)["now"])
    assert abs(datetime.fromisoformat(mails[0]["at"]) - now) < timedelta(minutes=1)
    files = list((dev.sandbox.folder / "mail").iterdir())
    assert files and {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    urllib.request.urlopen(re.search(r"http\S+Unsubscribe\S+", mails[0]["body"])[0])
    assert dev.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_a_token_is_checked_and_ends_after_two_days(dev):
    topic = dev.topic(policy=False)
    subscribe(dev, topic)
    assert refusal(dev.sns.confirm_subscription, TopicArn=topic, Token="no")[0] == "InvalidParameter"
    token = re.search(r"Token=(\w+)", dev.mails()[-1]["body"])[1]
    server.advance(dev.sandbox.folder, days=3)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        confirm(dev)
    subscribe(dev, topic)
    token = re.search(r"Token=(\w+)", dev.mails()[-1]["body"])[1]
    assert dev.sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"].startswith(topic)


@pytest.mark.parametrize("protocol", ["email-json", "http", "https", "sms", "lambda", "application"])
def test_other_protocols_are_refused_by_name(dev, protocol):
    assert f"Subscribe with protocol {protocol}" in refusal(dev.sns.subscribe, TopicArn=dev.topic(), Protocol=protocol, Endpoint="x")[1]


@pytest.mark.parametrize(("case", "code"), [
    ("all is well", None),
    ("own key lets events in", None),
    ("no policy", "NO_PERMISSIONS"),
    ("key of AWS", "NO_PERMISSIONS"),
    ("own key without events", "NO_PERMISSIONS"),
    ("no topic", "NO_RESOURCE"),
])
def test_a_rule_mails_when_topic_and_key_let_it(dev, open_queue, case, code):
    url, dead = open_queue()
    key = {"key of AWS": lambda: "alias/aws/sns", "own key without events": dev.key, "own key lets events in": lambda: dev.key("events.amazonaws.com")}.get(case, lambda: None)()
    topic = dev.topic(key, policy=case != "no policy")
    subscribe(dev, topic)
    confirm(dev)
    dev.put_rule()
    dev.target(topic + ("x" if case == "no topic" else ""), InputTransformer={"InputPathsMap": {"why": "$.detail.why"}, "InputTemplate": '"Training failed: <why>"'}, DeadLetterConfig={"Arn": dead})
    event_id = dev.put({"why": "AUC 0.6"})
    assert dev.deliveries(event_id)[0]["status"] == ("dead letter" if code else "delivered")
    assert [mail["body"].splitlines()[0] for mail in dev.mails()[1:]] == ([] if code else ['"Training failed: AUC 0.6"'])
    assert code is None or attributes(dev.read(url)[0])["ERROR_CODE"] == code


def test_a_publisher_needs_the_topic_and_its_key(dev):
    key = dev.key()
    topic = dev.topic(key, policy=False)
    role = dev.role(f"{dev.name}-publisher", {"Effect": "Allow", "Principal": {"AWS": dev.account}, "Action": "sts:AssumeRole"}, {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic})
    given = dev.sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="ada")["Credentials"]
    sns = dev.sandbox.session("dev").client("sns", aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"])
    code, message = refusal(sns.publish, TopicArn=topic, Message="x")
    assert (code, "kms:GenerateDataKey" in message) == ("KMSAccessDenied", True)
    dev.iam.put_role_policy(RoleName=f"{dev.name}-publisher", PolicyName="key", PolicyDocument=document({"Effect": "Allow", "Action": ["kms:GenerateDataKey*", "kms:Decrypt"], "Resource": key}))
    sns.publish(TopicArn=topic, Message="x")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": topic}
    dev.sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(deny))
    assert "explicit deny" in refusal(sns.publish, TopicArn=topic, Message="x")[1]


def test_a_filter_policy_chooses_the_messages(dev):
    topic = dev.topic(policy=False)
    subscribe(dev, topic, Attributes={"FilterPolicy": json.dumps({"kind": ["drift"]})})
    confirm(dev)
    for kind in ("drift", "failed"):
        dev.sns.publish(TopicArn=topic, Message=kind, MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}})
    assert [mail["body"].splitlines()[0] for mail in dev.mails()[1:]] == ["drift"]
    assert "RedrivePolicy (sns) is not done" in refusal(subscribe, dev=dev, topic=topic, Attributes={"RedrivePolicy": "{}"})[1]


# Retries and dead letters


def test_a_disabled_key_is_tried_again_until_it_is_enabled(dev):
    key = dev.key("events.amazonaws.com")
    topic = dev.topic(key)
    kms = dev.sandbox.client("kms")
    subscribe(dev, topic)
    confirm(dev)
    dev.put_rule()
    dev.target(topic)
    kms.disable_key(KeyId=key.rpartition("/")[2])
    event_id = dev.put()
    assert dev.deliveries(event_id)[0]["status"] == "retrying"
    kms.enable_key(KeyId=key.rpartition("/")[2])
    server.advance(dev.sandbox.folder, hours=1)
    assert dev.deliveries(event_id)[0]["status"] == "delivered" and len(dev.mails()) == 2


@pytest.mark.parametrize(("policy", "condition", "attempts"), [
    ({"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 86400}, "MaximumRetryAttempts", 3),
    ({"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 60}, "MaximumEventAgeInSeconds", 5),
    ({"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}, "MaximumRetryAttempts", 0),
])
def test_a_retry_policy_ends_in_the_dead_letter_queue(dev, open_queue, policy, condition, attempts):
    url, dead = open_queue()
    key = dev.key("events.amazonaws.com")
    topic = dev.topic(key)
    dev.sandbox.client("kms").disable_key(KeyId=key.rpartition("/")[2])
    dev.put_rule()
    dev.target(topic, RetryPolicy=policy, DeadLetterConfig={"Arn": dead})
    dev.deliveries(dev.put())
    server.advance(dev.sandbox.folder, days=1)
    found = attributes(dev.read(url)[0])
    assert (found["EXHAUSTED_RETRY_CONDITION"], found["RETRY_ATTEMPTS"], found["ERROR_CODE"]) == (condition, str(attempts), "ERROR_FROM_TARGET")


def test_a_dead_letter_queue_that_refuses_loses_the_event_and_says_so(dev):
    url = dev.sqs.create_queue(QueueName=dev.name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{dev.account}:{dev.name}"
    dev.put_rule()
    dev.target(arn + "-none", DeadLetterConfig={"Arn": arn})
    event_id = dev.put()
    assert dev.deliveries(event_id)[0]["status"] == "lost" and dev.empty(url)
    log = server.logs(dev.sandbox.folder, 50)
    assert event_id in log and "its dead letter is lost" in log


# Buses


def test_an_event_is_forwarded_to_a_bus_of_its_own_account(dev, open_queue):
    url, arn = open_queue()
    bus = dev.events.create_event_bus(Name=dev.name)["EventBusArn"]
    dev.put_rule()
    dev.target(bus, RoleArn=dev.events_role("events:PutEvents", bus))
    dev.events.put_rule(Name=dev.name, EventBusName=dev.name, EventPattern=json.dumps({"account": [dev.account], "source": [dev.name]}))
    dev.events.put_targets(Rule=dev.name, EventBusName=dev.name, Targets=[{"Id": "queue", "Arn": arn}])
    event_id = dev.put({"n": 1})
    assert dev.bodies(url)[0]["id"] == event_id


def test_another_accounts_bus_must_let_the_event_in(dev, open_queue, name, sandbox):
    url, dead = open_queue()
    registry, default = World(sandbox, name, "registry"), f"arn:aws:events:us-east-1:{sandbox.account('registry')}:event-bus/default"
    there_url, there = open_queue("registry")
    registry.put_rule({"source": [name], "account": [dev.account]})
    registry.target(there)
    dev.put_rule()
    dev.target(default, RoleArn=dev.events_role("events:PutEvents", default), DeadLetterConfig={"Arn": dead})
    dev.put({"n": 1})
    assert attributes(dev.read(url)[0])["ERROR_CODE"] == "NO_PERMISSIONS"
    registry.events.put_permission(EventBusName="default", Action="events:PutEvents", Principal=dev.account, StatementId=name)
    dev.put({"n": 2})
    assert [(body["detail"], body["account"]) for body in registry.bodies(there_url)] == [({"n": 2}, dev.account)]
    assert refusal(sandbox.client("events", "prod").put_events, Entries=[{"Source": name, "DetailType": "x", "Detail": "{}", "EventBusName": default}])[0] == "AccessDeniedException"
    registry.events.remove_permission(EventBusName="default", StatementId=name)


# Schedules and the clock


def test_schedules_fire_through_several_days(dev, open_queue):
    url, arn = open_queue()
    pipeline = dev.pipeline("Reason")
    nightly = dev.put_rule(ScheduleExpression="cron(0 23 * * ? *)")
    hourly = dev.put_rule(name=f"{dev.name}-hourly", ScheduleExpression="rate(12 hours)")
    dev.target(pipeline, RoleArn=dev.events_role(), SageMakerPipelineParameters={"PipelineParameterList": [{"Name": "Reason", "Value": "schedule"}]})
    dev.target(arn)
    dev.target(arn, f"{dev.name}-hourly", Input='"twice a day"')
    before = datetime.fromisoformat(server.status(dev.sandbox.folder)["now"])
    walked = server.advance(dev.sandbox.folder, days=3)
    fired = [item for item in walked["fired"] if item["rule"] in (nightly, hourly)]
    assert datetime.fromisoformat(walked["now"]) - before >= timedelta(days=3)
    assert [item["at"] for item in fired] == sorted(item["at"] for item in fired) and len(fired) == 9
    bodies = [json.loads(message["Body"]) for message in dev.read(url, 9)]
    nights = [body for body in bodies if body != "twice a day"]
    assert len(nights) == 3 and all(body["time"].endswith("T23:00:00Z") for body in nights)
    assert {(body["detail-type"], body["source"], body["resources"][0], str(body["detail"])) for body in nights} == {("Scheduled Event", "aws.events", nightly, "{}")}
    executions = dev.executions()
    assert {item["PipelineExecutionStatus"] for item in executions} == {"Succeeded"}
    assert [item["StartTime"].astimezone(timezone.utc).strftime("%H:%M") for item in executions] == ["23:00"] * 3
    assert [late["StartTime"] - early["StartTime"] > timedelta(hours=23) for early, late in zip(executions, executions[1:])] == [True, True]


def test_a_rule_that_is_disabled_changed_or_deleted_fires_accordingly(dev, open_queue):
    url, arn = open_queue()
    for schedule, state, count in [("rate(1 day)", "DISABLED", 0), ("rate(1 day)", "ENABLED", 1), ("rate(12 hours)", "ENABLED", 2)]:
        dev.put_rule(ScheduleExpression=schedule, State=state)
        dev.target(arn)
        assert len([item for item in server.advance(dev.sandbox.folder, days=1)["fired"] if item["rule"] == dev.rule]) == count
    targets = [target["Id"] for target in dev.events.list_targets_by_rule(Rule=dev.name)["Targets"]]
    dev.events.remove_targets(Rule=dev.name, Ids=targets)
    dev.events.delete_rule(Name=dev.name)
    dev.put_rule(ScheduleExpression="rate(12 hours)", State="DISABLED")
    dev.events.delete_rule(Name=dev.name)
    assert not [item for item in server.advance(dev.sandbox.folder, days=1)["fired"] if item["rule"] == dev.rule]
    dev.read(url, 3)


def test_what_is_made_after_the_clock_was_moved_is_as_new(dev, sandbox):
    bucket = f"clock-{dev.name}"
    now = datetime.fromisoformat(server.advance(sandbox.folder, days=2, to="06:00")["now"])
    assert now - datetime.now(timezone.utc) > timedelta(days=2)
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    dev.pipeline()
    logs = sandbox.client("logs")
    logs.create_log_group(logGroupName=dev.name)
    version = sandbox.client("sagemaker", "registry")
    version.create_model_package_group(ModelPackageGroupName=dev.name)
    found = {
        "object": s3.head_object(Bucket=bucket, Key="a")["LastModified"],
        "bucket": next(item["CreationDate"] for item in s3.list_buckets()["Buckets"] if item["Name"] == bucket),
        "role": dev.iam.get_role(RoleName=f"{dev.name}-pipeline")["Role"]["CreateDate"],
        "key": sandbox.client("kms").describe_key(KeyId=dev.key())["KeyMetadata"]["CreationDate"],
        "pipeline": sandbox.client("sagemaker").describe_pipeline(PipelineName=dev.name)["CreationTime"],
        "group": version.describe_model_package_group(ModelPackageGroupName=dev.name)["CreationTime"],
        "log group": datetime.fromtimestamp(logs.describe_log_groups(logGroupNamePrefix=dev.name)["logGroups"][0]["creationTime"] / 1000, timezone.utc),
        "function": datetime.fromisoformat(sandbox.client("lambda").get_function(FunctionName=dev.function("")).get("Configuration")["LastModified"].replace("+0000", "+00:00")),
    }
    wrong = {name: when for name, when in found.items() if abs(when - now) > timedelta(minutes=1)}
    assert not wrong
    role = dev.role(f"{dev.name}-session", {"Effect": "Allow", "Principal": {"AWS": dev.account}, "Action": "sts:AssumeRole"})
    expires = sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="ada")["Credentials"]["Expiration"]
    assert expires < datetime.now(timezone.utc) + timedelta(hours=2)


def test_a_walk_waits_for_what_it_started(dev, open_queue):
    url, _ = open_queue()
    function = dev.function("import time\n" + TELL.replace("def handler(event, context):", "def handler(event, context):\n    time.sleep(0.5)"))
    rule = dev.put_rule(ScheduleExpression="rate(1 day)")
    dev.permit(rule)
    dev.target(function, Input=json.dumps({"queue": url, "n": 1}))
    server.advance(dev.sandbox.folder, days=1)
    assert len(dev.sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    with pytest.raises(server.SandboxError, match="expected a time to come; the clock was not moved"):
        server.advance(dev.sandbox.folder)


def test_a_walk_that_does_not_end_says_what_still_runs(dev):
    function = dev.function("import time\ndef handler(event, context): time.sleep(3)")
    dev.permit()
    dev.put_rule()
    dev.target(function)
    dev.deliveries(dev.put())
    with pytest.raises(server.SandboxError, match=f"After 0.2 s it is not quiet: function {dev.name} still runs. The clock stands at"):
        server.advance(dev.sandbox.folder, hours=1, limit=0.2)
    server.advance(dev.sandbox.folder, hours=1)


def test_stopping_while_events_are_delivered_ends_it_all(tmp_path, sandbox):
    folder = tmp_path / "ending"
    facts = server.start(0, folder, sandbox.accounts)
    world = World(type(sandbox)(folder, sandbox.environments), "ending")
    function = world.function("import time\ndef handler(event, context): time.sleep(60)")
    world.permit()
    world.put_rule()
    world.target(function)
    world.put()
    threading.Timer(0.5, server.stop, [folder]).start()
    wait_for(lambda: not server.is_running(folder))
    assert not (folder / "mail").exists() and facts["pid"]
