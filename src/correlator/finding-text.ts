/** What a finding keeps of foreign text: the parts that it shows, each cut to a bound. */

import { cutRunes } from '../policy/index.js'
import type { EventPod, ExecEvent } from './exec-event.js'

/** Bounds for what is kept of foreign text, in characters: a command line may have 300,000. */
export const MAX_PROCESS = 1024
export const MAX_NAME = 512
export const MAX_IMAGE = 4096

/** The path's last part, as Splunk's `process_name` has it. */
export function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Binary and arguments in one string. */
export function commandLineOf(event: Pick<ExecEvent, 'binary' | 'arguments'>): string {
  return event.arguments === undefined ? event.binary : `${event.binary} ${event.arguments}`
}

/** A command line, cut to what a finding keeps of it. */
export function sampleOf(event: ExecEvent): string {
  // Cut before joining: the arguments may be megabytes.
  const shortened = { binary: event.binary.slice(0, MAX_PROCESS), arguments: event.arguments?.slice(0, MAX_PROCESS) }
  return cutRunes(commandLineOf(shortened), MAX_PROCESS)
}

/** A pod's name, cut to what a finding keeps of it. */
export function podSampleOf({ name }: EventPod): string {
  return cutRunes(name, MAX_NAME)
}

/** Cut to so many code points, when it is there. */
export function cut(text: string | undefined, maxRunes: number): string | undefined {
  return text === undefined ? undefined : cutRunes(text, maxRunes)
}
