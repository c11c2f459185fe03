/** Goes behind what agents write that are told to report capabilities and namespaces; nothing of it is kept. */

import { nextItem } from './container'
import { byte, key, literal, member, number, plain, word } from './text'

const BRACE: u8 = 0x7b
const BRACE_END: u8 = 0x7d
const BRACKET: u8 = 0x5b
const BRACKET_END: u8 = 0x5d
const COLON: u8 = 0x3a
const CAP = key('cap')
const NS = key('ns')
const INUM = word('{"inum":')
const IS_HOST = word('"is_host":true')

/** Capabilities by set, and namespaces by kind; both may be missing. */
export function skipCredentials(at: usize): usize {
  return skipObject(skipObject(at, CAP), NS)
}

function skipObject(start: usize, name: usize): usize {
  const inside = member(start, name)
  if (inside === 0) return start
  let at = byte(inside, BRACE)
  if (load<u8>(at) === BRACE_END) return at + 1
  while (at !== 0) {
    at = byte(plain(at), COLON)
    at = name === CAP ? skipList(at) : skipNamespace(at)
    if (load<u8>(at) === BRACE_END) return at + 1
    at = nextItem(at)
  }
  return 0
}

function skipList(start: usize): usize {
  let at = byte(start, BRACKET)
  if (load<u8>(at) === BRACKET_END) return at + 1
  while (at !== 0) {
    at = plain(at)
    if (load<u8>(at) === BRACKET_END) return at + 1
    at = nextItem(at)
  }
  return 0
}

function skipNamespace(start: usize): usize {
  const at = number(literal(start, INUM))
  const host = member(at, IS_HOST)
  return byte(host === 0 ? at : host, BRACE_END)
}
