
// A table of call sites: sorted by a click on a column, filtered by text, the first rows at first.
const ROWS = 15;

class SiteTable {
  constructor(table) {
    this.body = table.tBodies[0];
    this.rows = [...this.body.rows];
    this.text = new Map(this.rows.map((row) => [row, row.cells[row.cells.length - 1].textContent.toLowerCase()]));
    this.wanted = "";
    this.isWhole = false;
    this.headers = [...table.tHead.rows[0].cells];
    for (const header of this.headers) {
      const button = make("button", { type: "button" }, header.textContent);
      button.addEventListener("click", () => this.sort(header));
      header.replaceChildren(button);
    }
    const filter = make("input", { type: "search", placeholder: "Filter by file, function, code", "aria-label": "Filter the call sites" });
    filter.addEventListener("input", () => {
      this.wanted = filter.value.trim().toLowerCase();
      this.show();
    });
    this.count = make("span", { class: "found", role: "status" });
    this.more = make("button", { type: "button", class: "more" }, `Show all ${this.rows.length}`);
    this.more.addEventListener("click", () => {
      this.isWhole = true;
      this.show();
    });
    const scroll = table.parentElement;
    scroll.before(make("div", { class: "tools" }, filter, this.count));
    scroll.after(this.more);
    this.show();
  }

  sort(header) {
    const isAscending = header.getAttribute("aria-sort") === "descending";
    for (const other of this.headers) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
    const key = header.dataset.key;
    const sign = isAscending ? 1 : -1;
    this.rows.sort((a, b) => {
      if (key === "place") return -sign * (this.text.get(a) < this.text.get(b) ? -1 : 1);
      return sign * (Number(a.dataset[key]) - Number(b.dataset[key]));
    });
    this.body.append(...this.rows);
    this.show();
  }

  show() {
    const found = this.rows.filter((row) => this.text.get(row).includes(this.wanted));
    const shown = new Set(this.isWhole || this.wanted ? found : found.slice(0, ROWS));
    for (const row of this.rows) row.hidden = !shown.has(row);
    this.count.textContent = this.wanted ? `${found.length} of ${this.rows.length} lines` : "";
    this.more.hidden = shown.size === found.length;
  }
}
