/**
 * Writes an export to standard output: exec and exit lines half and half, and a few kprobe lines.
 *
 *     tsx bench/write-events.ts --megabytes 600 --pods 600 > tetragon.log
 *     tsx bench/write-events.ts --events 5000000 --pods 100000 | sallyport correlate --source - …
 */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { createEventTemplates } from './event-templates.js'

const EXECS = new URL('../test/fixtures/tetragon/exec-1k.jsonl.gz', import.meta.url)
const OTHERS = new URL('../test/fixtures/tetragon/real-other-types.jsonl', import.meta.url)
/** The few lines of 60 KB are one command line, which would be a tenth of all bytes. */
const MAX_LINE = 16_384
const RECORDED_PODS = 59
/** A process ends some lines after it started. */
const EXIT_AFTER = 5
const OTHER_EVERY = 200
const CHUNK = 262_144
const MEGABYTE = 1_000_000

const { values } = parseArgs({
  options: { megabytes: { type: 'string' }, events: { type: 'string' }, pods: { type: 'string' } },
})
const maxBytes = Number(values.megabytes ?? Number.POSITIVE_INFINITY) * MEGABYTE
/** Lines of any type. */
const maxLines = Number(values.events ?? Number.POSITIVE_INFINITY)
const variants = Math.max(1, Math.round(Number(values.pods ?? RECORDED_PODS) / RECORDED_PODS))

for (const chunk of chunks()) {
  if (!process.stdout.write(chunk)) await once(process.stdout, 'drain')
}

function* chunks(): Generator<Buffer> {
  let chunk = Buffer.allocUnsafeSlow(CHUNK + MAX_LINE * 2)
  let length = 0
  let bytes = 0
  let written = 0
  for (const line of lines()) {
    length += line.copy(chunk, length)
    bytes += line.length
    written += 1
    const isEnough = bytes >= maxBytes || written >= maxLines
    if (length >= CHUNK || isEnough) {
      yield chunk.subarray(0, length)
      // What was given away may not have been written yet.
      chunk = Buffer.allocUnsafeSlow(chunk.length)
      length = 0
    }
    if (isEnough) return
  }
}

function* lines(): Generator<Buffer> {
  const { pairs } = createEventTemplates(gunzipSync(readFileSync(EXECS)).toString('utf8'), MAX_LINE)
  const others = readFileSync(OTHERS, 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => Buffer.from(`${line}\n`))
  for (let copy = 0; ; copy += 1) {
    const round = { copy, variants }
    for (const [index, { exec }] of pairs.entries()) {
      yield exec(round)
      const exit = pairs[index - EXIT_AFTER]?.exit
      if (exit !== undefined) yield exit(round)
      if (index % OTHER_EVERY === 0) yield others[(copy + index / OTHER_EVERY) % others.length] ?? Buffer.alloc(0)
    }
  }
}
