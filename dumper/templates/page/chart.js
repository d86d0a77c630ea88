
// Memory over time, with the values at the pointer.
const HEIGHT = 260;
const MARGIN = { top: 14, right: 8, bottom: 24, left: 68 };

class TimeChart {
  constructor(place, data) {
    this.place = place;
    this.data = data;
    this.last = Math.max(data.seconds.at(-1), ...data.marks.map((mark) => mark.seconds));
    const known = data.series.filter((series) => series.class !== "limit").flatMap((series) => series.bytes);
    const highest = known.reduce((most, value) => Math.max(most, value ?? 0), 1);
    const limit = data.series.find((series) => series.class === "limit");
    const allowed = limit ? Math.max(...limit.bytes.map((value) => value ?? 0)) : 0;
    // A limit far above everything would press the lines to the floor.
    this.top = (allowed > highest && allowed < highest * 4 ? allowed : highest) * 1.06;
    this.isOutside = allowed > this.top;
    this.svg = draw("svg", { "aria-hidden": "true" });
    this.legend = make("ul", { class: "legend" });
    this.slider = make("div", {
      class: "chart",
      role: "slider",
      tabindex: "0",
      "aria-label": "Time",
      "aria-valuemin": "0",
      "aria-valuemax": String(data.seconds.length - 1),
      "aria-valuenow": "0",
    });
    this.slider.append(this.svg);
    place.replaceChildren(this.legend, this.slider, this.markList());
    this.slider.addEventListener("pointermove", (event) => this.point(event));
    this.slider.addEventListener("pointerdown", (event) => this.point(event));
    this.slider.addEventListener("pointerleave", () => this.show(null));
    this.slider.addEventListener("blur", () => this.show(null));
    this.slider.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => {
      if (this.slider.clientWidth !== this.width) this.render();
    }).observe(this.slider);
    this.render();
  }

  x(seconds) {
    return MARGIN.left + (seconds / Math.max(this.last, 0.001)) * (this.width - MARGIN.left - MARGIN.right);
  }

  y(value) {
    return HEIGHT - MARGIN.bottom - (value / this.top) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  }

  render() {
    this.width = this.slider.clientWidth;
    if (!this.width) return;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    const parts = [...this.scales()];
    for (const mark of this.data.marks) {
      const at = this.x(mark.seconds).toFixed(1);
      parts.push(draw("line", { class: "mark", x1: at, x2: at, y1: MARGIN.top - 4, y2: HEIGHT - MARGIN.bottom }));
      parts.push(draw("circle", { class: "dot", cx: at, cy: MARGIN.top - 6, r: 3 }));
    }
    for (const series of this.data.series) {
      if (series.class === "limit" && this.isOutside) continue;
      parts.push(draw("path", { class: series.class, d: this.path(series.bytes) }));
    }
    this.cursor = draw("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, visibility: "hidden" });
    parts.push(this.cursor);
    this.svg.replaceChildren(...parts);
    this.show(null);
  }

  // Lines at round numbers of the unit, and times at round seconds.
  *scales() {
    const unit = 1024 ** Math.floor(Math.log2(Math.max(this.top, 1024)) / 10);
    for (const value of round(this.top / unit, 4)) {
      const at = this.y(value * unit);
      yield draw("line", { class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: at, y2: at });
      const label = value === 0 ? "0" : bytes(Math.round(value * unit));
      yield draw("text", { x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }, label);
    }
    for (const seconds of round(this.last, this.width < 500 ? 3 : 7)) {
      const anchor = seconds === 0 ? "start" : this.x(seconds) > this.width - 30 ? "end" : "middle";
      yield draw("text", { x: this.x(seconds), y: HEIGHT - 6, "text-anchor": anchor }, seconds < 120 ? `${Number(seconds.toFixed(2))} s` : time(seconds));
    }
  }

  path(values) {
    let path = "";
    let isDrawing = false;
    values.forEach((value, index) => {
      if (value === null) {
        isDrawing = false;
        return;
      }
      const point = `${this.x(this.data.seconds[index]).toFixed(1)} ${this.y(value).toFixed(1)}`;
      path += `${isDrawing ? "L" : "M"}${point}`;
      isDrawing = true;
    });
    return path;
  }

  // The values at one sample; those of the last where none is pointed at.
  show(index) {
    const at = index ?? this.data.seconds.length - 1;
    const seconds = this.data.seconds[at];
    const items = this.data.series.map((series) => {
      const line = draw("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, draw("path", { class: series.class, d: "M1 4H25" }));
      const value = series.bytes[at] === null ? "–" : bytes(series.bytes[at]);
      const name = series.class === "limit" && this.isOutside ? `${series.name}, off the chart,` : series.name;
      return make("li", {}, line, `${name} `, make("b", {}, value));
    });
    this.legend.replaceChildren(make("li", {}, make("b", {}, index === null ? `at the end, ${time(seconds)}` : `after ${time(seconds)}`)), ...items);
    const said = this.data.series.map((series) => `${series.name} ${series.bytes[at] === null ? "unknown" : bytes(series.bytes[at])}`);
    this.slider.setAttribute("aria-valuenow", String(at));
    this.slider.setAttribute("aria-valuetext", `${time(seconds)}: ${said.join(", ")}`);
    if (this.cursor) {
      this.cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
      this.cursor.setAttribute("x1", this.x(seconds));
      this.cursor.setAttribute("x2", this.x(seconds));
    }
    this.index = index;
  }

  point(event) {
    const left = event.clientX - this.slider.getBoundingClientRect().left;
    const { seconds } = this.data;
    let nearest = 0;
    for (let index = 1; index < seconds.length; index += 1) {
      if (Math.abs(this.x(seconds[index]) - left) < Math.abs(this.x(seconds[nearest]) - left)) nearest = index;
    }
    this.show(nearest);
  }

  key(event) {
    const last = this.data.seconds.length - 1;
    const now = this.index ?? last;
    const page = Math.max(1, Math.round(last / 10));
    const next = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - page, PageUp: now + page, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.show(Math.min(Math.max(next, 0), last));
  }

  markList() {
    const items = this.data.marks.map((mark) => make("li", {}, make("b", {}, time(mark.seconds)), ` ${mark.what}`));
    return make("ul", { class: "marks" }, ...items);
  }
}

// About so many round numbers from 0 up to a value.
function round(highest, count) {
  const rough = highest / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const values = [];
  for (let number = 0; number * step <= highest; number += 1) values.push(number * step);
  return values;
}
