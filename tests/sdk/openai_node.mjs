// The openai package for Node, unmodified, through the gateway: what a program sees that knows nothing of it.

import assert from "node:assert/strict";
import process from "node:process";

import OpenAI from "openai";

const filtered = process.env.FILTERS === "on";
const options = { baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0, timeout: 20_000 };
const expected = filtered ? "echo: hi there mark" : "echo: hi there";
const client = new OpenAI(options);
const messages = [{ role: "user", content: "hi there" }];
const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];

async function whole() {
  const answer = await client.chat.completions.create({ model: "echo", messages });
  assert.equal(answer.choices[0].message.content, expected);
  assert.equal(answer.usage.total_tokens, 12);
}

async function streamed() {
  let text = "";
  let finish = null;
  for await (const chunk of await client.chat.completions.create({ model: "echo", messages, stream: true })) {
    assert.equal(chunk.calm ?? false, filtered);
    text += chunk.choices[0].delta.content ?? "";
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  assert.deepEqual([text, finish], [expected, "stop"]);
}

async function wholeTools() {
  const answer = await client.chat.completions.create({ model: "tools", messages, tools });
  const [call] = answer.choices[0].message.tool_calls;
  assert.deepEqual([call.function.name, call.function.arguments], ["get_weather", '{"city": "Oslo"}']);
}

async function streamedTools() {
  const stream = client.chat.completions.stream({ model: "tools", messages, tools });
  const message = await stream.finalMessage();
  const calls = message.tool_calls.map((call) => [call.function.name, call.function.arguments]);
  assert.deepEqual(calls, [["get_weather", '{"city": "Oslo"}'], ["now", "{}"]]);
}

async function errors() {
  const ask = (model, stream) => client.chat.completions.create({ model, messages, stream });
  for (const stream of [false, true]) {
    await assert.rejects(ask("err429", stream), OpenAI.RateLimitError);
    await assert.rejects(ask("err400", stream), OpenAI.BadRequestError);
  }
  await assert.rejects(ask("no-such-model", false), { status: 404, code: "model_not_found" });
}

async function brokenStream() {
  const read = async () => {
    for await (const _ of await client.chat.completions.create({ model: "cutoff", messages, stream: true }));
  };
  await assert.rejects(read());
}

async function models() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("echo") && ids.includes("tools"));
}

for (const check of [whole, streamed, wholeTools, streamedTools, errors, brokenStream, models]) {
  await check();
}
