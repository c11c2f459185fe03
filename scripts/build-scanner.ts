/**
 * Writes what src/scanner is compiled to as a module that src/correlator imports; nothing happens when it is there
 * already.
 */

import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { compileScanner, FLAGS, ROOT } from './compile-scanner.js'

const SOURCES = new URL('src/scanner/', ROOT)
const SHARED = new URL('src/correlator/scan-records.ts', ROOT)
const TARGET = new URL('src/correlator/scanner-code.ts', ROOT)
const COMPILER = new URL('node_modules/assemblyscript/package.json', ROOT)

const names = (await readdir(SOURCES)).filter(name => name.endsWith('.ts')).sort()
const texts = await Promise.all(
  [...names.map(name => new URL(name, SOURCES)), SHARED, COMPILER].map(file => readFile(file, 'utf8')),
)
const digest = createHash('sha256')
  .update(JSON.stringify([FLAGS, names, texts]))
  .digest('hex')
const known = await readFile(TARGET, 'utf8').catch(() => '')
if (!known.includes(digest)) await writeFile(TARGET, moduleOf(await compileScanner('src/scanner/index.ts')))

function moduleOf(code: Buffer): string {
  return `/** Made by scripts/build-scanner.ts from src/scanner. */

// ${digest}
/** A WebAssembly module, in base64. */
export const SCANNER_CODE =
  '${code.toString('base64')}'
`
}
