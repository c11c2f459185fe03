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

const EXTENSION =
  /\.(?:sh|bash|py|pyc|pyz|pyw|pl|rb|php|phar|lua|js|mjs|ts|go|ps1|bat|cmd|exe|dll|elf|bin|jar|run|out|appimage|bak|old|orig)$/
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

export interface NameVariant {
  /** Lower case. */
  readonly name: string
  /** What was done to reach it, in order: `lower-case`, `extension .sh`, `version -7.94`, `architecture 64`, `marks`. */
  readonly steps: readonly string[]
}

export interface PlainName extends NameVariant {
  /** Invisible characters stood around the name: somebody may have wanted it to look like another one. */
  readonly isTrimmed: boolean
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
  const isTrimmed = trimmed !== name
  if (isTrimmed) steps.push('invisible characters')
  const lower = trimmed.toLowerCase()
  if (lower !== trimmed) steps.push('lower-case')
  if (lower === '' || lower.length > MAX_NAME_LENGTH) return undefined
  return { name: lower, steps, isTrimmed }
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
