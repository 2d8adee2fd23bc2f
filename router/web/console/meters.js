// How loud either side is. The picture follows each frame of the screen, the text alternative four times a second.

const FLOOR_DB = -54;
const DECAY = 0.85;
const SAY_MS = 250;

export class Meters {
  #meters;
  #saidAt = 0;
  #frame;

  /** Each meter is `{element, level}`: the element with `role=meter`, and what returns 0 to 1 of full scale. */
  constructor(meters) {
    this.#meters = meters.map((meter) => ({ ...meter, bar: meter.element.querySelector("span"), shown: 0 }));
  }

  /** Follow the levels while `isActive`. */
  follow(isActive) {
    if (isActive && this.#frame === undefined) this.#frame = requestAnimationFrame((now) => this.#draw(now));
    this.isActive = isActive;
  }

  #draw(now) {
    for (const meter of this.#meters) {
      const percent = toPercent(meter.level());
      meter.shown = Math.max(percent, meter.shown * DECAY);
      meter.bar.style.transform = `scaleX(${meter.shown / 100})`;
    }
    if (now - this.#saidAt > SAY_MS) {
      this.#saidAt = now;
      this.#meters.forEach(say);
    }
    const isStill = this.#meters.every((meter) => meter.shown < 0.5);
    this.#frame = this.isActive || !isStill ? requestAnimationFrame((now) => this.#draw(now)) : this.#rest();
  }

  #rest() {
    for (const meter of this.#meters) {
      meter.shown = 0;
      meter.bar.style.transform = "scaleX(0)";
      say(meter);
    }
    return undefined;
  }
}

function say({ element, shown }) {
  const percent = Math.round(shown);
  element.setAttribute("aria-valuenow", percent);
  element.setAttribute("aria-valuetext", percent < 8 ? "silent" : percent < 45 ? "quiet" : percent < 85 ? "clear" : "loud");
}

function toPercent(level) {
  if (level <= 0) return 0;
  return Math.max(0, Math.min(100, 100 * (1 - (20 * Math.log10(level)) / FLOOR_DB)));
}
