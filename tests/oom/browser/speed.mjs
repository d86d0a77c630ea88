// How fast a page is: the first paint, and clicks until the next frame has been painted.
export async function speed(browser, file) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const began = performance.now();
  await page.goto(`file://${file}`);
  const loaded = performance.now() - began;
  const painted = await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  const paint = await painted.jsonValue();
  const ready = await page.evaluate(() => performance.timing.domComplete - performance.timing.navigationStart);
  // From a click on the frame or button of this number, of those that there are, to the frame that the browser paints next.
  const took = (selector, number) =>
    page.evaluate(
      ([all, index]) =>
        new Promise((resolve) => {
          const elements = document.querySelectorAll(`.view:not([hidden]) ${all}`);
          const element = elements[Math.min(index, elements.length - 1)];
          const begin = performance.now();
          element.click();
          requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin)));
        }),
      [selector, number],
    );
  const shown = await page.locator(".view:visible .frame").count();
  const clicks = [];
  for (const frame of [3, 5, 2, 0]) clicks.push(await took(".frame", frame));
  const reversed = await took(".flame button", 1);
  for (const frame of [2, 4, 0]) clicks.push(await took(".frame", frame));
  const search = await page.evaluate(() => {
    const input = document.querySelector(".view:not([hidden]) .flame input");
    const begin = performance.now();
    input.value = "module";
    input.dispatchEvent(new Event("input"));
    return performance.now() - begin;
  });
  const ms = (time) => `${time.toFixed(0)} ms`;
  console.log(`${file}: first paint ${ms(paint)}, complete ${ms(ready)} (${ms(loaded)} with the browser's start of a page), clicks ${clicks.map(ms).join(", ")}, reversed ${ms(reversed)}, search ${ms(search)}, ${shown} frames shown`);
  await page.close();
}
