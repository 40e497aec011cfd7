// Reads the WeChat tokens that wechat-draftbox keeps fresh. It is there to be copied: see docs/tokens.md.
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";

const dynamodb = new DynamoDBClient(), events = new EventBridgeClient(), secrets = new SecretsManagerClient();

// One token: an account's, or the platform's where appid is empty. prefix is the stack's SecretPrefix; table is the output
// TokenTableName, and empty where the accounts' tokens are secrets.
export class Token {
  until = 0;
  told = 0;

  constructor({ appid = "", prefix = "wechat/draftbox", table = "", bus = "default" }) {
    Object.assign(this, { appid, prefix, table, bus });
  }

  // Kept for five minutes, for which WeChat accepts a token that was replaced, and never past its end.
  async get() {
    if (Date.now() >= this.until) await this.read();
    return this.value;
  }

  // For 40001, 40014, 42001 and 42006: true if there is another token, to be tried once; else the bundle is told.
  async refused(value, errcode) {
    await this.read();
    if (this.value === value && Date.now() >= this.told + 60_000) {
      const detail = { appid: this.appid, errcode, version_id: this.version };
      const answer = await events.send(new PutEventsCommand({ Entries: [{
        EventBusName: this.bus, Source: "wechat.draftbox", DetailType: "Token Rejected",
        Resources: [this.prefix], Detail: JSON.stringify(detail) }] }));
      if (answer.FailedEntryCount) throw new Error("EventBridge did not accept Token Rejected");
      this.told = Date.now();
    }
    return this.value !== value;
  }

  async read() {
    let record;
    if (this.appid && this.table) {
      const { Item = {} } = await dynamodb.send(new GetItemCommand({
        TableName: this.table, Key: { appid: { S: this.appid } }, ConsistentRead: true,
        ProjectionExpression: "access_token, expires_at" }));
      record = { access_token: Item.access_token?.S, expires_at: Item.expires_at?.S };
      this.version = ""; // this system may not read it
    } else {
      const name = this.appid ? `accounts/${this.appid}` : "component-token";
      const secret = await secrets.send(new GetSecretValueCommand({ SecretId: `${this.prefix}/${name}` }));
      try {
        record = JSON.parse(secret.SecretString);
      } catch { // whose own message may quote the secret
        throw new Error(`${this.prefix}/${name} can't be read`);
      }
      this.version = secret.VersionId;
    }
    if (!record.access_token) throw new Error("the bundle has no token yet");
    this.value = record.access_token;
    this.until = Date.now() + 300_000;
    if (record.expires_at) this.until = Math.min(this.until, Date.parse(record.expires_at));
  }
}
