/**
 * The scanner's memory, in bytes. All of it is taken at the start; it never grows later.
 *
 * The files of this folder are AssemblyScript: they are compiled to WebAssembly, not to JavaScript.
 */

/** Sixteen bytes may be looked at where fewer are left. */
const SLACK: usize = 64

/** A chunk of lines, and a newline behind it. */
export const INPUT_BYTES: usize = 262144
export const INPUT: usize = reserve(INPUT_BYTES)

/** Memory for ever, all zero. Only at the start. */
export function reserve(bytes: usize): usize {
  return heap.alloc(bytes + SLACK)
}
