/** Lists of numbers and texts without an object apiece: they cross threads uncopied, and no collector visits them. */

const FIRST_SIZE = 256

/** 32-bit numbers, as many as come; ends as one flat array. */
export class NumbersBuilder {
  /** Longer than what it holds: the rest is zeros. */
  values = new Uint32Array(FIRST_SIZE)
  length = 0

  /** Appends zeros. @returns where they begin. */
  extend(count: number): number {
    const start = this.length
    this.length += count
    if (this.length > this.values.length) {
      const larger = new Uint32Array(Math.max(this.length, 2 * this.values.length))
      larger.set(this.values)
      this.values = larger
    }
    return start
  }

  build(): Uint32Array<ArrayBuffer> {
    return this.values.slice(0, this.length)
  }
}

/** Texts by number; number 0 is none. */
export interface FlatTexts {
  /** UTF-16 code units, one text behind the other. */
  readonly units: Uint16Array<ArrayBuffer>
  /** Where each ends. */
  readonly ends: Uint32Array<ArrayBuffer>
}

export class TextsBuilder implements FlatTexts {
  units = new Uint16Array(FIRST_SIZE)
  readonly #ends = new NumbersBuilder()
  readonly #known = new Map<string, number>()
  #length = 0

  constructor() {
    this.#ends.extend(1)
  }

  get ends(): Uint32Array<ArrayBuffer> {
    return this.#ends.values
  }

  /** @returns its number. */
  add(text: string): number {
    const start = this.#length
    this.#length += text.length
    if (this.#length > this.units.length) {
      const larger = new Uint16Array(Math.max(this.#length, 2 * this.units.length))
      larger.set(this.units)
      this.units = larger
    }
    for (let index = 0; index < text.length; index += 1) this.units[start + index] = text.charCodeAt(index)
    const number = this.#ends.extend(1)
    this.#ends.values[number] = this.#length
    return number
  }

  /** For what is said many times: the same text gets the same number. */
  addOnce(text: string | undefined): number {
    if (text === undefined) return 0
    const known = this.#known.get(text) ?? this.add(text)
    this.#known.set(text, known)
    return known
  }

  build(): FlatTexts {
    return { units: this.units.slice(0, this.#length), ends: this.#ends.build() }
  }
}

export function textAt({ units, ends }: FlatTexts, number: number): string {
  return Reflect.apply(String.fromCharCode, undefined, units.subarray(ends[number - 1] ?? 0, ends[number] ?? 0))
}

export function isTextAt({ units, ends }: FlatTexts, number: number, text: string): boolean {
  const start = ends[number - 1] ?? 0
  if ((ends[number] ?? 0) - start !== text.length) return false
  for (let index = 0; index < text.length; index += 1) {
    if (units[start + index] !== text.charCodeAt(index)) return false
  }
  return true
}

/** How long a text is, without making it. */
export function lengthAt({ ends }: FlatTexts, number: number): number {
  return (ends[number] ?? 0) - (ends[number - 1] ?? 0)
}
