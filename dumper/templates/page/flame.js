
// The flame graph: rows of frames below each other, a click or Enter to see one alone.
const THINNEST = 2.5;
const READABLE = 60;
const DEEPEST = 400;

class Flame {
  constructor(place, tree) {
    this.place = place;
    this.tree = tree;
    this.weight = tree.seenFirst;
    this.isReversed = false;
    this.found = null;
    this.frames = make("div", { class: "frames", role: "tree", "aria-label": "Flame graph" });
    this.readout = make("div", { class: "readout" });
    this.held = make("span", { class: "found", role: "status" });
    place.replaceChildren(this.tools(), this.readout, this.frames);
    this.frames.addEventListener("click", (event) => this.zoom(this.frameOf(event)));
    this.frames.addEventListener("mouseover", (event) => this.tell(this.frameOf(event)));
    this.frames.addEventListener("focusin", (event) => this.tell(this.frameOf(event)));
    this.frames.addEventListener("mouseleave", () => this.tell(this.at));
    this.frames.addEventListener("keydown", (event) => this.key(event));
    this.width = 0;
    new ResizeObserver(() => {
      if (this.frames.clientWidth !== this.width) this.render();
    }).observe(this.frames);
    this.begin();
  }

  tools() {
    const choice = (label, names, chosen, choose) => {
      const buttons = names.map((name) => make("button", { type: "button", "aria-pressed": "false" }, name));
      buttons[chosen].setAttribute("aria-pressed", "true");
      for (const button of buttons) {
        button.addEventListener("click", () => {
          for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
          choose(buttons.indexOf(button));
        });
      }
      return make("span", { class: "group", role: "group", "aria-label": label }, ...buttons);
    };
    const tools = make("div", { class: "tools" });
    tools.append(
      choice("Direction", ["Callers first", "Allocating lines first"], 0, (number) => {
        this.isReversed = number === 1;
        this.begin();
      }),
    );
    if (this.tree.weights.resident) {
      tools.append(
        choice("Bytes", ["Requested", "Resident"], ["requested", "resident"].indexOf(this.weight), (number) => {
          this.weight = ["requested", "resident"][number];
          this.begin();
        }),
      );
    }
    const search = make("input", { type: "search", placeholder: "Search functions, files, code", "aria-label": "Search the flame graph" });
    search.addEventListener("input", () => this.search(search.value.trim()));
    const back = make("button", { type: "button", class: "back" }, "Zoom out");
    back.addEventListener("click", () => this.zoom(this.root));
    this.back = back;
    tools.append(search, back, this.held);
    return tools;
  }

  begin() {
    this.root = this.tree.root(this.weight, this.isReversed);
    this.at = this.root;
    this.search(this.text || "");
  }

  search(text) {
    this.text = text;
    this.found = text ? this.tree.search(text, this.weight) : null;
    const held = this.found && this.found.held;
    this.held.textContent = this.found ? `found in ${bytes(held)}, ${percent(held, this.root.value)}` : "";
    this.render();
  }

  zoom(frame) {
    if (!frame) return;
    const hadFocus = this.frames.contains(document.activeElement);
    this.at = frame;
    this.render();
    if (hadFocus) this.focus(frame);
  }

  render() {
    const width = this.frames.clientWidth;
    this.width = width;
    if (!width) return;
    this.elements = new Map();
    this.shown = [];
    this.rows = [];
    const all = document.createDocumentFragment();
    for (let above = this.at.above; above; above = above.above) this.add(all, above, 0, width, width, "above");
    this.lay(all, width);
    const row = this.rowHeight();
    all.append(this.spacer(row));
    this.frames.replaceChildren(all);
    // Thin towers may go far below what can be read: they are there when one scrolls.
    this.frames.style.height = `${Math.min(this.deepest + 1, this.readable + 4) * row + 2}px`;
    this.frames.scrollTop = 0;
    this.back.disabled = this.at === this.root;
    this.tabStop(this.at);
    this.tell(this.at);
  }

