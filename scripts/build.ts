/**
 * Puts the program together: `dist/cli.js`, a file for each subcommand and for what several share, and the files that
 * threads start with. To load a few files takes far less time than to load some hundred and fifty.
 *
 *   npm run build                    or: npx tsx scripts/build.ts FOLDER
 *
 * Names and lines stay as they are written, so that a stack can be read; nothing is made shorter. Packages stay where
 * they are installed, but for those that every command needs; their licences go into dist/LICENSES.txt. The
 * catalogue of tools and the rules beside it are checked here, and at a start only if they are not the same any more.
 *
 * A program that runs from the folder goes on: the files are made beside it and take their places one by one, each in one
 * step, what is imported before whoever imports it. What the builds before left may still be wanted, and goes a day later.
 */

import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { build, type Metafile } from 'esbuild'
import { digestRules } from '../src/adapters/tool-catalogue-file.js'

/** Directly below the package's root. */
const OUT = process.argv[2] ?? 'dist'
/** At the same depth, for the places that source maps name. */
const NEW = `${OUT}-new-${process.pid}`
const STALE_MS = 24 * 3_600_000
/** What a process or a thread starts with; own-files.ts names the threads' files. */
const ENTRIES = ['src/cli.ts', 'src/adapters/policy-worker.ts', 'src/adapters/journal-worker.ts']
/** Packages without dependencies that every command needs at its start. */
const JOINED = new Set(['commander', 'picocolors', 'picomatch', 'yaml', 'zod'])
/** CommonJS packages ask for Node's modules in their own way. */
const BANNER =
  "import { createRequire as createRequireOfNode } from 'node:module'; const require = createRequireOfNode(import.meta.url);"

const { dependencies } = JSON.parse(await readFile('package.json', 'utf8'))
const { metafile } = await build({
  entryPoints: ENTRIES,
  outbase: 'src',
  outdir: NEW,
  bundle: true,
  splitting: true,
  chunkNames: '[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  define: { CHECKED_RULES: JSON.stringify(await digestRules()) },
  external: Object.keys(dependencies).filter(name => !JOINED.has(name)),
  banner: { js: BANNER },
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
})
checkPlaces(metafile)
await writeFile(join(NEW, 'LICENSES.txt'), await licencesOf(metafile))
await chmod(join(NEW, 'cli.js'), 0o755)
await takePlaces(await filesIn(NEW))
await rm(NEW, { recursive: true })
await removeStale()

/** Chunks have the digest of what they hold in their names, so that none takes the place of another. */
async function takePlaces(paths: readonly string[]): Promise<void> {
  const entries = new Set(ENTRIES.map(path => relative('src', path).replace(/\.ts$/, '.js')))
  const inOrder = [...paths.filter(path => !entries.has(path)), ...paths.filter(path => entries.has(path))]
  for (const path of inOrder) {
    await mkdir(dirname(join(OUT, path)), { recursive: true })
    await rename(join(NEW, path), join(OUT, path))
  }
}

/** What no build has made for a day. */
async function removeStale(): Promise<void> {
  for (const path of await filesIn(OUT)) {
    const { mtimeMs } = await stat(join(OUT, path))
    if (Date.now() - mtimeMs > STALE_MS) await rm(join(OUT, path), { force: true })
  }
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).map(entry => relative(folder, join(entry.parentPath, entry.name)))
}

/** own-files.ts counts on being as far below the package's root as it is in `src`. */
function checkPlaces({ outputs }: Metafile): void {
  for (const [path, { inputs }] of Object.entries(outputs)) {
    if ('src/own-files.ts' in inputs && dirname(path) !== NEW) throw new Error(`${path} would not find our own files`)
  }
}

async function licencesOf({ inputs }: Metafile): Promise<string> {
  const found = Object.keys(inputs).flatMap(path => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [])
  const names = [...new Set(found)].sort()
  const strays = names.filter(name => !JOINED.has(name))
  if (strays.length > 0) throw new Error(`${strays.join(', ')}: not to be joined`)
  const texts = await Promise.all(names.map(licenceOf))
  return `The files beside this one hold these packages, under their own licences.\n\n${texts.join('\n\n')}`
}

async function licenceOf(name: string): Promise<string> {
  const folder = join('node_modules', name)
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  const file = (await readdir(folder)).find(each => /^licen[cs]e/i.test(each))
  if (file === undefined) throw new Error(`${name} has no licence`)
  return `${name} ${version}\n${'='.repeat(name.length + version.length + 1)}\n\n${(await readFile(join(folder, file), 'utf8')).trim()}\n`
}
