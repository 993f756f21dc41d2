// The page: asks the server, shows what it says.
import { Cards, element, nameOf } from "./cards.js";
import { Knobs } from "./knobs.js";
import { Player } from "./player.js";
import { Recorder, decode, wav } from "./sound.js";

const DEFAULT_SECONDS = 10, HEARTBEAT = 60_000, PATIENCE = 80, STEP = 0.1;
const KINDS = { match: "Searching", refine: "Refining", vary: "Varying" };
const one = (id) => document.getElementById(id);
const player = new Player(showPlayer), recorder = new Recorder();
const cards = new Cards(one("cards"), { hear, pick, seek: (share) => player.seek(share) });
const knobs = new Knobs(one("heard"), one("modules"), (name, value) => turn(name, value));
const shown = new Map(); // slot: the id that its card shows
const specs = {};
let settings, url, state = { version: -1, candidates: [] }, following = false;
let picked = null, ranked = null, candidateHeard = "1", changes = {}, turning = false;

async function ask(path, options = {}) {
  const answer = await fetch(path, options).catch(() => { throw new Error("The server does not answer; is it still running?"); });
  if (answer.ok) return answer;
  throw new Error((await answer.json().catch(() => ({}))).error ?? `The server answered ${answer.status}.`);
}

const get = async (path) => (await ask(path)).json();
const post = async (path, body) => (await ask(path, { method: "POST", body: JSON.stringify(body ?? {}), headers: { "content-type": "application/json" } })).json();

function complain(error) {
  one("error").hidden = !error;
  one("error").textContent = error?.message ?? error ?? "";
}

const tried = (work) => async (...given) => {
  try { complain(""); return await work(...given); } catch (error) { complain(error); }
};

// Sounds in.

const send = tried(async (blob, name) => {
  url ??= `/api/sessions/${(await post("/api/sessions")).id}`;
  const put = (body) => ask(`${url}/sound?${new URLSearchParams({ name, synth: one("synth").value })}`, { method: "PUT", body });
  let answer;
  if (blob.size > settings.megabytes * 1e6) answer = await put(await smaller(blob, name));
  else answer = await put(blob).catch(async (error) => put(await smaller(blob, name, error)));
  picked = ranked = null;
  candidateHeard = "1";
  await show(await answer.json());
  await search("match");
});

// What the browser can decode but the server cannot; the server's own complaint where neither can.
async function smaller(blob, name, error) {
  const told = error ?? new Error(`${name} is larger than ${settings.megabytes} MB; send a shorter sound.`);
  const decoded = await decode(await blob.arrayBuffer()).catch(() => { throw told; });
  if (decoded.duration > settings.seconds || 4 * decoded.length > settings.megabytes * 1e6) throw told;
  return wav(decoded);
}

const record = tried(async () => {
  if (recorder.recording) return recorder.stop();
  const recording = recorder.record(settings.seconds).finally(() => showRecord(false));
  showRecord(true);
  await send(await recording.catch((error) => { throw new Error(`Nothing could be recorded (${error.message}).`); }), "recording.wav");
});

function showRecord(on) {
  one("record").setAttribute("aria-pressed", String(on));
  one("record").textContent = on ? "Stop recording" : "Record";
}

// Searches.

const search = tried(async (kind) => {
  const body = { kind, synth: one("synth").value, seconds: Number(one("seconds").value) };
  if (kind !== "match") Object.assign(body, { candidate: state.candidates.find((c) => c.label === picked).id, held: knobs.held });
  else picked = ranked = null;
  await show(await post(`${url}/search`, body));
  if (kind !== "match") picked = "1";
  follow();
});

// Asks for news until the search is over.
async function follow() {
  if (following) return;
  following = true;
  await tried(async () => {
    do await show(await get(`${url}?after=${state.version}`)); while (state.search.state !== "over");
  })();
  following = false;
}

