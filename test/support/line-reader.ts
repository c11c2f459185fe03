/** Single lines through the scanner, as they stand in a chunk between others. */

import { EventScanner } from '../../src/correlator/event-scanner.js'
import { type DecodedEvent, decodeEvent } from '../../src/correlator/exec-event.js'

const BEFORE = Buffer.from('{"process_exec":{"process":{"exec_id":"x"}}}\n')
const BEHIND = Buffer.from('\n,"parent":{}}}')

/** Undefined: the scanner leaves the line to the full parser. The line holds no newline. */
export type LineReader = (line: Buffer) => DecodedEvent | undefined

/** Remembers what it has read. */
export function createLineReader(): LineReader {
  const scanner = new EventScanner()
  return line => {
    const found: (DecodedEvent | undefined)[] = []
    const chunk = Buffer.concat([BEFORE, line, BEHIND])
    scanner.scan(chunk, BEFORE.length, {
      takeEvent: event => found.push({ type: 'exec', event }),
      takeLine: (_chunk, start, end) => {
        if (start !== BEFORE.length || end !== start + line.length) throw new Error('it is another line')
        found.push(undefined)
      },
    })
    if (scanner.exits > 0) found.push({ type: 'other', name: 'process_exit' })
    if (scanner.lines !== 1 || found.length !== 1) throw new Error('it is not one line')
    return found[0]
  }
}

/** The same, with the full parser behind it. */
export function createEventDecoder(): (line: Buffer) => DecodedEvent {
  const read = createLineReader()
  return line => read(line) ?? decodeEvent(line)
}
