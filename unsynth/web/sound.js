// Sounds into the page and out of it: decoded by the browser, recorded, written as wav.
const RATE = 48000;

export const decode = (bytes, rate = RATE) => new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);

// A mono float32 wav (RIFF, format 3) of an AudioBuffer: the mean of its channels.
export function wav(buffer) {
  const samples = buffer.length, view = new DataView(new ArrayBuffer(44 + 4 * samples));
  const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 4 * samples, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 3, true); view.setUint16(22, 1, true);
  view.setUint32(24, buffer.sampleRate, true); view.setUint32(28, 4 * buffer.sampleRate, true);
  view.setUint16(32, 4, true); view.setUint16(34, 32, true);
  text(36, "data"); view.setUint32(40, 4 * samples, true);
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
  for (let i = 0; i < samples; i++) {
    const sum = channels.reduce((total, channel) => total + channel[i], 0);
    view.setFloat32(44 + 4 * i, sum / channels.length, true);
  }
  return new Blob([view], { type: "audio/wav" });
}

export class Recorder {
  #recorder;

  get recording() { return this.#recorder?.state === "recording"; }

  // Resolves with a wav when recording ends, after `seconds` at the latest.
  async record(seconds) {
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    const recorder = this.#recorder = new MediaRecorder(stream), parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    const ended = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start();
    const timer = setTimeout(() => this.stop(), 1000 * seconds);
    await ended;
    clearTimeout(timer);
    for (const track of stream.getTracks()) track.stop();
    return wav(await decode(await new Blob(parts).arrayBuffer()));
  }

  stop() { if (this.recording) this.#recorder.stop(); }
}
