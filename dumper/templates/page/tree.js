
// A call tree, from either end. What hangs on a frame is found when it is looked at: of tens of thousands of frames, hundreds are wide enough.
class Tree {
  constructor(data, strings) {
    this.calls = data.calls;
    this.strings = strings;
    this.call = data.call;
    this.weights = { requested: data.own };
    if (data.resident) this.weights.resident = data.resident;
    this.seenFirst = data.resident && data.by_resident ? "resident" : "requested";
    const count = data.up.length;
    this.parent = new Int32Array(count);
    this.first = new Int32Array(count);
    this.next = new Int32Array(count);
    for (let id = count - 1; id > 0; id -= 1) {
      const parent = id - data.up[id];
      this.parent[id] = parent;
      this.next[id] = this.first[parent];
      this.first[parent] = id;
    }
    this.totals = {};
  }

  // What each node holds with all that it called.
  total(weight) {
    if (!this.totals[weight]) {
      const totals = Float64Array.from(this.weights[weight]);
      for (let id = totals.length - 1; id > 0; id -= 1) totals[this.parent[id]] += totals[id];
      this.totals[weight] = totals;
    }
    return this.totals[weight];
  }

  label(call) {
    if (call < 0) return "everything";
    if (call === 0) return "(small)";
    const [file, name, line] = this.calls[call - 1];
    const where = this.strings[file];
    if (!where) return this.strings[name];
    return `${where}${line ? `:${line}` : ""} (${this.strings[name]})`;
  }

  code(call) {
    return call > 0 ? this.strings[this.calls[call - 1][3]] : "";
  }

  // Whose code it is.
  kind(call) {
    if (call <= 0 || !this.strings[this.calls[call - 1][0]]) return "none";
    return this.calls[call - 1][4] ? "lib" : "own";
  }

  // For each node that is part of what is imported, the frame that stands for that; else 0. A line of the user's own is part of none.
  imports() {
    const own = 0;
    const imports = 2;
    const within = new Int32Array(this.call.length);
    for (let id = 1; id < within.length; id += 1) {
      const call = this.calls[this.call[id] - 1];
      const above = within[this.parent[id]];
      const isOwn = call && call[4] === own && this.strings[call[0]];
      if (call && call[4] === imports) within[id] = above || id;
      else if (!isOwn) within[id] = above;
    }
    return within;
  }

  root(weight, isReversed) {
    const value = this.total(weight)[0];
    const frame = { call: -1, value, own: 0, above: null, depth: 0, below: null };
    if (isReversed) {
      const held = this.weights[weight];
      const within = this.imports();
      frame.shares = { ids: [], held: [] };
      for (let id = 1; id < held.length; id += 1) {
        if (held[id] > 0) {
          frame.shares.ids.push(within[id] || id);
          frame.shares.held.push(held[id]);
        }
      }
    } else {
      frame.id = 0;
      frame.own = this.weights[weight][0];
    }
    return frame;
  }

  // The frames that hang on one, the largest first.
  below(frame, weight) {
    if (!frame.below) {
      frame.below = frame.shares ? this.callers(frame) : this.callees(frame, weight);
      frame.below.sort((a, b) => Number(a.call === 0) - Number(b.call === 0) || b.value - a.value);
    }
    return frame.below;
  }

  callees(frame, weight) {
    const totals = this.total(weight);
    const below = [];
    for (let id = this.first[frame.id]; id; id = this.next[id]) {
      if (totals[id] > 0) {
        const own = this.weights[weight][id];
        below.push({ call: this.call[id], value: totals[id], own, above: frame, depth: frame.depth + 1, below: null, id });
      }
    }
    return below;
  }

  // The first row is the lines that allocated, what imports hold being one of them; each next one their callers.
  callers(frame) {
    const byCall = new Map();
    const { ids, held } = frame.shares;
    for (let index = 0; index < ids.length; index += 1) {
      const at = frame.call < 0 ? ids[index] : this.parent[ids[index]];
      if (at === 0) continue;
      const call = this.call[at];
      let next = byCall.get(call);
      if (!next) {
        next = { call, value: 0, own: 0, above: frame, depth: frame.depth + 1, below: null, shares: { ids: [], held: [] } };
        byCall.set(call, next);
      }
      next.value += held[index];
      const { shares } = next;
      // Those of one caller come one after the other: the callers further out are looked up once for all of them.
      const last = shares.ids.length - 1;
      if (shares.ids[last] === at) {
        shares.held[last] += held[index];
      } else {
        shares.ids.push(at);
        shares.held.push(held[index]);
      }
    }
    return [...byCall.values()];
  }

  // Which calls have a text in them, and what all callstacks with one of those hold.
  search(text, weight) {
    const wanted = text.toLowerCase();
    const isFound = new Uint8Array(this.calls.length + 1);
    for (let call = 1; call <= this.calls.length; call += 1) {
      const said = `${this.label(call)} ${this.code(call)}`.toLowerCase();
      isFound[call] = said.includes(wanted) ? 1 : 0;
    }
    const within = new Uint8Array(this.call.length);
    let held = 0;
    for (let id = 1; id < within.length; id += 1) {
      within[id] = isFound[this.call[id]] || within[this.parent[id]];
      if (within[id]) held += this.weights[weight][id];
    }
    return { isFound, held };
  }
}
