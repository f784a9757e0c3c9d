// Sounds, all made by code.

const KEY = "arena muted";
const NOTES = [523.25, 587.33, 659.25, 783.99, 880];

export class Sound {
  constructor(button) {
    this.button = button;
    this.muted = localStorage.getItem(KEY) === "yes";
    this.audio = null;
    this.streak = 0;
    this.show();
  }

  /** Browsers allow sound only after the first key or touch. */
  start() {
    if (this.audio !== null || this.muted) return;
    this.audio = new AudioContext();
    this.out = this.audio.createGain();
    this.out.gain.value = 0.5;
    this.out.connect(this.audio.destination);
    this.wind = this.makeWind();
  }

  toggle() {
    this.muted = !this.muted;
    localStorage.setItem(KEY, this.muted ? "yes" : "no");
    if (this.audio !== null) this.out.gain.value = this.muted ? 0 : 0.5;
    this.start();
    this.show();
  }

  show() {
    this.button.ariaPressed = String(!this.muted);
  }

  tone(frequency, { at = 0, length = 0.15, volume = 0.2, type = "sine", to = frequency } = {}) {
    if (this.audio === null || this.muted) return;
    const start = this.audio.currentTime + at;
    const oscillator = this.audio.createOscillator();
    const gain = this.audio.createGain();
    oscillator.type = type;
    oscillator.frequency.setValueAtTime(frequency, start);
    oscillator.frequency.exponentialRampToValueAtTime(to, start + length);
    gain.gain.setValueAtTime(0.0001, start);
    gain.gain.exponentialRampToValueAtTime(volume, start + 0.012);
    gain.gain.exponentialRampToValueAtTime(0.0001, start + length);
    oscillator.connect(gain).connect(this.out);
    oscillator.start(start);
    oscillator.stop(start + length + 0.02);
  }

  noise(length, frequency, volume) {
    if (this.audio === null || this.muted) return;
    const source = this.audio.createBufferSource();
    source.buffer = this.noiseBuffer();
    const filter = this.audio.createBiquadFilter();
    filter.type = "bandpass";
    filter.frequency.value = frequency;
    const gain = this.audio.createGain();
    const now = this.audio.currentTime;
    gain.gain.setValueAtTime(volume, now);
    gain.gain.exponentialRampToValueAtTime(0.0001, now + length);
    source.connect(filter).connect(gain).connect(this.out);
    source.start();
    source.stop(now + length);
  }

  noiseBuffer() {
    if (this.buffer === undefined) {
      const rate = this.audio.sampleRate;
      this.buffer = this.audio.createBuffer(1, rate * 2, rate);
      const data = this.buffer.getChannelData(0);
      for (let index = 0; index < data.length; index++) data[index] = Math.random() * 2 - 1;
    }
    return this.buffer;
  }

  makeWind() {
    const source = this.audio.createBufferSource();
    source.buffer = this.noiseBuffer();
    source.loop = true;
    const filter = this.audio.createBiquadFilter();
    filter.type = "lowpass";
    filter.frequency.value = 420;
    const gain = this.audio.createGain();
    gain.gain.value = 0;
    source.connect(filter).connect(gain).connect(this.out);
    source.start();
    return gain.gain;
  }

  /** Let the wind blow: from 0, calm, to 1, in the storm. */
  blow(strength) {
    if (this.audio === null) return;
    this.wind.setTargetAtTime(0.5 * strength, this.audio.currentTime, 0.4);
  }

  took() {
    const note = NOTES[this.streak++ % NOTES.length];
    this.tone(note * 2, { length: 0.12, volume: 0.12, type: "triangle" });
    this.tone(note * 3, { at: 0.05, length: 0.14, volume: 0.07 });
  }

  brought(amount) {
    this.streak = 0;
    NOTES.slice(0, Math.min(5, 2 + Math.floor(amount / 3))).forEach((note, index) =>
      this.tone(note, { at: index * 0.08, length: 0.3, volume: 0.16, type: "triangle" }));
  }

  dash() {
    this.noise(0.22, 1400, 0.25);
  }

  hit() {
    this.tone(170, { to: 60, length: 0.2, volume: 0.4, type: "square" });
    this.noise(0.12, 900, 0.4);
  }

  lost() {
    this.tone(330, { to: 160, length: 0.3, volume: 0.15, type: "sawtooth" });
  }

  said() {
    this.tone(740, { length: 0.06, volume: 0.05 });
  }

  roundBegins() {
    [392, 523, 659].forEach((note, index) =>
      this.tone(note, { at: index * 0.13, length: 0.35, volume: 0.14, type: "sawtooth" }));
  }

  roundEnds(won) {
    const notes = won ? [523, 659, 784, 1047, 784, 1047] : [523, 466, 392];
    notes.forEach((note, index) =>
      this.tone(note, { at: index * 0.15, length: 0.45, volume: 0.16, type: "triangle" }));
  }
}
