/** The programs that this bench starts: the compiled one that is measured, and scripts beside it. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'

/** `npm run build` makes it. */
export const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url))

/** Of this folder, in TypeScript; its standard output is to be read. */
export function spawnScript(file: string, args: readonly string[]) {
  const [loader, main] = ['./typescript-loader.mjs', file].map(each => new URL(each, import.meta.url))
  const node = ['--import', String(loader), fileURLToPath(main ?? ''), ...args]
  return spawn(process.execPath, node, { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** What `write-events.ts` writes with these arguments, into a file. */
export async function writeEvents(path: string, args: readonly string[]): Promise<void> {
  const child = spawnScript('./write-events.ts', args)
  const ended = once(child, 'exit')
  await pipeline(child.stdout, createWriteStream(path))
  await ended
}
