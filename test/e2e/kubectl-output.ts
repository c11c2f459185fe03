/** What kubectl prints of a webhook's answers, taken apart. */

import { WEBHOOK_NAME } from './webhook-process.js'

/** The API server's words before a denial's own. */
export const DENIED = `admission webhook "${WEBHOOK_NAME}" denied the request: `
const FORBIDDEN = /^Error from server \(Forbidden\): (?:error when creating "STDIN": )?/m

/** The messages of all denials that kubectl printed. */
export function denialsIn(stderr: string): readonly string[] {
  const errors = stderr.split(FORBIDDEN).filter(part => part.trim() !== '')
  return errors.map(error => (error.startsWith(DENIED) ? error.slice(DENIED.length).trimEnd() : `no denial: ${error}`))
}

/** The texts of all warnings; whatever else was printed shows up as such. */
export function warningsIn(stderr: string): readonly string[] {
  const lines = stderr.split('\n').filter(line => line !== '')
  return lines.map(line => (line.startsWith('Warning: ') ? line.slice('Warning: '.length) : `no warning: ${line}`))
}
