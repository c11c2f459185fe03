/**
 * The port through which events come in: the bytes of one or more sources, one after the other, and with them how far
 * the source was read, so that a restart can go on from there.
 */

/**
 * How far a source was read, as its adapter wrote it: to be kept as JSON and handed back, and understood by nobody
 * else.
 *
 * A position stands for everything that came before it: the part that carries it and all earlier parts. Keep it in the
 * same transaction as what was made of those parts, and never ahead of it; then a process that is killed repeats
 * nothing and loses nothing.
 */
export type SourcePosition = Readonly<Record<string, unknown>>

/** Events of a source that were, or may have been, written and can no longer be read. */
export interface SourceGap {
  /**
   * - `rotated-away`: a file was deleted before it was read to its end, or before it was seen at all.
   * - `truncated`: a file was emptied, and no copy of what it held was found beside it.
   * - `backup-unreadable`: a rotated file is damaged or may not be read.
   * - `backups-passed-over`: there were more unread rotated files than are looked at.
   * - `file-damaged`: a finished file was read up to where its gzip data is damaged.
   * - `disconnected`: a stream broke off; it cannot be asked for what it sent meanwhile.
   */
  readonly code:
    | 'rotated-away'
    | 'truncated'
    | 'backup-unreadable'
    | 'backups-passed-over'
    | 'file-damaged'
    | 'disconnected'
  /** What it is about: a path or an address. */
  readonly source: string
  /** When the source was last known to be read without a gap, in milliseconds since the epoch; undefined: not known. */
  readonly from: number | undefined
  /** When it was read again, in milliseconds since the epoch. */
  readonly to: number
  /** Half a sentence more, safe to print. */
  readonly detail?: string
}

/**
 * One step of reading.
 *
 * - `begin`: a source starts; its name is shown in messages (a path, or `standard input`).
 * - `bytes`: some of it, cut anywhere; the memory may be filled anew for the next step.
 * - `end`: it is complete, so that a last line without a newline is a line. A source that merely stops (at a signal)
 *   has no `end`: what is left of its last line will be read another time.
 * - `idle`: nothing new for the moment; a followed source sends it at each poll, so that time can be seen to pass.
 * - `gap`: something before what comes next is missing.
 *
 * `position` tells how far *complete lines* have been read after this part; without it nothing has moved, or the source
 * cannot be taken up again (standard input, a live stream).
 */
export type SourcePart = (
  | { readonly type: 'begin'; readonly name: string }
  | { readonly type: 'bytes'; readonly bytes: Buffer }
  | { readonly type: 'end' }
  | { readonly type: 'idle' }
  | { readonly type: 'gap'; readonly gap: SourceGap }
) & { readonly position?: SourcePosition }

export type EventSource = AsyncIterable<SourcePart>
