/** What the detector remembers changes nothing that it says: as time goes by, as records come in, as the cluster changes. */

import assert from 'node:assert/strict'
import t from 'tap'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import { createAdmissionLookup } from '../../src/correlator/admission-lookup.js'
import { createClusterLookup } from '../../src/correlator/cluster-lookup.js'
import { detectCoverage } from '../../src/correlator/coverage-detection.js'
import { createDetectionContext, type DetectionTools } from '../../src/correlator/detection-context.js'
import { createDetector } from '../../src/correlator/detector.js'
import { detectDrift } from '../../src/correlator/drift-detection.js'
import type { ExecEvent } from '../../src/correlator/exec-event.js'
import { FindingStore } from '../../src/correlator/finding-store.js'
import { detectImage } from '../../src/correlator/image-detection.js'
import { NO_INVENTORY } from '../../src/correlator/inventory.js'
import type { Observation } from '../../src/correlator/observation.js'
import { detectTool } from '../../src/correlator/tool-detection.js'
import type { CompiledPolicy } from '../../src/policy/index.js'
import { knownContainerOf, knownPodOf } from '../support/drift.js'
import { AFTER_START, containerOf, eventOf, imageRecord, journalOf, podOf, recordOf } from '../support/events.js'
import { policyOf } from '../support/policies.js'
import { assertProperty, fc } from '../support/properties.js'

const HOUR = 3_600_000
const iso = (time: number): string => new Date(time).toISOString()
const about = { namespaces: ['team-a'], reason: 'test', owner: 'me' }
const window = { ...about, id: 'M-1', from: iso(AFTER_START - HOUR / 2), until: iso(AFTER_START + HOUR / 2) }
const exceptions = [
  { ...about, id: 'E-1', tools: ['nmap'], from: iso(AFTER_START - HOUR), expires: iso(AFTER_START) },
  { ...about, id: 'E-2', images: ['quay.io/*'], from: iso(AFTER_START), expires: iso(AFTER_START + HOUR) },
]
const allow = ['registry.k8s.io/*']
const POLICIES: Readonly<Record<string, CompiledPolicy>> = {
  plain: policyOf({ allow }),
  exceptions: policyOf({ allow, exceptions }),
  maintenance: policyOf({ allow, exceptions, runtime: { maintenance: [window] } }),
}
const catalogue = await loadToolCatalogue(policyOf({ allow }).runtime)

/** The same objects again and again, as the decoder gives them; and others of the same content. */
const IMAGES = ['docker.io/library/redis:7', 'quay.io/x/y:1', 'registry.k8s.io/pause:3.10', 'docker.io/oryd/hydra:v2']
const PODS = ['web-1', 'web-2'].flatMap(name =>
  IMAGES.flatMap(imageName =>
    [false, true].map(isExecProbe => podOf({ name, uid: name, container: containerOf({ imageName, isExecProbe }) })),
  ),
)
const FLAGS = [['execve'], ['execve', 'truncArgs'], ['execve', 'dataArgs'], ['procFS'], ['execve']]
const COMMANDS: readonly (readonly [string, string | undefined])[] = [
  ['/usr/bin/nmap', undefined],
  ['/usr/bin/nmap', '-sS 10.0.0.1'],
  ['/usr/bin/hydra', undefined],
  ['/bin/sh', undefined],
  ['/bin/sh', '-c "nmap -sS 10.0.0.1"'],
  ['/dev/fd/3', undefined],
  ['/dev/fd/4', undefined],
  ['/proc/self/fd/6', 'init'],
  ['', undefined],
  ['<enomem>', undefined],
]

function events(): fc.Arbitrary<ExecEvent> {
  return fc
    .record({
      pod: fc.oneof(
        { arbitrary: fc.constantFrom(...PODS), weight: 4 },
        // Two of them often, so that what was said last is often said again.
        { arbitrary: fc.constantFrom(...PODS.slice(0, 2)), weight: 12 },
        { arbitrary: fc.constant(undefined), weight: 1 },
      ),
      docker: fc.constantFrom(undefined, 'c'.repeat(31)),
      command: fc.constantFrom(...COMMANDS),
      flags: fc.constantFrom(...FLAGS, ...FLAGS.slice(0, 1), ...FLAGS.slice(0, 1)),
      time: fc.integer({ min: AFTER_START - 2 * HOUR, max: AFTER_START + 2 * HOUR }),
      parentBinary: fc.constantFrom('/bin/sh', '/usr/bin/runc'),
      isInInitTree: fc.constantFrom(undefined, true, false),
      hardLinks: fc.constantFrom(undefined, 0, 1),
      clusterName: fc.constantFrom('cluster-1', 'cluster-2'),
    })
    .map(({ command: [binary, args], parentBinary, ...rest }) =>
      eventOf({ ...rest, binary, arguments: args, parent: { binary: parentBinary, arguments: undefined, pid: 1 } }),
    )
}

