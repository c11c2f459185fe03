/** Starts the scanner: the WebAssembly that src/scanner is compiled to. */

import { SCANNER_CODE } from './scanner-code.js'

/** What its `index.ts` exports. */
export interface Scanner {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly INPUT: NumberCell
  readonly INPUT_BYTES: NumberCell
  readonly RECORDS: NumberCell
  readonly lines: NumberCell
  readonly exits: NumberCell
  readonly records: NumberCell
  readonly isFull: NumberCell
  scan(start: number, length: number, maxLine: number): number
  nextGone(which: number, place: number): number
}

interface NumberCell {
  readonly value: number
}

/** As far as it is used; Node's types leave it out. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** A scanner with a memory of its own, which never grows: views of it stay good. */
export function startScanner(): Scanner {
  const module = new WebAssembly.Module(Buffer.from(SCANNER_CODE, 'base64'))
  return new WebAssembly.Instance(module).exports as Scanner
}
