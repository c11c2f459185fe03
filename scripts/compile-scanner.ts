/** Compiles AssemblyScript to WebAssembly: src/scanner for the program, and parts of it for their tests. */

import { fileURLToPath } from 'node:url'

/** No memory is ever given back, nothing is imported, and sixteen bytes are looked at in one step. */
export const FLAGS = ['--runtime', 'stub', '-O3', '--noAssert', '--enable', 'simd', '--use', 'abort=']
export const ROOT = new URL('../', import.meta.url)

/** @param entry below the project's folder. @throws Error with what the compiler says. */
export async function compileScanner(entry: string): Promise<Buffer> {
  // Loaded only when there is something to compile: it is large.
  const { main } = await import('assemblyscript/asc')
  const written: (string | Uint8Array)[] = []
  const { error, stderr } = await main(
    [entry, '--outFile', 'scanner.wasm', '--baseDir', fileURLToPath(ROOT), ...FLAGS],
    {
      writeFile: (_name, contents) => {
        written.push(contents)
      },
    },
  )
  const said = stderr.toString()
  const [code] = written
  // A warning is an error too: most are about numbers that may be cut.
  if (error !== null || code === undefined || said !== '') {
    throw new Error(`${entry} cannot be compiled\n${said}`, { cause: error })
  }
  return Buffer.from(code)
}