// What the server says, on the page. An older answer that comes late is left out.
async function show(found) {
  if (found.version < state.version) return;
  state = found;
  if (found.error) complain(found.error);
  one("title").textContent = found.name || "Which patch makes this sound?";
  one("search").disabled = !found.target;
  one("transport").hidden = !found.target;
  showProgress(found.search);
  cards.show([{ slot: "target" }, ...found.candidates.map((c) => ({ slot: c.label, scores: c.scores }))]);
  const wanted = new Map([["target", found.target?.id], ...found.candidates.map((c) => [c.label, c.id])]);
  for (const slot of [...shown.keys()]) if (!wanted.has(slot)) { shown.delete(slot); player.remove(slot); }
  showMeaning(found.candidates[0]?.scores ?? []);
  const choices = () => showChoices([...wanted.keys()].filter((slot) => player.buffers.has(slot)));
  await Promise.all([...wanted].map(([slot, id]) => load(slot, id).then(choices)));
  if (!wanted.has(picked)) picked = null;
  if (!picked && found.candidates.length && found.search.state === "over") picked = "1";
  await showPanel();
  showPlayer();
}

async function load(slot, id) {
  if (!id || shown.get(slot) === id) return;
  shown.set(slot, id);
  try {
    const bytes = await (await ask(`${url}/sounds/${id}.wav`)).arrayBuffer();
    const buffer = await decode(bytes, 44100);
    if (shown.get(slot) !== id) return;
    cards.picture(slot, `${url}/pictures/${id}.png`);
    cards.wave(slot, buffer);
    player.put(slot, buffer);
  } catch (error) {
    if (shown.get(slot) === id) shown.delete(slot); // a better one took its place meanwhile
  }
}

function showProgress({ kind, share, state: at, position, seconds, renders, distance }) {
  one("progress").hidden = !kind;
  one("stop").hidden = at === "over";
  one("bar").hidden = at === "over";
  one("bar").value = share ?? 0;
  const told = renders ? `${seconds.toFixed(1)} s, ${renders.toLocaleString()} sounds tried, distance ${distance?.toPrecision(3) ?? "–"}` : "";
  const words = { waiting: `Waiting: number ${position} in the line.`, running: `${KINDS[kind]} … ${told}`, over: `Done: ${told || "nothing found"}.` };
  one("status").textContent = words[at];
}

function showMeaning(scores) {
  one("meaning").hidden = !scores.length;
  one("meanings").replaceChildren(...scores.flatMap(({ title, meaning }) => [element("dt", { textContent: title }), element("dd", { textContent: meaning })]));
}

// Listening.

function showChoices(slots) {
  const buttons = slots.map((slot) => element("button", { textContent: slot === "target" ? "Target" : slot === "1" ? "Best" : slot, ariaLabel: nameOf(slot), onclick: () => hear(slot, true) }));
  buttons.forEach((button, i) => { button.dataset.slot = slots[i]; });
  const same = [...one("choices").children].map((b) => b.dataset.slot).join() === slots.join();
  if (!same) one("choices").replaceChildren(...buttons);
}

function hear(slot, keep) {
  if (!keep && player.playing && slot === player.heard) return player.stop();
  player.choose(slot);
  if (slot !== "target") candidateHeard = slot;
  if (!player.playing) player.start();
}

function showPlayer() {
  const at = player.position(), length = player.length, root = document.documentElement;
  root.style.setProperty("--position", length ? at / length : 0);
  root.classList.toggle("playing", player.playing);
  one("seek").value = length ? at / length : 0;
  one("clock").textContent = `${at.toFixed(2)} / ${length.toFixed(2)} s`;
  one("play").textContent = player.playing ? "Stop" : "Play";
  one("loop").setAttribute("aria-pressed", String(player.loop));
  for (const button of one("choices").children) button.setAttribute("aria-pressed", String(button.dataset.slot === player.heard));
  cards.mark(player.heard, picked);
}

function frame() {
  if (player.playing) showPlayer();
  requestAnimationFrame(frame);
}

// The picked candidate.

function pick(slot) {
  picked = slot;
  player.choose(slot);
  candidateHeard = slot;
  showPanel();
  showPlayer();
}

