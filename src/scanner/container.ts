/** Reads where a process runs: pod and container, which one line after the other repeats. */

import { CONTAINER, CONTAINER_PLACES } from '../correlator/scan-records'
import { NOWHERE, Pieces } from './pieces'
import { record, setNumber, setOffset } from './records'
import { byte, COMMA, from, hashOf, key, literal, member, numberField, plain, plainField, text, to, word } from './text'

/** Of a pod: its name and uid, and the container's id. */
const HASHED: usize = 200
/** By container, with and without the mark of a probe, and after a change of labels: all but the pid inside it. */
export const containers = new Pieces(800000, CONTAINER_PLACES)

const BRACE: u8 = 0x7b
const BRACE_END: u8 = 0x7d
const BLANK: u8 = 0x20
const COLON: u8 = 0x3a
const EMPTY = word('{}')
const POD = word('"pod":{"namespace":')
const NAME = key('name')
const UID = key('uid')
const CONTAINER_ID = word('"container":{"id":')
const IMAGE_ID = word('"image":{"id":')
const START_TIME = key('start_time')
const PID = key('pid')
const PROBE = word('"maybe_exec_probe":true')
const SECURITY_CONTEXT = key('security_context')
const PRIVILEGED = word('{"privileged":true}')
const POD_LABELS = key('pod_labels')
const WORKLOAD = key('workload')
const WORKLOAD_KIND = key('workload_kind')
const POD_ANNOTATIONS = key('pod_annotations')
const DOCKER = key('docker')

/** Of the container that was read last; -1: none. */
export let container: i32 = NOWHERE
/** Without a pod, the member `docker`; 0: there is none. */
export let dockerFrom: usize = 0
export let dockerTo: usize = 0

/** Pod and `docker`, both of which may be missing. */
export function readContainer(at: usize): usize {
  container = NOWHERE
  dockerFrom = 0
  dockerTo = 0
  const inside = member(at, POD)
  if (inside !== 0) return readPod(at, inside)
  const next = plainField(at, DOCKER)
  dockerFrom = from
  dockerTo = to
  return next
}

function readPod(start: usize, inside: usize): usize {
  const hash = hashOf(start, start + HASHED)
  for (let place = containers.find(hash); place !== NOWHERE; place = containers.find(hash, place)) {
    const head = containers.head(place, start)
    const pid = numberField(head, PID)
    const end = pid === 0 ? <usize>0 : containers.tail(place, pid)
    if (end === 0) continue
    container = place
    return end
  }
  const head = readHead(inside)
  const pid = numberField(head, PID)
  const end = readTail(pid)
  if (end === 0) return 0
  container = containers.add(hash, start, head, pid, end)
  const numbers = record(CONTAINER)
  setNumber(numbers, 0, container)
  setOffset(numbers, 1, start)
  setOffset(numbers, 2, end)
  return end
}

/** From the value of `namespace` to before the container's pid. */
function readHead(start: usize): usize {
  let at = plain(start)
  at = plain(member(at, NAME))
  at = plainField(at, UID)
  at = plain(member(at, CONTAINER_ID))
  at = plainField(at, NAME)
  at = readImage(at)
  return plainField(at, START_TIME)
}

function readImage(at: usize): usize {
  const inside = member(at, IMAGE_ID)
  return inside === 0 ? at : byte(plainField(plain(inside), NAME), BRACE_END)
}

/** From behind the container's pid to the pod's end, with what stands there of `docker`. */
function readTail(start: usize): usize {
  const probe = member(start, PROBE)
  let at = readSecurityContext(probe === 0 ? start : probe)
  at = byte(at, BRACE_END)
  at = mapField(at, POD_LABELS)
  at = plainField(at, WORKLOAD)
  at = plainField(at, WORKLOAD_KIND)
  at = mapField(at, POD_ANNOTATIONS)
  at = byte(at, BRACE_END)
  return plainField(at, DOCKER)
}

function readSecurityContext(at: usize): usize {
  const inside = member(at, SECURITY_CONTEXT)
  if (inside === 0) return at
  const empty = literal(inside, EMPTY)
  return empty === 0 ? literal(inside, PRIVILEGED) : empty
}

/** An object of strings; it may be missing. */
export function mapField(start: usize, name: usize): usize {
  const inside = member(start, name)
  if (inside === 0) return start
  let at = byte(inside, BRACE)
  if (load<u8>(at) === BRACE_END) return at + 1
  while (at !== 0) {
    at = text(byte(text(at), COLON))
    if (load<u8>(at) === BRACE_END) return at + 1
    at = nextItem(at)
  }
  return 0
}

/** Behind a comma, and a blank or none. */
export function nextItem(at: usize): usize {
  return load<u8>(at) === COMMA ? at + (load<u8>(at + 1) === BLANK ? 2 : 1) : 0
}
