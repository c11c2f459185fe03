/** What a program's text that is given as an argument (`python -c`, `perl -e`, `awk`) starts, where it says so by a call with a text in it. */

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
  /\b(?:system|popen[234]?|exec[lv]?[pe]{0,2}|exec(?:File)?(?:Sync)?|spawn(?:Sync|[lv][pe]{0,2})?|Popen|run|call|check_call|check_output|getoutput|getstatusoutput|passthru|shell_exec|proc_open|pcntl_exec|posix_spawnp?|execute|create_subprocess_(?:exec|shell))[ ([{]{0,4}(["'`])/g
/** `qx(nmap)`, `qx/nmap/`, `%x{nmap}`. */
const QUOTED_COMMAND = /(?:\bqx|%x) ?([({[/|!])/g
const CLOSERS: ReadonlyMap<string, string> = new Map(Object.entries({ '(': ')', '{': '}', '[': ']' }))
/** From one text of a list to the next. */
const NEXT_WORD = /\s{0,8},?\s{0,8}\[?\s{0,8}(["'])/y
/** `"nmap" | getline`. */
const PIPED = /(["'])([^"']{1,1000})\1\s{0,4}\|&?\s{0,4}getline/g
/** Tcl's `spawn nmap x` and `exec nmap x`. */
const BARE = /(?:^|[;{[\n])\s{0,8}(?:spawn|exec) ([A-Za-z./~][^;\n}\]]{0,1000})/g
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
  for (const text of textsOf(code, dialect)) {
    if (text !== '') found.push(text)
    if (found.length >= MAX_CALLS) break
  }
  return found
}

function* textsOf(code: string, { hasBackticks, isBare }: CodeDialect): Generator<string> {
  for (const match of code.matchAll(CALL)) yield wordsAt(code, match.index + match[0].length - 1)
  for (const match of code.matchAll(QUOTED_COMMAND)) yield quotedAt(code, match.index + match[0].length, match[1])
  for (const [, , text = ''] of code.matchAll(PIPED)) yield text
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
