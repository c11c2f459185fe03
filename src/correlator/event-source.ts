/** The port through which events come in: the bytes of one or more sources, one after the other. */

/**
 * One step of reading.
 *
 * - `begin`: a source starts; its name is shown in messages (a path, or `standard input`).
 * - `bytes`: some of it, cut anywhere.
 * - `end`: it is complete, so that a last line without a newline is a line. A source that merely stops (at a signal)
 *   has no `end`: what is left of its last line will be read another time.
 * - `idle`: nothing new for the moment; a followed source sends it at each poll, so that time can be seen to pass.
 */
export type SourcePart =
  | { readonly type: 'begin'; readonly name: string }
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  | { readonly type: 'end' }
  | { readonly type: 'idle' }

export type EventSource = AsyncIterable<SourcePart>
