/**
 * The names under which a program's file name may stand in the catalogue: `/tmp/./Nmap-7.94_x86_64.sh` is also `nmap`.
 *
 * An attacker picks these strings, so every step is bounded: one name is at most 255 characters, at most four suffixes
 * come off it, and no expression here repeats without a limit.
 */

/** Linux allows no longer file name, and no tool needs one: a longer name is none of ours. */
export const MAX_NAME_LENGTH = 255

/** How many suffixes may come off one name, e.g. `.bin`, `_linux_amd64` and `-1.9.1`. */
const MAX_STEPS = 4
const SHORTEST_NAME = 2

/** What the kernel appends to the path of a running file whose name is gone. */
const DELETED = ' (deleted)'
/** How the kernel shows the name that was given to memfd_create. */
const MEMFD = 'memfd:'
/** Blanks, control characters and other invisible ones, with which a file name can be made to look like another. */
const INVISIBLE_START = /^[\s\p{C}]+/u
const INVISIBLE_END = /[\s\p{C}]$/u

const EXTENSION = new RegExp(
  '\\.(?:sh|bash|zsh|ksh|fish|csh|awk|tcl|exp|py|pyc|pyo|pyz|pyw|egg|whl|zip|pl|rb|php|phar|lua|luac|js|mjs|cjs|ts|go|' +
    'ps1|psm1|bat|cmd|exe|dll|elf|bin|jar|war|class|run|out|ko|appimage|bak|old|orig|tmp|new|real)$',
)
/** What hides a name from `ls`, or makes it another one than it was: `.xmrig`, `nmap.`, `nmap~`. */
const MARKS = '._+~-'
const MARKS_BEFORE = /^[._+~-]{1,8}(?=[a-z0-9])/
/** Digits alone never come off (`python3`, `zgrab2`): a separator must stand before them. */
const VERSION = /[-_.]v?\d{1,9}(?:\.\d{1,9}){0,4}(?:[-_.]?(?:alpha|beta|rc|dev|p|r)\d{0,4})?$/
const PLATFORM_WORD =
  '(?:linux(?:64|32)?|lnx|unix|windows|win(?:64|32)?|darwin|unknown|musl|gnu|glibc|static|upx|' +
  'amd64|x86[_-]64|x86|x64|x32|i[3-6]86|386|64|32|64bit|32bit|' +
  'aarch64|arm64|armhf|arm(?:v[5-8][a-z]?)?|mips(?:64)?(?:le|el)?|ppc64(?:le)?|s390x|riscv64|loong64)'
/** `-x86_64`, `_linux_amd64`, `-x86_64-unknown-linux-musl`. */
const PLATFORM = new RegExp(`(?:[-_.]${PLATFORM_WORD}){1,5}$`)
/** `pspy64`, `ncx64`: the word size written onto the name itself. */
const WORD_SIZE = /(?<=[a-z])(?:x64|x86|64|32)$/

/** Each suffix, under the word that the evidence uses for it, in the order in which they are tried. */
const SUFFIXES: readonly (readonly [string, RegExp])[] = [
  ['extension', EXTENSION],
  ['architecture', PLATFORM],
  ['architecture', WORD_SIZE],
  ['version', VERSION],
]

/** Anything but the letters, digits and signs of a keyboard. */
const UNUSUAL = /[^ -~]/
/** What stands over, under or between letters, and is not seen; and bytes that were no text (the agent writes U+FFFD). */
const ACCENT_OR_INVISIBLE = /[\p{M}\p{C}\ufffd]/gu
/** Letters of other alphabets that look like Latin ones, and these; full-width and styled ones are normalised away. */
const LOOK_ALIKES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    a: '\u0430\u03b1\u0251\u0410\u0391',
    b: '\u0412\u0392\u044c',
    c: '\u0441\u0421\u03f2',
    d: '\u0501',
    e: '\u0435\u0415\u0395',
    g: '\u0261\u0581',
    h: '\u04bb\u041d\u0397\u0570',
    i: '\u0456\u0406\u03b9\u0399\u0131',
    j: '\u0458\u0408',
    k: '\u043a\u041a\u03ba\u039a',
    l: '\u04cf\u04c0',
    m: '\u041c\u043c\u039c',
    n: '\u039d\u0578',
    o: '\u043e\u041e\u03bf\u039f\u0585',
    p: '\u0440\u0420\u03c1\u03a1',
    q: '\u051b',
    s: '\u0455\u0405',
    t: '\u0422\u0442\u03a4',
    u: '\u03c5\u057d',
    v: '\u0475\u03bd',
    w: '\u051d\u051c',
    x: '\u0445\u0425\u03c7\u03a7',
    y: '\u0443\u0423\u03a5',
    z: '\u0396',
  }).flatMap(([latin, foreign]) => Array.from(foreign, letter => [letter, latin] as const)),
)

