/** What a program's text that is given as an argument (`python -c`, `perl -e`, `awk`) starts, where it says so by a call with a text in it. */

import { textOfBase64 } from './command-output.js'

/** Calls of one text that are looked at. */
const MAX_CALLS = 32
/** Words of one call: `run(['nmap', '-sS', …])`. */
const MAX_WORDS = 32
const MAX_TEXT = 4_096

/**
 * The functions of the usual languages that start a program: `os.system(`, `Popen([`, `execvp(`, `exec {`,
 * `child_process.execSync(`, `passthru(`, `os.execute(`, and the words in front of a text, as in Perl and Tcl.
 */
const CALL =
  /\b(?:system|popen[234]?|exec[lv]?[pe]{0,2}|exec(?:File)?(?:Sync)?|spawn(?:Sync|[lv][pe]{0,2})?|Popen|run|call|check_call|check_output|getoutput|getstatusoutput|passthru|shell_exec|proc_open|pcntl_exec|posix_spawnp?|execute|create_subprocess_(?:exec|shell)|capture[23]e?|cmd|Command|shell-command|do shell script)[ ([{]{0,4}(?:[A-Za-z_.]{1,32}, ?)?(["'`])/g
/** `qx(nmap)`, `qx/nmap/`, `%x{nmap}`. */
const QUOTED_COMMAND = /(?:\bqx|%x) ?([({[/|!])/g
const CLOSERS: ReadonlyMap<string, string> = new Map(Object.entries({ '(': ')', '{': '}', '[': ']' }))
/** From one text of a list to the next. */
const NEXT_WORD = /\s{0,8},?\s{0,8}\[?\s{0,8}(["'])/y
/** `"nmap" | getline`. */
const PIPED = /(["'])([^"']{1,1000})\1\s{0,4}\|&?\s{0,4}getline/g
/** Perl's `open(F, "nmap x|")` and `open my $f, "-|", "nmap", "x"`. */
const OPENED = /\bopen\b[^;"']{0,64}(["'])([^"'|]{1,1000})\|\s{0,4}\1/g
const OPENED_LIST = /["'](?:-\||\|-)["'], ?(["'])/g
/** `exec(base64.b64decode("…"))`, and the like of other languages. */
const ENCODED =
  /(?:b64decode|base64_decode|decode_base64|decode64|atob|Buffer\.from)[( ]{1,2}b?(["'])([A-Za-z0-9+/=]{8,16384})\1/g
/** Without any of these, what is decoded is not run. */
const RUNS = /exec|eval|system|open|spawn|run|call/
/** Tcl's `spawn nmap x` and `exec nmap x`. */
const BARE = /(?:^|[;{[\n])\s{0,8}(?:spawn|exec) (?:-[a-z]{1,16} ){0,3}([A-Za-z./~][^;\n}\]]{0,1000})/g
const BACKTICKS = /`([^`]{1,1000})`/g

export interface CodeDialect {
  /** What stands between backticks is run. */
  readonly hasBackticks: boolean
  /** A word behind `spawn` or `exec` needs no quotes. */
  readonly isBare: boolean
}

/** The texts for a shell, or the words of a command, that the code starts; time in proportion to the code. */
export function commandsOfCode(code: string, dialect: CodeDialect): readonly string[] {
  const found: string[] = []
  const decoded = [...code.matchAll(ENCODED)].slice(0, MAX_CALLS).map(([, , text = '']) => textOfBase64(text) ?? '')
  for (const text of textsOfAll([code, ...decoded], dialect)) {
    if (text !== '') found.push(text)
    if (found.length >= MAX_CALLS) break
  }
  return found
}

/** What is decoded may be code, or a text for a shell. */
function* textsOfAll([code = '', ...decoded]: readonly string[], dialect: CodeDialect): Generator<string> {
  yield* textsOf(code, dialect)
  const isRun = RUNS.test(code)
  for (const text of decoded) {
    if (isRun) yield text
    yield* textsOf(text, dialect)
  }
}

function* textsOf(code: string, { hasBackticks, isBare }: CodeDialect): Generator<string> {
  for (const match of code.matchAll(CALL)) yield wordsAt(code, match.index + match[0].length - 1)
  for (const match of code.matchAll(QUOTED_COMMAND)) yield quotedAt(code, match.index + match[0].length, match[1])
  for (const [, , text = ''] of code.matchAll(PIPED)) yield text
  for (const [, , text = ''] of code.matchAll(OPENED)) yield text
  for (const match of code.matchAll(OPENED_LIST)) yield wordsAt(code, match.index + match[0].length - 1)
  if (hasBackticks) for (const [, text = ''] of code.matchAll(BACKTICKS)) yield text
  if (isBare) for (const [, text = ''] of code.matchAll(BARE)) yield text
}

/** A text, and those that follow it in the same list. @param start of its quote. */
function wordsAt(code: string, start: number): string {
  const words: string[] = []
  let at = start
  while (words.length < MAX_WORDS) {
    const { text, end } = readString(code, at)
    words.push(text)
    NEXT_WORD.lastIndex = end
    const next = NEXT_WORD.exec(code)
    if (next === null || !next[0].includes(',')) break
    at = end + next[0].length - 1
  }
  return words.join(' ')
}

function readString(code: string, start: number): { text: string; end: number } {
  const quote = code[start] ?? ''
  let text = ''
  let at = start + 1
  while (at < code.length && code[at] !== quote && text.length < MAX_TEXT) {
    if (code[at] === '\\') at += 1
    text += code[at] ?? ''
    at += 1
  }
  return { text, end: at + 1 }
}

function quotedAt(code: string, start: number, opener = ''): string {
  const end = code.indexOf(CLOSERS.get(opener) ?? opener, start)
  return code.slice(start, end === -1 ? start + MAX_TEXT : Math.min(end, start + MAX_TEXT))
}
