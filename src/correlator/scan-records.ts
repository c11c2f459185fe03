/**
 * What the scanner tells its reader of a chunk: records of twelve 32-bit numbers, in the order in which things were found.
 * Both sides import this file; one of them is AssemblyScript.
 *
 * A record is its type, up to eight numbers, and one of 64 bits in the last two. The scanner keeps bytes, the reader what
 * they mean: a record with a *place* says what is kept there from now on, so that records must be taken in their order.
 * Offsets count from the beginning of the input; -1 stands for a field that is missing.
 */

/** Bytes. Longer lines are rare, and their time goes into their arguments. */
export const MAX_SCANNED_LINE = 32768

export const RECORD_NUMBERS = 12
/** Where the 64 bits begin, counted in numbers of 32. */
export const WIDE_AT = 10

/** A line to be read in full. [from, to, complete lines before it in this scan] */
export const LINE = 0
/** [place of the process, place of its parent or -1]; wide: when, in milliseconds since the epoch. */
export const EXEC = 1
/**
 * [place, place of its command, of its flags or -1, of its container or -1, docker from, to, in_init_tree: 1, 0, or -1
 * for unsaid]; wide: pid, or -1.
 */
export const PROCESS = 2
/** [place, binary from, to, 1 if escaped, arguments from, to, 1 if escaped] */
export const COMMAND = 3
/** [place, from, to] of the flags. */
export const FLAGS = 4
/** [place, from, to] of the members `pod` and `docker`, with the comma before them. */
export const CONTAINER = 5
/** [node_name from, to, cluster_name from, to] of the execs from here on. */
export const LINE_END = 6
/** [which of the places below]: some pieces there are gone. */
export const TURN = 7

/**
 * How many places there are. Behind the last lies one more, for a piece that is too long to be kept: a line of at most
 * `MAX_SCANNED_LINE` bytes holds no two of them.
 */
export const PROCESS_PLACES = 8192
export const COMMAND_PLACES = 16384
export const FLAGS_PLACES = 256
export const CONTAINER_PLACES = 8192

export const OF_PROCESSES = 0
export const OF_COMMANDS = 1
export const OF_CONTAINERS = 2