/** Tools over a world that changes with the clock: a record comes in, a pod's spec is known later. */
function toolsAt(policy: CompiledPolicy, now: () => number): DetectionTools {
  const record = recordOf({ name: 'web-1', uid: 'web-1', images: [imageRecord({ written: 'quay.io/x/y:1' })] })
  const journal = journalOf([record])
  const spec = knownPodOf({
    name: 'web-2',
    uid: 'web-2',
    containers: [knownContainerOf({ image: 'docker.io/evil:1' })],
  })
  const inventory = {
    ...NO_INVENTORY,
    podOf: ({ name }: { readonly name: string }) => (name === 'web-2' && now() >= 20_000 ? spec : undefined),
  }
  const late = {
    ...journal,
    findAdmissions: (pod: Parameters<typeof journal.findAdmissions>[0]) =>
      now() > 10_000 ? journal.findAdmissions(pod) : [],
  }
  return {
    policy,
    catalogue,
    admissions: createAdmissionLookup(late, now),
    cluster: createClusterLookup(inventory, undefined, now),
    asOf: undefined,
    policyPaths: [],
  }
}

t.test('a detector with a memory says what one without says, of every event', async t => {
  for (const [name, policy] of Object.entries(POLICIES)) {
    let said = 0
    assertProperty(
      fc.property(fc.array(events(), { minLength: 100, maxLength: 200, size: 'max' }), all => {
        let now = 0
        const tools = toolsAt(policy, () => now)
        const detect = createDetector(tools)
        const remembering = new FindingStore(policy)
        const forgetful = new FindingStore(policy)
        for (const event of all) {
          now += 200
          // The answers of journal and cluster are the same for both: those have a memory of their own.
          const fresh = judgeAnew(structuredClone(event), tools)
          const observations = detect(event)
          assert.deepEqual(observations, fresh)
          said += observations.length
          for (const each of observations) remembering.observe(event, each)
          for (const each of fresh) forgetful.observe(structuredClone(event), each)
        }
        assert.deepEqual(remembering.takeUpdates(), forgetful.takeUpdates())
      }),
      // To make a failing sequence shorter would take minutes.
      { numRuns: 12, endOnFailure: true },
    )
    t.ok(said > 500, name)
  }
})

t.test('a maintenance window begins and ends for a process that repeats', async t => {
  const detect = createDetector(toolsAt(policyOf({ allow, runtime: { maintenance: [window] } }), () => 0))
  const nmap = eventOf({ binary: '/usr/bin/nmap' })
  const suppressions = [-HOUR, -1, 0, HOUR, 0].map(offset => {
    return detect({ ...nmap, time: AFTER_START + offset })[0]?.suppression?.exception
  })
  t.same(suppressions, [undefined, 'M-1', 'M-1', undefined, 'M-1'])
})

/** Every detection, with nothing remembered. */
function judgeAnew(event: ExecEvent, tools: DetectionTools): readonly Observation[] {
  const context = createDetectionContext(tools, event)
  return [detectTool, detectImage, detectDrift, detectCoverage].flatMap(detect => detect(event, context))
}

t.test('one observation about two pods makes two findings', async t => {
  const policy = policyOf({ allow })
  const [observation] = judgeAnew(
    eventOf(),
    toolsAt(policy, () => 0),
  )
  assert(observation !== undefined)
  const store = new FindingStore(policy)
  for (const workload of ['web', 'db', 'web']) store.observe(eventOf({ pod: podOf({ workload }) }), observation)
  t.same(
    store.takeUpdates().map(({ owner, count }) => [owner?.name, count]),
    [
      ['web', 2],
      ['db', 1],
    ],
  )
})

t.test('what repeats is said by the very same list, and an event of the node says nothing', async t => {
  const tools = toolsAt(policyOf({ allow }), () => 0)
  const detect = createDetector(tools)
  const [pod] = PODS
  const flags = ['execve']
  const nmap = eventOf({ pod, flags, binary: '/usr/bin/nmap' })
  const [first, second, third] = [0, 1, 2].map(() => detect({ ...nmap }))
  t.same(
    first?.map(({ kind }) => kind),
    ['offensive-tool', 'non-allowlisted-image'],
  )
  t.equal(third, second)
  t.equal(detect(eventOf({ pod, flags, binary: '/bin/a' })), detect(eventOf({ pod, flags, binary: '/bin/b' })))
  t.same(detect(eventOf({ pod: undefined, docker: undefined, binary: '/usr/bin/nmap' })), [])
})
