
// What is on the page comes to life; a graph when it is first seen.
const data = JSON.parse(document.getElementById("data").textContent);
const views = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".view")]);

function openView(number) {
  views.forEach((view, index) => {
    view.hidden = index !== number;
  });
  const place = /** @type {HTMLElement} */ (views[number].querySelector(".flame"));
  if (place.dataset.ready) return;
  place.dataset.ready = "yes";
  new Flame(place, new Tree(data.graphs[place.dataset.graph], data.strings));
  const table = views[number].querySelector("table.sites");
  if (table) new SiteTable(table);
  const listing = /** @type {HTMLDetailsElement | null} */ (views[number].querySelector("details.source"));
  if (listing) listing.open = true;
}

const chart = document.getElementById("chart");
if (chart && data.chart) new TimeChart(chart, data.chart);
const select = /** @type {HTMLSelectElement | null} */ (document.getElementById("view"));
if (select) {
  select.closest("p").hidden = false;
  select.addEventListener("change", () => openView(Number(select.value)));
}
// What is folded is on paper all the same.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
if (views.length) openView(select ? Number(select.value) : 0);
