// What a reader does with a page, and what has to come of it.
import assert from "node:assert/strict";

const flame = (page) => page.locator(".view:visible .flame");
const frames = (page) => flame(page).locator(".frame");
const readout = (page) => flame(page).locator(".readout").innerText();
const isThere = async (locator) => (await locator.count()) > 0;

// A frame that is not as wide as all of them, but wide enough to read.
async function narrower(page) {
  const index = await frames(page).evaluateAll((all) => {
    const width = all[0].offsetWidth;
    return all.findIndex((frame) => frame.offsetWidth < width * 0.98 && frame.offsetWidth > 20);
  });
  return index < 0 ? null : frames(page).nth(index);
}

export async function hovers(page) {
  const before = await readout(page);
  const last = frames(page).last();
  await last.hover();
  const place = await last.getAttribute("data-place");
  const after = await readout(page);
  assert.ok(after.includes(place), `${after} does not name ${place}`);
  assert.match(after, /[KMG]?i?B, \d+\.\d % of all/);
  assert.notEqual(after, before);
}

export async function zooms(page) {
  const frame = await narrower(page);
  if (!frame) return;
  const place = await frame.getAttribute("data-place");
  await frame.click();
  const alone = flame(page).locator(".frame:not(.above)").first();
  assert.equal(await alone.getAttribute("data-place"), place);
  const [width, all] = [await alone.evaluate((one) => one.offsetWidth), await flame(page).locator(".frames").evaluate((one) => one.clientWidth)];
  assert.ok(width >= all - 2, `${place} is ${width} wide of ${all}`);
  await flame(page).locator("button.back").click();
  assert.ok(await narrower(page), "all are seen again");
}

export async function usesKeys(page) {
  // What comes to lie under the pointer when the page scrolls would be told instead.
  await page.mouse.move(0, 0);
  await frames(page).first().focus();
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  const level = () => page.evaluate(() => Number(document.activeElement.getAttribute("aria-level")));
  await page.keyboard.press("ArrowDown");
  assert.equal(await level(), 2);
  const second = await focused();
  assert.ok((await readout(page)).includes(await page.evaluate(() => document.activeElement.dataset.place)));
  await page.keyboard.press("Enter");
  assert.equal(await focused(), second, "the focus stays where it was");
  await page.keyboard.press("ArrowUp");
  assert.equal(await level(), 1);
  await page.keyboard.press("Escape");
  assert.ok(await flame(page).locator("button.back").isDisabled());
}

export async function searches(page) {
  const search = flame(page).getByRole("searchbox");
  const place = await frames(page).nth(1).getAttribute("data-place");
  await search.fill(place.split(/[: ]/)[0].toUpperCase());
  assert.match(await flame(page).locator(".tools .found").innerText(), /found in .*B, \d+\.\d %/);
  assert.ok(await isThere(flame(page).locator(".frame.found")));
  await search.fill("nothing is called this");
  assert.match(await flame(page).locator(".tools .found").innerText(), /found in 0 B, 0\.0 %/);
  await search.fill("");
  assert.equal(await flame(page).locator(".tools .found").innerText(), "");
}

export async function reverses(page) {
  const total = await frames(page).first().getAttribute("aria-label");
  await flame(page).getByRole("button", { name: "Allocating lines first" }).click();
  assert.equal(await frames(page).first().getAttribute("aria-label"), total, "the same bytes from the other end");
  // Lines that hold nearly the same are of one width.
  const widest = await frames(page).evaluateAll((all) => {
    const second = all.filter((frame) => frame.ariaLevel === "2").sort((a, b) => b.offsetWidth - a.offsetWidth);
    return second.filter((frame) => frame.offsetWidth >= second[0].offsetWidth - 1).map((frame) => frame.dataset.place);
  });
  const place = await page.locator(".view:visible table.sites tbody tr").first().locator("td.place span").first().innerText();
  // What imports hold is one row of the table, and many frames of the picture.
  assert.ok(place === "[importing modules]" || widest.includes(place), `the first of the table, ${place}, is the line that allocated the most: ${widest}`);
  await flame(page).getByRole("button", { name: "Callers first" }).click();
}

export async function sorts(page) {
  const table = page.locator(".view:visible table.sites");
  const column = async (key) => table.locator("tbody tr:visible").evaluateAll((rows, name) => rows.map((row) => Number(row.dataset[name])), key);
  const isFalling = (numbers) => numbers.every((number, index) => index === 0 || numbers[index - 1] >= number);
  assert.ok(isFalling(await column("own")));
  await table.getByRole("button", { name: "blocks" }).click();
  assert.ok(isFalling(await column("blocks")));
  await table.getByRole("button", { name: "blocks" }).click();
  assert.ok(isFalling((await column("blocks")).reverse()));
  assert.equal(await table.locator("th[aria-sort=ascending]").innerText(), "blocks");
  const growth = table.getByRole("button", { name: /^growth since [\d.]+ s$/ });
  if (await isThere(growth)) {
    await growth.click();
    assert.ok(isFalling(await column("growth")));
  }
  await table.getByRole("button", { name: "line" }).click();
  await table.getByRole("button", { name: "allocated here" }).click();
  assert.ok(isFalling(await column("own")));
}

