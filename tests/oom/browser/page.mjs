// Opens report pages in a real browser and uses them: `node page.mjs INDEX.html…`; `--shots DIR` keeps a picture of each, `--speed`
// measures instead.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { HtmlValidate } from "html-validate";
import { chromium } from "playwright-core";
import { createRequire } from "node:module";
import * as act from "./act.mjs";
import { speed } from "./speed.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const looks = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 800 }, deviceScaleFactor: 2, hasTouch: true },
};

const { files, shots, measures } = options(process.argv.slice(2));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  for (const file of files) {
    if (measures) await speed(browser, file);
    else await check(file);
  }
} finally {
  await browser.close();
}

function options(words) {
  const files = [];
  let shots = null;
  let measures = false;
  while (words.length) {
    const word = words.shift();
    if (word === "--shots") shots = words.shift();
    else if (word === "--speed") measures = true;
    else files.push(word);
  }
  return { files, shots, measures };
}

async function check(file) {
  await isValid(file);
  for (const look of Object.keys(looks)) {
    await opened(file, looks[look], async (page) => {
      await isAccessible(page, `${file} (${look})`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(wide, 0, `${file} (${look}) has to be scrolled sideways`);
      if (shots) await page.screenshot({ path: path.join(shots, `${name(file)}-${look}.png`), fullPage: true });
    });
  }
  await opened(file, looks.light, async (page) => {
    for (const step of [act.hovers, act.zooms, act.usesKeys, act.searches, act.reverses, act.sorts, act.filters, act.switches, act.listsSource, act.readsChart]) {
      await step(page).catch((error) => {
        error.message = `${file}: ${step.name}: ${error.message}`;
        throw error;
      });
    }
    await isAccessible(page, `${file} (used)`);
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.locator(".tools:visible").count(), 0, "nothing to click on paper");
  });
  await opened(withResident(file), looks.light, act.switchesToResident);
  await opened(file, { ...looks.light, javaScriptEnabled: false }, act.readsWithoutScript);
  console.log(`${name(file)}: hover, zoom, keys, search, reversed, sort, filter, views, source, chart, print; valid, accessible`);
}

// A page, with an error for whatever the browser complains of or would fetch.
async function opened(file, look, use) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => complaints.push(`a dialog: ${dialog.message()}`));
  page.on("request", (request) => {
    if (request.url() !== `file://${file}`) complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(`file://${file}`);
  await use(page);
  await context.close();
  assert.deepEqual(complaints, [], file);
}

async function isValid(file) {
  const validator = new HtmlValidate({
    extends: ["html-validate:standard"],
    // Of numbers beside their words, and of one long style.
    rules: { "long-title": "off", "no-inline-style": "error" },
  });
  const report = await validator.validateString(readFileSync(file, "utf8"), file);
  const found = report.results.flatMap((result) => result.messages.map((message) => `${message.line}: ${message.ruleId}: ${message.message}`));
  assert.deepEqual(found, [], file);
}

async function isAccessible(page, what) {
  // The developer tools' own evaluation: the page's policy allows no script but its own.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 120)} ${node.failureSummary}`).join(" | ")}`);
  assert.deepEqual(found, [], what);
}

// The same page as if half of everything had been measured to be resident.
function withResident(file) {
  const page = readFileSync(file, "utf8");
  const begin = page.indexOf('id="data">') + 'id="data">'.length;
  const end = page.indexOf("</script>", begin);
  const data = JSON.parse(page.slice(begin, end));
  for (const graph of data.graphs) graph.resident = graph.own.map((bytes) => Math.floor(bytes / 2));
  const copy = path.join(path.dirname(file), "resident.html");
  writeFileSync(copy, page.slice(0, begin) + JSON.stringify(data).replaceAll("<", "\\u003c") + page.slice(end));
  return copy;
}

function name(file) {
  return path.basename(path.dirname(path.dirname(file)));
}
