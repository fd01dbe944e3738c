// What a person does in Open WebUI, in a headless Chromium. Ends with the number of steps that failed.

import assert from "node:assert/strict";
import process from "node:process";

const { WEBUI, CHROMIUM, SHOTS, PLAYWRIGHT, UPLOAD } = process.env;
const { chromium } = await import(PLAYWRIGHT);

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  // The page is to reach nothing but Open WebUI.
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];
const PATIENCE = 20_000;
const ADA = { name: "Ada Admin", email: "ada@example.test", password: "ada-of-the-test-1" };
const BOB = { name: "Bób Reader", email: "bob@example.test", password: "bob-of-the-test-1", role: "user" };
const QUESTION = "hello from the browser with many words so that one can see how they come one after the other";

const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
let shots = 0;

async function newPage() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  return page;
}

async function shoot(page, name) {
  shots += 1;
  await page.screenshot({ path: `${SHOTS}/${String(shots).padStart(2, "0")}-${name}.png` });
}

/** Asks in a new chat and does not wait for the answer. */
async function ask(page, model, question) {
  await page.goto(`${WEBUI}/?model=${model}`);
  await page.getByRole("button", { name: `Selected model: ${NAMES[model] ?? model}`, exact: false }).waitFor();
  await page.locator("#chat-input").fill(question);
  await page.keyboard.press("Enter");
}

const answerOf = (page) => page.locator('[id^="message-"]:not(.user-message):not(#message-input-container)').last();

/** What models are called where that is not their id. */
const NAMES = { "demo-tools": "Demo with tools" };

/** Waits until the answer has this text, in this case. */
async function expectAnswer(page, text) {
  const answer = answerOf(page);
  const pattern = new RegExp(text.replace(/[.?*]/g, "\\$&"));
  await answer.getByText(pattern).first().waitFor().catch(async () => {
    throw new Error(`the answer lacks ${JSON.stringify(text)}: ${JSON.stringify(await answer.innerText())}`);
  });
  return answer.innerText();
}

async function chat(page, model, question, expected) {
  await ask(page, model, question);
  return expectAnswer(page, expected);
}

const pipeline = (page, name) => page.locator("#pipeline option", { hasText: name });

/** Opens the administrators' page for pipelines, and there the function of this name. */
async function openPipelines(page, name = /./) {
  await page.goto(`${WEBUI}/admin/settings/pipelines`);
  const option = pipeline(page, name).first();
  await option.waitFor({ state: "attached" });
  await page.locator("#pipeline").selectOption(await option.getAttribute("value"));
}

const ada = await newPage();
const bob = await newPage();

