/**
 * Where the package's own files are. The one place that knows how the program is laid out: in `src` under a loader, in
 * `build` module by module, in `dist` put together.
 */

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** @param path from the package's root, such as `policies/starter.yaml`. */
export function ownFile(path: string): URL {
  return new URL(`../${path}`, import.meta.url)
}

/** What a thread of our own starts with. @param path from `src`, without its extension. scripts/build.ts knows each. */
export function threadFile(path: string): URL {
  return new URL(`./${path}${EXTENSION}`, import.meta.url)
}
