// The target and the candidates as cards, updated in place while a search improves them.
const NAMES = { target: "Target", 1: "Best match", Before: "Before", Edited: "Edited" };

export const nameOf = (slot) => NAMES[slot] ?? `Candidate ${slot}`;

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export class Cards {
  #cards = new Map();

  constructor(root, { hear, pick, seek }) { Object.assign(this, { root, hear, pick, seek }); }

  // Shows `slots`, a list of {slot, scores}, and removes the others.
  show(slots) {
    const wanted = new Set(slots.map((s) => s.slot));
    for (const [slot, card] of this.#cards) if (!wanted.has(slot)) { card.root.remove(); this.#cards.delete(slot); }
    slots.forEach(({ slot, scores }, place) => {
      if (!this.#cards.has(slot)) this.#cards.set(slot, this.#card(slot));
      const card = this.#cards.get(slot);
      if (this.root.children[place] !== card.root) this.root.insertBefore(card.root, this.root.children[place] ?? null);
      if (scores) card.scores.replaceChildren(...scores.flatMap(score));
    });
  }

  picture(slot, url) { const card = this.#cards.get(slot); if (card) card.image.src = url; }

  wave(slot, buffer) { const card = this.#cards.get(slot); if (card) draw(card.canvas, buffer); }

  mark(heard, picked) {
    for (const [slot, card] of this.#cards) {
      card.root.classList.toggle("heard", slot === heard);
      card.pick?.setAttribute("aria-pressed", String(slot === picked));
    }
  }

  #card(slot) {
    const name = nameOf(slot), caption = element("figcaption");
    const hear = element("button", { className: "hear", ariaLabel: `Play ${name}`, onclick: () => this.hear(slot) });
    caption.append(hear, element("strong", { textContent: name }));
    const canvas = element("canvas", { ariaLabel: `Waveform of ${name}` });
    canvas.setAttribute("role", "img");
    const image = element("img", { alt: `Mel spectrogram of ${name}` });
    const plot = element("div", { className: "plot" }, canvas, image);
    plot.onclick = (event) => {
      const box = plot.getBoundingClientRect();
      this.seek((event.clientX - box.left) / box.width);
    };
    const scores = element("dl"), root = element("figure", { className: "card" }, caption, plot, scores);
    root.dataset.slot = slot;
    const card = { root, canvas, image, scores };
    if (slot !== "target") {
      card.pick = element("button", { className: "pick", textContent: "Pick", onclick: () => this.pick(slot) });
      card.pick.setAttribute("aria-label", `Pick ${name}`);
      caption.append(card.pick);
    }
    return card;
  }
}

function score({ title, verdict, step, value, meaning }) {
  const told = element("dd", { textContent: verdict });
  if (step !== null) told.dataset.step = step;
  const number = element("dd", { textContent: value === null ? "–" : value.toPrecision(2) });
  for (const part of [told, number]) part.title = meaning;
  return [element("dt", { textContent: title, title: meaning }), told, number];
}

function draw(canvas, buffer) {
  const width = canvas.width = 2 * (canvas.clientWidth || 320), height = canvas.height = 2 * (canvas.clientHeight || 64);
  const paint = canvas.getContext("2d"), samples = buffer.getChannelData(0), each = samples.length / width;
  let peak = 1e-6;
  for (const x of samples) peak = Math.max(peak, Math.abs(x));
  paint.fillStyle = getComputedStyle(canvas).getPropertyValue("--wave");
  for (let x = 0; x < width; x++) {
    let low = 0, high = 0;
    for (let i = Math.floor(x * each); i < (x + 1) * each; i++) { low = Math.min(low, samples[i]); high = Math.max(high, samples[i]); }
    const top = (1 - high / peak) * height / 2, bottom = (1 - low / peak) * height / 2;
    paint.fillRect(x, top, 1, Math.max(bottom - top, 1));
  }
}