const showPanel = tried(async () => {
  const found = state.candidates.find((c) => c.label === picked);
  one("panel").hidden = !found;
  if (!found) return;
  one("picked").textContent = nameOf(picked);
  specs[found.synth] ??= await get(`/api/synths/${found.synth}`);
  knobs.build(specs[found.synth]);
  if (!turning) knobs.show(found);
  if (ranked === found.id || state.search.state !== "over") return;
  const edited = picked === "Edited" && ranked;
  ranked = found.id;
  const { files } = await get(`${url}/files/${found.id}`);
  one("files").replaceChildren(...files.map((name) => element("a", { className: "button", download: name, href: `${url}/files/${found.id}/${name}`, textContent: `↓ ${name}` })));
  if (edited) return; // the order of the knobs stays while they are turned
  const { decibels } = await get(`${url}/knobs/${found.id}`);
  if (ranked === found.id) knobs.rank(decibels);
});

// Knobs turned while the server is at work are sent together when it is done.
const turn = tried(async (name, value) => {
  changes[name] = value;
  if (turning) return;
  turning = true;
  try {
    while (Object.keys(changes).length) {
      await new Promise((resolve) => setTimeout(resolve, PATIENCE));
      const body = { candidate: state.candidates.find((c) => c.label === picked).id, changes };
      changes = {};
      const answer = await post(`${url}/edits`, body);
      picked = candidateHeard = "Edited";
      await show(answer);
      player.choose("Edited");
      knobs.show(state.candidates.find((c) => c.label === "Edited"));
    }
  } finally { turning = false; changes = {}; }
});

// Everything together.

const KEYS = {
  " ": () => player.toggle(),
  x: () => hear(player.heard === "target" ? candidateHeard : "target", true),
  b: () => hear("Before", true),
  e: () => hear("Edited", true),
  p: () => player.heard !== "target" && pick(player.heard),
  l: () => player.setLoop(!player.loop),
  ArrowLeft: () => player.seek((player.position() - STEP) / player.length),
  ArrowRight: () => player.seek((player.position() + STEP) / player.length),
};

// What has the focus keeps the keys that it needs itself; a knob needs the arrows alone.
function needs(element, name) {
  const own = element.closest("input, select");
  return own && (own.tagName === "SELECT" || name.startsWith("Arrow") || (name === " " && own.type !== "range"));
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || needs(event.target, event.key)) return;
  if (event.key === " " && event.target.closest("button, a, summary")) return;
  const act = /^[0-9]$/.test(event.key) ? () => hear(event.key === "0" ? "target" : event.key, true) : KEYS[event.key];
  if (act && state.target) { event.preventDefault(); act(); }
}

function drop(event) {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (file) send(file, file.name);
}

function leave(event) {
  if (url && !event.persisted) navigator.sendBeacon(`${url}/close`);
}

const begin = tried(async () => {
  settings = await get("/api/settings");
  one("limits").textContent = `Up to ${settings.seconds} seconds and ${settings.megabytes} MB. Sounds stay on the machine that serves this page.`;
  one("synth").replaceChildren(...settings.synths.map(({ name, title, here }) => element("option", { value: name, disabled: !here, textContent: here ? title : `${title} (not installed)` })));
  one("seconds").replaceChildren(...settings.budgets.map((s) => element("option", { value: s, textContent: `${s} s`, selected: s === DEFAULT_SECONDS })));
});

one("file").onchange = (event) => { const [file] = event.target.files; if (file) send(file, file.name); event.target.value = ""; };
one("record").onclick = record;
one("search").onclick = () => search("match");
one("vary").onclick = () => search("vary");
one("refine").onclick = () => search("refine");
one("stop").onclick = tried(async () => show(await post(`${url}/stop`)));
one("play").onclick = () => player.toggle();
one("loop").onclick = () => player.setLoop(!player.loop);
one("seek").oninput = (event) => player.seek(Number(event.target.value));
document.onkeydown = key;
document.ondragover = (event) => { event.preventDefault(); document.body.classList.add("dropping"); };
document.ondragleave = (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); };
document.ondrop = drop;
window.addEventListener("pagehide", leave);
setInterval(() => url && get(url).catch(() => {}), HEARTBEAT);
requestAnimationFrame(frame);
begin();
