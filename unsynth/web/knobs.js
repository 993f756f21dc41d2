// The knobs of the picked candidate, with locks for each and for whole modules.
import { element } from "./cards.js";

const IMPORTANT = 8;

export class Knobs {
  #spec; #rows = new Map(); #locked = new Set(); #params = [];

  constructor(heard, modules, turned) { Object.assign(this, { heard, modules, turned }); }

  get held() { return this.#spec ? [...this.#locked].map((i) => this.#spec.params[i].name) : []; }

  // Builds the panel for a synth; what was locked stays so while the synth is the same.
  build(spec) {
    if (this.#spec?.name === spec.name) return;
    this.#spec = spec;
    this.#rows = new Map();
    this.#locked = new Set();
    this.heard.replaceChildren();
    const members = Map.groupBy(spec.params.keys(), (i) => spec.params[i].module);
    this.modules.replaceChildren(...[...members].map(([module, indices]) => this.#module(module, indices)));
  }

  show({ params, texts }) {
    this.#params = params;
    for (const [i, rows] of this.#rows) for (const row of rows) this.#fill(row, i, params[i], texts[i]);
  }

  // The knobs that change the sound most come first, once it is known how much each does.
  rank(decibels) {
    const order = [...decibels.keys()].sort((a, b) => decibels[b] - decibels[a]).slice(0, IMPORTANT);
    for (const row of this.heard.children) this.#forget(row);
    const texts = new Map([...this.#rows].map(([i, rows]) => [i, rows[0].output.textContent]));
    this.heard.replaceChildren(...order.map((i) => this.#row(i, `${this.#spec.params[i].module} ${this.#spec.params[i].knob}`)));
    for (const i of order) this.#fill(this.#rows.get(i).at(-1), i, this.#params[i], texts.get(i));
    this.#mark();
  }

  #forget(element_) {
    for (const [i, rows] of this.#rows) this.#rows.set(i, rows.filter((row) => row.root !== element_));
  }

  #module(module, indices) {
    const lock = element("input", { type: "checkbox", onchange: () => this.#lock(indices, lock.checked) });
    const label = element("label", { className: "lock" }, lock, ` Lock all of ${module}`);
    const knobs = element("div", { className: "knobs" }, ...indices.map((i) => this.#row(i, this.#spec.params[i].knob)));
    const whole = element("details", {}, element("summary", { textContent: module }), label, knobs);
    whole.lock = { box: lock, indices };
    return whole;
  }

  #row(i, title) {
    const { name, steps, choices } = this.#spec.params[i], id = `knob-${i}-${this.#rows.get(i)?.length ?? 0}`;
    const input = choices.length
      ? element("select", {}, ...choices.map((choice, value) => element("option", { value, textContent: choice })))
      : element("input", { type: "range", min: 0, max: steps ? steps - 1 : 1, step: steps ? 1 : 0.001 });
    input.id = id;
    input.oninput = () => this.turned(name, steps ? (Number(input.value) + 0.5) / steps : Number(input.value));
    const output = element("output");
    output.htmlFor = id;
    const box = element("input", { type: "checkbox", ariaLabel: `Lock ${name}`, onchange: () => this.#lock([i], box.checked) });
    const root = element("div", { className: "knob" }, element("label", { htmlFor: id, textContent: title }), input, output);
    root.append(element("label", { className: "lock" }, box, " lock"));
    this.#rows.set(i, [...(this.#rows.get(i) ?? []), { root, input, output, box }]);
    return root;
  }

  #fill(row, i, unit, text) {
    const { steps } = this.#spec.params[i];
    if (row.input !== document.activeElement || row.input.tagName === "SELECT") {
      row.input.value = steps ? Math.min(Math.floor(unit * steps), steps - 1) : unit;
    }
    row.input.setAttribute("aria-valuetext", text);
    row.output.textContent = text;
  }

  #lock(indices, locked) {
    for (const i of indices) locked ? this.#locked.add(i) : this.#locked.delete(i);
    this.#mark();
  }

  #mark() {
    for (const [i, rows] of this.#rows) for (const row of rows) row.box.checked = this.#locked.has(i);
    for (const { lock } of this.modules.children) {
      const locked = lock.indices.filter((i) => this.#locked.has(i)).length;
      lock.box.checked = locked === lock.indices.length;
      lock.box.indeterminate = locked > 0 && !lock.box.checked;
    }
  }
}