const steps = {
  async "the first administrator signs up"() {
    await ada.goto(WEBUI);
    await ada.getByRole("button", { name: "Get started" }).click();
    for (const field of ["name", "email", "password"]) await ada.locator(`#${field}`).fill(ADA[field]);
    await shoot(ada, "sign-up");
    await ada.getByRole("button", { name: "Create Admin Account" }).click();
    await ada.getByRole("button", { name: "Okay, Let's Go!" }).click();
  },

  async "the model list is the gateway's, a pipe included and the filter not"() {
    await ada.locator("#model-selector-model-button").click();
    await ada.getByRole("option").first().waitFor();
    await shoot(ada, "models");
    const options = await ada.getByRole("option").evaluateAll((all) => all.map((one) => one.dataset.value));
    assert.deepEqual(options.sort(), ["demo", "demo-tools", "endless", "introduction", "parrot"]);
  },

  async "an answer streams, and passed the filter on its way there and back"() {
    const expected = `YOU SAID: ${QUESTION} MARKED-FIRST KEY-KEPT`.toUpperCase();
    await ask(ada, "parrot", QUESTION);
    const text = answerOf(ada).locator("p").first();
    await text.waitFor();
    const seen = new Set();
    for (let now = ""; now !== expected; now = (await text.innerText()).trim()) {
      assert(expected.startsWith(now), `not on the way to the answer: ${now}`);
      if (seen.size === 5 && !seen.has(now)) await shoot(ada, "streaming");
      seen.add(now);
    }
    assert(seen.size > 5, `the answer came in ${seen.size} pieces`);
  },

  async "title, follow-ups and tags are made by the gateway's model"() {
    await ada.getByText("Title of the model server").first().waitFor();
    await ada.getByText("A follow-up of the model server?").first().waitFor();
    await shoot(ada, "answer");
  },

  async "a second question in the same chat is answered"() {
    await ada.locator("#chat-input").fill("and once more");
    await ada.keyboard.press("Enter");
    await expectAnswer(ada, "YOU SAID: AND ONCE MORE MARKED-FIRST KEY-KEPT");
  },

  async "a pipe knows who asks"() {
    await chat(ada, "introduction", "Who am I?", "YOU ARE ADA ADMIN, ADA@EXAMPLE.TEST, ADMIN.");
    await shoot(ada, "pipe");
  },

  async "a pipe knows another person, although both share one key"() {
    const added = await ada.evaluate(async (person) => {
      const headers = { "Content-Type": "application/json", Authorization: `Bearer ${localStorage.token}` };
      const answer = await fetch("/api/v1/auths/add", { method: "POST", headers, body: JSON.stringify(person) });
      return answer.status;
    }, BOB);
    assert.equal(added, 200);
    await bob.goto(WEBUI);
    for (const field of ["email", "password"]) await bob.locator(`#${field}`).fill(BOB[field]);
    await bob.getByRole("button", { name: "Sign in" }).click();
    await bob.locator("#chat-input").waitFor();
    await chat(bob, "introduction", "Who am I?", "YOU ARE BÓB READER, BOB@EXAMPLE.TEST, USER.");
    await shoot(bob, "pipe-other-person");
  },

  async "a tool of Open WebUI is called, and its result gets to the model"() {
    await chat(ada, "demo-tools", "Which tool do you call?", "THE TOOL ANSWERED");
    await shoot(ada, "tool");
  },

  async "a refusal of the filter is shown"() {
    await chat(ada, "parrot", "something forbidden", "The marker refuses this question.");
    await shoot(ada, "refusal");
  },

  async "the page for pipelines shows the functions"() {
    await openPipelines(ada);
    const listed = await ada.locator("#pipeline option").allInnerTexts();
    assert.deepEqual(listed.map((label) => label.toLowerCase()).sort(), ["introduction (pipe)", "marker (filter)"]);
  },

  async "it shows no secret valve"() {
    await openPipelines(ada, /marker/i);
    const key = ada.getByPlaceholder("Api Key");
    await key.scrollIntoViewIfNeeded();
    await shoot(ada, "valves-secret");
    assert.notEqual(await key.inputValue(), "of-the-operator");
  },

  async "the administrator edits a valve there"() {
    await openPipelines(ada, /marker/i);
    const mark = ada.getByPlaceholder("Mark");
    await mark.waitFor();
    await shoot(ada, "valves");
    assert.equal(await mark.inputValue(), "first");
    await mark.fill("second");
    await ada.getByRole("button", { name: "Save", exact: true }).click();
    await ada.getByText("Valves updated successfully").waitFor();
    await openPipelines(ada, /marker/i);
    assert.equal(await mark.inputValue(), "second");
    await shoot(ada, "valves-saved");
  },

  async "the next chat has the new valve, once, and the secret is what it was"() {
    const answer = await chat(ada, "parrot", "after the change", "YOU SAID: AFTER THE CHANGE MARKED-SECOND KEY-KEPT");
    await shoot(ada, "answer-after-the-change");
    assert.equal(answer.split("MARKED-").length, 2, "the filter ran more than once");
  },

  async "a pipe still answers, with the filter once on it"() {
    await chat(ada, "introduction", "Who am I?", "YOU ARE ADA ADMIN, ADA@EXAMPLE.TEST, ADMIN.");
  },

  async "a file uploaded on the page for pipelines becomes a model"() {
    await openPipelines(ada);
    const chooser = ada.waitForEvent("filechooser");
    await ada.getByRole("button", { name: "Select a .py file" }).click();
    await (await chooser).setFiles(UPLOAD);
    await ada.getByRole("button", { name: "Upload", exact: true }).click();
    await pipeline(ada, /greeter/i).waitFor({ state: "attached" });
    await shoot(ada, "uploaded");
    await chat(ada, "greeter", "and you?", "GOOD MORNING, 1 MESSAGE, STARTED: AND YOU?");
    await shoot(ada, "uploaded-answer");
  },

  async "and is deleted there"() {
    await openPipelines(ada, /greeter/i);
    await ada.getByPlaceholder("Greeting").waitFor();
    await ada.getByRole("button", { name: "Delete", exact: true }).click();
    await ada.getByText("Pipeline deleted successfully").waitFor();
    await openPipelines(ada);
    await shoot(ada, "deleted");
    assert.equal(await pipeline(ada, /greeter/i).count(), 0);
  },

  async "a chat is stopped in the middle"() {
    await ask(ada, "endless", "tell me all");
    await expectAnswer(ada, "WORD-10 ");
    await shoot(ada, "before-the-stop");
    await ada.getByRole("button", { name: "Stop", exact: true }).click();
    await ada.getByRole("button", { name: "Regenerate" }).waitFor();
    const before = await answerOf(ada).innerText();
    await shoot(ada, "stopped");
    await ada.waitForTimeout(1000);
    assert.equal(await answerOf(ada).innerText(), before, "the answer goes on");
  },
};

let failures = 0;
for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
    console.log(`ok   ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}\n     ${error.message.replaceAll("\n", "\n     ")}`);
    await shoot(ada, "failed").catch(() => {});
  }
}
await browser.close();
process.exit(failures);
