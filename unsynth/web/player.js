// Plays one of several sounds; switching keeps the position, so that they can be compared.
const FADE = 0.006, LEAD = 0.02, PEAK = 0.9;

export class Player {
  #context; #gain; #source; #offset = 0; #began = 0;
  buffers = new Map();
  playing = false;
  loop = true;
  heard = "target";

  constructor(changed) { this.changed = changed; }

  get length() { return this.buffers.get(this.heard)?.duration ?? 0; }

  position() {
    if (!this.playing) return this.#offset;
    const at = Math.max(this.#context.currentTime - this.#began, 0);
    return this.loop ? at % this.length : Math.min(at, this.length);
  }

  put(slot, buffer) {
    this.buffers.set(slot, buffer);
    if (this.playing && slot === this.heard) this.#swap();
    this.#level();
    this.changed();
  }

  remove(slot) {
    this.buffers.delete(slot);
    if (slot === this.heard) this.choose("target");
  }

  choose(slot) {
    if (!this.buffers.has(slot)) return;
    this.heard = slot;
    if (this.playing) this.#swap();
    this.changed();
  }

  async start() {
    if (!this.length) return;
    if (!this.#context) {
      this.#context = new AudioContext();
      this.#gain = new GainNode(this.#context);
      this.#gain.connect(this.#context.destination);
    }
    await this.#context.resume();
    if (this.#offset >= this.length - LEAD) this.#offset = 0;
    this.#level();
    this.playing = true;
    this.#begin(this.#offset);
    this.changed();
  }

  stop() {
    this.#offset = this.position();
    this.#end();
    this.playing = false;
    this.changed();
  }

  toggle() { return this.playing ? this.stop() : this.start(); }

  seek(share) {
    this.#offset = Math.min(Math.max(share, 0), 1) * this.length;
    if (this.playing) { this.#end(); this.#begin(this.#offset); }
    this.changed();
  }

  setLoop(loop) {
    const at = this.position();
    this.loop = loop;
    if (this.playing) { this.#end(); this.#begin(at); }
    this.changed();
  }

  #swap() {
    const at = this.position();
    this.#end();
    this.#begin(Math.min(at, this.length));
  }

  #begin(offset) {
    const at = this.#context.currentTime;
    const fade = new GainNode(this.#context, { gain: 0 });
    const source = new AudioBufferSourceNode(this.#context, { buffer: this.buffers.get(this.heard), loop: this.loop });
    source.connect(fade).connect(this.#gain);
    fade.gain.setTargetAtTime(1, at, FADE);
    source.start(at, offset);
    source.onended = () => { if (source === this.#source?.source) { this.stop(); this.#offset = 0; this.changed(); } };
    this.#source = { source, fade };
    this.#began = at - offset;
  }

  #end() {
    if (!this.#source) return;
    const { source, fade } = this.#source, at = this.#context.currentTime;
    this.#source = null;
    fade.gain.setTargetAtTime(0, at, FADE);
    source.stop(at + 8 * FADE);
  }

  #level() {
    if (!this.#context) return;
    const peak = Math.max(...[...this.buffers.values()].map((buffer) => peakOf(buffer)), 1e-6);
    this.#gain.gain.setTargetAtTime(PEAK / peak, this.#context.currentTime, FADE);
  }
}

const peaks = new WeakMap();

function peakOf(buffer) {
  if (!peaks.has(buffer)) peaks.set(buffer, buffer.getChannelData(0).reduce((most, x) => Math.max(most, Math.abs(x)), 0));
  return peaks.get(buffer);
}
