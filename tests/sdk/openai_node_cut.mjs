// The openai package for Node, unmodified, while the model server breaks off at every byte: every answer throws.

import assert from "node:assert/strict";
import process from "node:process";

import OpenAI from "openai";

const length = Number(process.env.LENGTH);
const step = Number(process.env.STEP);
const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0, timeout: 20_000 });

async function read(place) {
  const messages = [{ role: "user", content: String(place) }];
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ model: "echo", messages, stream: true })) {
    chunks.push(chunk);
  }
  return chunks;
}

for (let place = 0; place < length; place += step) {
  await assert.rejects(read(place), OpenAI.APIError, `an answer cut at byte ${place} of ${length} did not throw`);
}
assert.notEqual((await read(length)).length, 0);