  // Widths are shares of the frame that is seen alone.
  lay(all, width) {
    this.deepest = this.at.depth;
    this.readable = this.at.depth + 4;
    const scale = width / Math.max(this.at.value, 1);
    const waiting = [[this.at, 0]];
    while (waiting.length) {
      const [frame, left] = waiting.pop();
      this.add(all, frame, left, frame.value * scale, width, "");
      this.deepest = Math.max(this.deepest, frame.depth);
      if (frame.value * scale >= READABLE) this.readable = Math.max(this.readable, frame.depth);
      if (frame.depth >= DEEPEST) continue;
      let begin = left;
      for (const next of this.tree.below(frame, this.weight)) {
        const wide = next.value * scale;
        if (wide < THINNEST) break;
        waiting.push([next, begin]);
        begin += wide;
      }
    }
  }

  add(all, frame, left, wide, width, extra) {
    const element = /** @type {HTMLDivElement & { frame?: object }} */ (document.createElement("div"));
    const isFound = this.found && frame.call > 0 && this.found.isFound[frame.call];
    element.className = `frame ${this.tree.kind(frame.call)} ${extra}${isFound ? " found" : ""}${wide < 12 ? " thin" : ""}`;
    const heat = Math.round(Math.sqrt(frame.value / Math.max(this.root.value, 1)) * 100);
    const top = frame.depth * this.rowHeight();
    element.style.cssText = `left:${(left / width) * 100}%;width:${(wide / width) * 100}%;top:${top}px;--heat:${heat}`;
    element.setAttribute("role", "treeitem");
    element.setAttribute("aria-level", frame.depth + 1);
    element.tabIndex = -1;
    const label = this.tree.label(frame.call);
    const code = wide >= 200 ? this.tree.code(frame.call) : "";
    if (wide >= 30) element.append(label);
    if (code) element.append(" ", make("i", {}, code));
    element.dataset.place = label;
    element.setAttribute("aria-label", `${label}${code && ` ${code}`}: ${bytes(frame.value)}, ${percent(frame.value, this.root.value)}`);
    element.frame = frame;
    this.elements.set(frame, element);
    (this.rows[frame.depth] ||= []).push([left, frame]);
    all.append(element);
  }

  // The frames are placed freely: what makes room for them is not one of them.
  spacer(row) {
    const spacer = make("div", { role: "presentation" });
    spacer.style.height = `${(this.deepest + 1) * row}px`;
    return spacer;
  }

  rowHeight() {
    return matchMedia("(max-width: 40rem)").matches ? 29 : 23;
  }

  tell(frame) {
    if (!frame) return;
    const held = `${bytes(frame.value)}, ${percent(frame.value, this.root.value)} of all`;
    const parts = [make("code", {}, this.tree.label(frame.call)), ` ${held}`];
    if (this.at !== this.root && frame !== this.at) parts.push(`, ${percent(frame.value, this.at.value)} of what is shown`);
    if (frame.own > 0 && frame.call > 0) parts.push(`; ${bytes(frame.own)} allocated by the line itself`);
    const code = make("code", {}, this.tree.code(frame.call) || " ");
    this.readout.replaceChildren(make("p", {}, ...parts), make("p", {}, code));
  }

  frameOf(event) {
    const element = event.target.closest(".frame");
    return element ? element.frame : null;
  }

  tabStop(frame) {
    if (this.stop) this.stop.tabIndex = -1;
    this.stop = this.elements.get(frame);
    if (this.stop) this.stop.tabIndex = 0;
  }

  focus(frame) {
    const element = frame && this.elements.get(frame);
    if (!element) return;
    this.tabStop(frame);
    element.focus();
  }

  key(event) {
    const frame = this.frameOf(event);
    if (!frame) return;
    const row = [...this.rows[frame.depth]].sort((a, b) => a[0] - b[0]).map(([, other]) => other);
    const place = row.indexOf(frame);
    const below = () => this.tree.below(frame, this.weight).find((next) => this.elements.has(next));
    const actions = {
      ArrowUp: () => this.focus(frame.above),
      ArrowDown: () => this.focus(below()),
      ArrowLeft: () => this.focus(row[place - 1]),
      ArrowRight: () => this.focus(row[place + 1]),
      Home: () => this.focus(this.at),
      Enter: () => this.zoom(frame),
      " ": () => this.zoom(frame),
      Escape: () => this.zoom(this.root),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  }
}
