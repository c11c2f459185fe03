/** The recorded exports, line by line. */

import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

const FIXTURES = new URL('../fixtures/tetragon/', import.meta.url)

export const FILES = readdirSync(FIXTURES).filter(name => name.includes('.jsonl'))

/** @param name one of `FILES`. @returns what stands before each newline. */
export function linesOf(name: string): readonly Buffer[] {
  const bytes = readFileSync(new URL(name, FIXTURES))
  const lines: Buffer[] = []
  let rest = name.endsWith('.gz') ? gunzipSync(bytes) : bytes
  for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
    lines.push(rest.subarray(0, end))
    rest = rest.subarray(end + 1)
  }
  return lines
}
