// In place of @aws-sdk/client-firehose, for the lines of deploy/clients/javascript.md: the same names,
// and requests with the headers and the signature that the SDK's version 3 sends. No retries.

import { createHash, createHmac, randomUUID } from "node:crypto";
import http from "node:http";
import https from "node:https";

export class PutRecordCommand {
  operation = "PutRecord";

  constructor({ DeliveryStreamName, Record }) {
    this.input = { DeliveryStreamName, Record: encoded(Record) };
  }
}

export class PutRecordBatchCommand {
  operation = "PutRecordBatch";

  constructor({ DeliveryStreamName, Records }) {
    this.input = { DeliveryStreamName, Records: Records.map(encoded) };
  }
}

const SETTINGS = new Set(["endpoint", "region", "credentials", "maxAttempts", "requestHandler"]);
const HANDLER_SETTINGS = new Set(["connectionTimeout", "requestTimeout", "throwOnRequestTimeout"]);

export class FirehoseClient {
  constructor(settings) {
    const handler = settings.requestHandler ?? {};
    refuseUnknown(Object.keys(settings), SETTINGS);
    refuseUnknown(Object.keys(handler), HANDLER_SETTINGS);
    this.endpoint = new URL(settings.endpoint ?? process.env.AWS_ENDPOINT_URL_FIREHOSE);
    this.region = settings.region ?? process.env.AWS_REGION;
    this.timeout = handler.requestTimeout ?? 0;
    this.credentials = settings.credentials ?? {
      accessKeyId: process.env.AWS_ACCESS_KEY_ID,
      secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
    };
  }

  async send(command) {
    const body = JSON.stringify(command.input);
    const headers = this.#signed({
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": `Firehose_20150804.${command.operation}`,
      "x-amz-user-agent": "aws-sdk-js/3.900.0",
      "user-agent": "aws-sdk-js/3.900.0 ua/2.1 os/linux lang/js md/nodejs api/firehose#3.900.0 m/E,e",
      host: this.endpoint.host,
      "amz-sdk-invocation-id": randomUUID(),
      "amz-sdk-request": "attempt=1; max=3",
      "x-amz-date": new Date().toISOString().replace(/[-:]|\.\d+/g, ""),
      "content-length": String(Buffer.byteLength(body)),
      "x-amz-content-sha256": sha256(body),
    });
    const { status, text } = await this.#exchange(headers, body);
    const answer = JSON.parse(text);
    if (status >= 300) {
      throw Object.assign(new Error(answer.message), { name: answer.__type.replace(/.*#/, "") });
    }
    return answer;
  }

  #signed(headers) {
    const stamp = headers["x-amz-date"];
    const scope = [stamp.slice(0, 8), this.region, "firehose", "aws4_request"];
    const names = Object.keys(headers).filter((name) => name !== "user-agent").sort();
    const lines = names.map((name) => `${name}:${headers[name]}\n`).join("");
    const signed = names.join(";");
    const request = ["POST", "/", "", lines, signed, headers["x-amz-content-sha256"]].join("\n");
    const text = ["AWS4-HMAC-SHA256", stamp, scope.join("/"), sha256(request)].join("\n");
    let key = `AWS4${this.credentials.secretAccessKey}`;
    for (const part of [...scope, text]) key = createHmac("sha256", key).update(part).digest();
    const authorization =
      `AWS4-HMAC-SHA256 Credential=${this.credentials.accessKeyId}/${scope.join("/")}, ` +
      `SignedHeaders=${signed}, Signature=${key.toString("hex")}`;
    return { ...headers, authorization };
  }

  #exchange(headers, body) {
    const { request } = this.endpoint.protocol === "https:" ? https : http;
    return new Promise((resolve, reject) => {
      const options = { method: "POST", headers, timeout: this.timeout };
      const sent = request(this.endpoint, options, (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () =>
          resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }),
        );
      });
      sent.on("timeout", () => sent.destroy(new Error("timed out")));
      sent.on("error", reject);
      sent.end(body);
    });
  }
}

function encoded({ Data }) {
  if (!(Data instanceof Uint8Array)) throw new TypeError("Data is not a Uint8Array");
  return { Data: Buffer.from(Data).toString("base64") };
}

function refuseUnknown(names, known) {
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length > 0) throw new TypeError(`unknown settings: ${unknown}`);
}

function sha256(text) {
  return createHash("sha256").update(text).digest("hex");
}
