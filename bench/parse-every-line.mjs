/** What the correlator is measured against: split a file at newlines, `JSON.parse` every line, keep nothing. */

import { closeSync, openSync, readSync } from 'node:fs'

const READ_BYTES = 262_144
const NEWLINE = 0x0a

const file = openSync(process.argv[2] ?? '', 'r')
const buffer = Buffer.allocUnsafe(READ_BYTES)
let rest = Buffer.alloc(0)
let lines = 0
for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) {
  const bytes = rest.length === 0 ? buffer.subarray(0, read) : Buffer.concat([rest, buffer.subarray(0, read)])
  let start = 0
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    if (JSON.parse(bytes.utf8Slice(start, end)) !== null) lines += 1
    start = end + 1
  }
  rest = Buffer.from(bytes.subarray(start))
}
closeSync(file)
process.stdout.write(`${lines}\n`)
