/** A program that a process runs, or is, and the steps that led there. */

import type { ShellInput } from './command-output.js'
import type { Word } from './command-words.js'
import type { WrapperKind } from './command-wrappers.js'

/** One step of unwrapping. */
export interface UnwrapStep {
  readonly kind: WrapperKind
  /** What stood in the wrapper's arguments; '' where the kind says it all. */
  readonly part: 'command' | 'script' | 'module' | 'code' | 'applet' | ''
  /** The wrapper's name, as written, without its directory. */
  readonly wrapper: string
}

/** A program that a process runs, or is. */
export interface Command {
  /** As written: a path, a name, a module, a package. */
  readonly program: string
  /** The names to look for, the likeliest first; the program's last name is the only one but for modules. */
  readonly names: readonly string[]
  readonly words: readonly Word[]
  /** The arguments as one text: of the process, or of a shell's command without its quotes. */
  readonly text: string
  /** What the words' offsets count in; undefined for the words of a shell, which are exact. */
  readonly source: string | undefined
  /** What it reads from standard input, where the text of a shell says so. */
  readonly input: ShellInput | undefined
  /** How it was found, from the process on; empty for the process itself. */
  readonly steps: readonly UnwrapStep[]
  /** Behind a quote that may have ended the shell's text: perhaps this is no command at all. */
  readonly isDoubtful: boolean
}
