"""Reads the WeChat tokens that wechat-draftbox keeps fresh. It is there to be copied: see docs/tokens.md."""

import datetime
import json
import time

import boto3


class Token:
    """One token: an account's, or the platform's where appid is empty.

    prefix is the stack's SecretPrefix. table is the output TokenTableName, and empty where the accounts' tokens are secrets.
    """

    def __init__(self, appid="", prefix="wechat/draftbox", table="", bus="default"):
        self.appid, self.prefix, self.table, self.bus = appid, prefix, table, bus
        self.until = self.told = 0

    def get(self):
        """Kept for five minutes, for which WeChat accepts a token that was replaced, and never past its end."""
        if time.time() >= self.until:
            self.read()
        return self.value

    def refused(self, value, errcode):
        """For 40001, 40014, 42001 and 42006: True if there is another token, to be tried once; else the bundle is told."""
        self.read()
        if self.value == value and time.time() >= self.told + 60:
            detail = {"appid": self.appid, "errcode": errcode, "version_id": self.version}
            answer = boto3.client("events").put_events(Entries=[{
                "EventBusName": self.bus, "Source": "wechat.draftbox", "DetailType": "Token Rejected",
                "Resources": [self.prefix], "Detail": json.dumps(detail)}])
            if answer["FailedEntryCount"]:
                raise RuntimeError("EventBridge did not accept Token Rejected")
            self.told = time.time()
        return self.value != value

    def read(self):
        if self.appid and self.table:
            item = boto3.client("dynamodb").get_item(
                TableName=self.table, Key={"appid": {"S": self.appid}}, ConsistentRead=True,
                ProjectionExpression="access_token, expires_at").get("Item", {})
            record = {name: value["S"] for name, value in item.items()}
            self.version = ""  # this system may not read it
        else:
            name = "accounts/" + self.appid if self.appid else "component-token"
            secret = boto3.client("secretsmanager").get_secret_value(SecretId=self.prefix + "/" + name)
            record, self.version = json.loads(secret["SecretString"]), secret["VersionId"]
        self.value, self.until = record["access_token"], time.time() + 300
        if "expires_at" in record:
            ends = datetime.datetime.fromisoformat(record["expires_at"].replace("Z", "+00:00"))
            self.until = min(self.until, ends.timestamp())
