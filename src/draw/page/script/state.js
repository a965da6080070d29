/** What a link restores: seed, model, step, window and language, after the # of the address. */

/** @type {Record<string, string>} */
const FIRST = {
  lang: "en", seed: "1", model: "mnist", temperature: "1", label: "", step: "", window: "",
  size: "12",
};

export class State {
  /** @param {Record<string, string>} first what is not in the address */
  constructor(first = FIRST) {
    this.timer = 0;
    this.first = first;
    this.values = { ...first };
    if ("lang" in first && navigator.language.startsWith("ko")) this.values.lang = "ko";
    this.read();
  }

  /** Take a view from the address. @returns {boolean} whether it holds one */
  read() {
    const found = [...new URLSearchParams(location.hash.slice(1))].filter(([name]) => name in this.first);
    if (!found.length) return false;
    clearTimeout(this.timer);
    const { lang } = this.values;
    this.values = { ...this.first, ...(lang ? { lang } : null), ...Object.fromEntries(found) };
    return true;
  }

  /** @param {string} name */
  get(name) {
    return this.values[name];
  }

  /**
   * A number of the address, or another where it is none or outside of its bounds.
   * @param {string} name
   * @param {number} least
   * @param {number} most
   * @param {number} otherwise
   */
  number(name, least, most, otherwise) {
    const text = this.values[name], value = Number(text);
    return text !== "" && value >= least && value <= most ? value : otherwise;
  }

  /**
   * The same for whole numbers.
   * @param {string} name
   * @param {number} least
   * @param {number} most
   * @param {number} otherwise
   */
  whole(name, least, most, otherwise) {
    const value = this.number(name, least, most, otherwise);
    return Number.isInteger(value) ? value : otherwise;
  }

  /** @param {Record<string, string | number>} values */
  set(values) {
    for (const [name, value] of Object.entries(values)) this.values[name] = String(value);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), 250);
  }

  write() {
    clearTimeout(this.timer);
    const kept = Object.entries(this.values).filter(([name, value]) => value !== this.first[name]);
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  }
}