export async function filters(page) {
  const view = page.locator(".view:visible");
  const rows = view.locator("table.sites tbody tr:visible");
  const wanted = (await rows.first().locator("td.place span").first().innerText()).slice(0, 20);
  await view.getByRole("searchbox", { name: "Filter the call sites" }).fill(wanted);
  assert.ok((await rows.count()) > 0);
  // Also by a caller in a list that is closed.
  for (const text of await rows.allTextContents()) assert.ok(text.includes(wanted), text);
  await view.getByRole("searchbox", { name: "Filter the call sites" }).fill("nothing is called this");
  assert.equal(await rows.count(), 0);
  await view.getByRole("searchbox", { name: "Filter the call sites" }).fill("");
  const more = view.locator("button.more");
  if (await more.isVisible()) {
    await more.click();
    assert.equal(await rows.count(), await view.locator("table.sites tbody tr").count());
  }
}

export async function switches(page) {
  const select = page.locator("#view");
  if (!(await isThere(select))) return;
  const views = await select.locator("option").allInnerTexts();
  for (const [number, label] of views.entries()) {
    await select.selectOption(String(number));
    assert.equal(await page.locator(".view:visible").count(), 1);
    assert.ok(await isThere(frames(page)), label);
    const total = label.split(", ").at(-1);
    // Both have what ranks: what is in memory, or what was asked for.
    assert.ok((await frames(page).first().getAttribute("aria-label")).includes(total), `${label}: ${total}`);
  }
  await select.selectOption("0");
}

export async function listsSource(page) {
  const source = page.locator(".view:visible details.source").first();
  if (!(await isThere(source))) return;
  assert.ok(await source.locator("table.listing").isVisible());
  await source.locator("summary").click();
  assert.ok(!(await source.locator("table.listing").isVisible()));
  await source.locator("summary").click();
}

export async function readsChart(page) {
  const chart = page.locator(".chart");
  if (!(await isThere(chart))) return;
  await chart.hover({ position: { x: 300, y: 100 } });
  assert.match(await page.locator("#chart .legend").innerText(), /after [\d.]+ (s|min|h)[^]*resident [\d.]+ [KMGT]iB/);
  await tellsProcesses(page, chart);
  await chart.focus();
  await page.keyboard.press("Home");
  const first = await chart.getAttribute("aria-valuetext");
  await page.keyboard.press("End");
  assert.notEqual(await chart.getAttribute("aria-valuetext"), first);
  assert.ok((await page.locator("#chart .marks li").count()) > 0, "the peak and the end are marked");
}

// Each process that has a line has its value in the legend, wherever the pointer is.
async function tellsProcesses(page, chart) {
  const lines = await chart.locator("path[class^=process-]").count();
  const { width } = await chart.boundingBox();
  const known = new Set();
  for (let x = 70; x < width - 10; x += width / 12) {
    await chart.hover({ position: { x, y: 100 } });
    const told = await page.locator("#chart .legend li").allInnerTexts();
    const processes = told.filter((text) => /^process \d+ /.test(text));
    assert.equal(processes.length, lines, `${told} has all ${lines} processes`);
    for (const text of processes) if (/ [\d.]+ [KMGT]iB$/.test(text)) known.add(text.split(" ")[1]);
  }
  assert.equal(known.size > 0, lines > 0, `${lines} lines, and values of ${[...known]}`);
}

export async function switchesToResident(page) {
  // What is shown first depends on what the limit counts.
  await flame(page).getByRole("button", { name: "Requested" }).click();
  const total = await frames(page).first().getAttribute("aria-label");
  await flame(page).getByRole("button", { name: "Resident" }).click();
  const resident = await frames(page).first().getAttribute("aria-label");
  assert.notEqual(resident, total, "half of it is resident");
  await flame(page).getByRole("button", { name: "Requested" }).click();
  assert.equal(await frames(page).first().getAttribute("aria-label"), total);
}

export async function readsWithoutScript(page) {
  assert.ok(await page.locator("h1").isVisible());
  assert.equal(await page.locator(".view:visible").count(), await page.locator(".view").count());
  assert.ok(await isThere(page.locator("table.sites tbody tr:visible")));
}