export interface NameVariant {
  /** Lower case. */
  readonly name: string
  /** What was done to reach it, in order: `lower-case`, `extension .sh`, `version -7.94`, `architecture 64`, `marks`. */
  readonly steps: readonly string[]
}

export interface PlainName extends NameVariant {
  /** Invisible characters or foreign letters: somebody may have wanted it to look like another name. */
  readonly isDisguised: boolean
}

/**
 * The last name of a path as Tetragon gives it: as handed to execve, never cleaned (`/tmp/./nmap`, `//bin/../x/nmap`).
 * A trailing `/`, `/.` or `/name/..` names a directory of the path. Empty when nothing is left.
 */
export function basename(path: string): string {
  let end = path.length
  let parents = 0
  while (end > 0) {
    const start = path.lastIndexOf('/', end - 1) + 1
    const part = path.slice(start, end)
    if (part === '..') parents += 1
    else if (part !== '' && part !== '.') {
      if (parents === 0) return part
      parents -= 1
    }
    end = start - 1
  }
  return ''
}

/** The name in lower case, without what the kernel or a disguise puts around it; undefined when no name is left. */
export function plainName(written: string): PlainName | undefined {
  if (written.length > MAX_NAME_LENGTH + MEMFD.length + DELETED.length) return undefined
  const steps: string[] = []
  let name = written
  if (name.endsWith(DELETED)) {
    name = name.slice(0, -DELETED.length)
    steps.push('deleted')
  }
  if (name.startsWith(MEMFD)) {
    name = name.slice(MEMFD.length)
    steps.push('memfd')
  }
  const trimmed = withoutInvisible(name)
  if (trimmed !== name) steps.push('invisible characters')
  const latin = UNUSUAL.test(trimmed) ? asSeen(trimmed) : trimmed
  if (latin !== trimmed) steps.push('look-alike letters')
  const lower = latin.toLowerCase()
  if (lower !== latin) steps.push('lower-case')
  if (lower === '' || lower.length > MAX_NAME_LENGTH) return undefined
  return { name: lower, steps, isDisguised: latin !== name }
}

/** The name itself first, then what is left when suffixes come off: the fewest first, no name twice. */
export function nameVariants(plain: NameVariant): readonly NameVariant[] {
  const variants: NameVariant[] = [{ name: plain.name, steps: plain.steps }]
  const seen = new Set([plain.name])
  let level: readonly NameVariant[] = variants.slice()
  for (let step = 0; step < MAX_STEPS && level.length > 0; step += 1) {
    level = level.flatMap(withoutOneSuffix).filter(variant => !seen.has(variant.name))
    for (const variant of level) {
      if (seen.has(variant.name)) continue
      seen.add(variant.name)
      variants.push(variant)
    }
  }
  return variants
}

function withoutOneSuffix(variant: NameVariant): readonly NameVariant[] {
  const shorter: NameVariant[] = []
  for (const [word, expression] of SUFFIXES) {
    const at = variant.name.search(expression)
    if (at < SHORTEST_NAME) continue
    const suffix = variant.name.slice(at)
    shorter.push({ name: variant.name.slice(0, at), steps: [...variant.steps, `${word} ${suffix}`] })
  }
  const bare = withoutMarks(variant.name)
  if (bare !== variant.name && bare.length >= SHORTEST_NAME) {
    shorter.push({ name: bare, steps: [...variant.steps, 'marks'] })
  }
  return shorter
}

/** Without the marks in front and behind; a name of nothing else stays. */
function withoutMarks(name: string): string {
  const from = name.replace(MARKS_BEFORE, '')
  let end = from.length
  while (end > 0 && MARKS.includes(from[end - 1] ?? '')) end -= 1
  return end === 0 ? name : from.slice(0, end)
}

/** The end is walked back by hand: an expression that is anchored at the end alone would be quadratic here. */
function withoutInvisible(name: string): string {
  const from = name.replace(INVISIBLE_START, '')
  let end = from.length
  while (end > 0 && INVISIBLE_END.test(from.slice(Math.max(0, end - 2), end))) end -= 1
  return from.slice(0, end)
}

/** The name as somebody reads it who knows Latin letters only: no tool has a name of others. */
function asSeen(name: string): string {
  const plain = name.normalize('NFKD').replace(ACCENT_OR_INVISIBLE, '')
  return Array.from(plain, letter => LOOK_ALIKES.get(letter) ?? letter).join('')
}
